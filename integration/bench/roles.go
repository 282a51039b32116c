package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// runRole is what one of the bench's own processes does. where is the address that it
// listens on, and for a proxy the upstream's after a comma.
func runRole(role, address string) error {
	address, upstream, _ := strings.Cut(address, ",")
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
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

// answer is what the upstream says to everything.
var answer = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Upstream: bench\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("authgate", 128))

// answerAll is a server that costs next to nothing, so that the proxies are what
// is measured: it looks for the end of a request's header, and no further.
func answerAll(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			for r := bufio.NewReader(conn); ; {
				line, err := r.ReadSlice('\n')
				for err == nil && len(bytes.TrimRight(line, "\r\n")) > 0 {
					line, err = r.ReadSlice('\n')
				}
				if err != nil {
					if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
						fmt.Fprintln(os.Stderr, "upstream:", err)
					}
					return
				}
				if _, err := conn.Write(answer); err != nil {
					return
				}
			}
		}()
	}
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
	}
	return &httputil.ReverseProxy{Rewrite: rewriteTo(upstream), Transport: transport, BufferPool: &buffers{}}
}

func rewriteTo(upstream string) func(*httputil.ProxyRequest) {
	to := &url.URL{Scheme: "http", Host: upstream}
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
