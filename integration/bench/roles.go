package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// runRole is what one of the bench's own processes does. where is the address that it
// listens on, for a proxy the upstream's URL after a comma, and the folder of a
// certificate after another: with one, it listens with TLS.
func runRole(role, where string) error {
	address, rest, _ := strings.Cut(where, ",")
	upstream, certificate, _ := strings.Cut(rest, ",")
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(certificate, certFile), filepath.Join(certificate, keyFile))
		if err != nil {
			return err
		}
		c := &tls.Config{Certificates: []tls.Certificate{pair}}
		if role == "tuned" {
			return (&http.Server{Handler: tuned(upstream), TLSConfig: c}).ServeTLS(listener, "", "")
		}
		listener = tls.NewListener(listener, c)
	}
	switch role {
	case "upstream":
		return answerAll(listener)
	case "echo":
		return http.Serve(listener, http.HandlerFunc(echo))
	case "bare":
		return http.Serve(listener, bare(upstream))
	case "tuned":
		return http.Serve(listener, tuned(upstream))
	}
	return fmt.Errorf("nothing here is called %q", role)
}

// answer is what the upstream says to most requests.
var answer = answerOf(1 << 10)

func answerOf(bytes int) []byte {
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Upstream: bench\r\nContent-Length: %d\r\n\r\n", bytes)
	return []byte(head + strings.Repeat("authgate", bytes/8))
}

// The upstream answers with 100 KiB below one path, and with as many MiB as another says.
const (
	largePath    = "/api/v1/applications/large"
	downloadPath = "/api/v1/applications/download/"
)

// answerAll is a server that costs next to nothing, so that the proxies are what
// is measured: it looks for the end of a request's header and the length of its body.
func answerAll(listener net.Listener) error {
	large := answerOf(100 << 10)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			for r := bufio.NewReaderSize(conn, 64<<10); ; {
				target, err := readRequest(r)
				if err != nil {
					if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
						fmt.Fprintln(os.Stderr, "upstream:", err)
					}
					return
				}
				mebibytes, download := strings.CutPrefix(target, downloadPath)
				switch {
				case download:
					err = sendMebibytes(conn, mebibytes)
				case target == largePath:
					_, err = conn.Write(large)
				default:
					_, err = conn.Write(answer)
				}
				if err != nil {
					return
				}
			}
		}()
	}
}

// readRequest reads a request with its body.
func readRequest(r *bufio.Reader) (target string, err error) {
	length := 0
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if first && bytes.HasSuffix(line, []byte(" HTTP/1.1")) {
			if words := strings.Fields(string(line)); len(words) > 1 && len(line) < 80 {
				target = words[1]
			}
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); len(name) == len("Content-Length") && strings.EqualFold(string(name), "Content-Length") {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return "", err
			}
		}
	}
	_, err = r.Discard(length)
	return target, err
}

func sendMebibytes(w io.Writer, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nX-Upstream: bench\r\nContent-Length: %d\r\n\r\n", n<<20); err != nil {
		return err
	}
	mebibyte := make([]byte, 1<<20)
	for range n {
		if _, err := w.Write(mebibyte); err != nil {
			return err
		}
	}
	return nil
}

// echo sends back what a WebSocket says.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the proxy looks at origins
	if err != nil {
		return
	}
	defer c.CloseNow() // its far end is gone
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

// bare is the reverse proxy of the standard library as one writes it first. Of
// the transport only the number of idle connections is changed: with two, as it
// comes, it would measure connecting.
func bare(upstream string) http.Handler {
	transport, _ := http.DefaultTransport.(*http.Transport)
	transport = transport.Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 1024
	return &httputil.ReverseProxy{Rewrite: rewriteTo(upstream), Transport: transport}
}

// tuned is the same with the usual improvements: buffers are used again, and
// neither compression nor HTTP_PROXY is looked at.
func tuned(upstream string) http.Handler {
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, DisableCompression: true,
		MaxIdleConnsPerHost: 1024, IdleConnTimeout: 30 * time.Second,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // an upstream of the bench
	}
	return &httputil.ReverseProxy{Rewrite: rewriteTo(upstream), Transport: transport, BufferPool: &buffers{}}
}

func rewriteTo(upstream string) func(*httputil.ProxyRequest) {
	to, err := url.Parse(upstream)
	if err != nil {
		panic(err) // the bench made it
	}
	return func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.SetXForwarded()
		r.Out.Host = r.In.Host
	}
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }
