package http1_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/proxy/upstream/http1"
)

// echo is a server of net/http that gives a body back.
func echo(t *testing.T, scheme string) (url string, tr *http1.Transport) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		if r.ContentLength >= 0 {
			w.Header().Set("Content-Length", r.Header.Get("Content-Length"))
		}
		_, _ = io.Copy(w, r.Body)
	}))
	tr = newTransport(t)
	if scheme == "https" {
		s.EnableHTTP2 = true
		s.StartTLS()
		tr.TLSClientConfig = trusting(s.Certificate())
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	t.Cleanup(tr.CloseIdleConnections)
	return s.URL, tr
}

func trusting(c *x509.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return &tls.Config{RootCAs: pool}
}

// serveTLS is like serve.
func serveTLS(t *testing.T, change func(*tls.Config), play func(*peer)) (*server, *tls.Config) {
	t.Helper()
	pattern := httptest.NewTLSServer(nil)
	t.Cleanup(pattern.Close)
	config := &tls.Config{Certificates: pattern.TLS.Certificates}
	if change != nil {
		change(config)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, play), trusting(pattern.Certificate())
}

func TestTLSConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s, config := serveTLS(t, func(c *tls.Config) { c.MaxVersion = version; c.NextProtos = []string{"h2", "http/1.1"} }, always(ok))
		tr := newTransport(t)
		tr.TLSClientConfig = config
		for range 5 {
			res, got, err := do(t, tr, request(t, "GET", "https://"+s.address, nil))
			if err != nil || got != "ok" || res.TLS == nil || res.TLS.NegotiatedProtocol != "http/1.1" || res.TLS.Version != version {
				t.Fatalf("%q %v %+v", got, err, res)
			}
		}
		if s.conns.Load() != 1 {
			t.Errorf("%d connections", s.conns.Load())
		}
		if len(config.NextProtos) != 0 {
			t.Error("the caller's configuration was changed")
		}
	}
}

func TestTLSConnectionsWithMoreThanAResponseAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]func(*peer){
		"in the same record": nil,
		"in the next record": func(p *peer) { p.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") },
		"end":                func(p *peer) { p.Close() },
		"half a record":      func(p *peer) { _, _ = p.Conn.(*tls.Conn).NetConn().Write([]byte{23, 3, 3, 0, 50, 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idle, done := make(chan struct{}), make(chan struct{})
			s, config := serveTLS(t, nil, func(p *peer) {
				p.head()
				if more == nil {
					p.say(ok + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
				} else {
					p.say(ok)
				}
				<-idle
				if more != nil {
					more(p)
				}
				done <- struct{}{}
				_, _ = io.Copy(io.Discard, p)
			})
			tr := newTransport(t)
			tr.TLSClientConfig = config
			for range 3 {
				_, got, err := do(t, tr, request(t, "POST", "https://"+s.address, nil))
				if err != nil || got != "ok" {
					t.Fatalf("%q %v", got, err)
				}
				idle <- struct{}{}
				<-done
			}
			if s.conns.Load() != 3 {
				t.Errorf("%d connections", s.conns.Load())
			}
		})
	}
}

func TestWhatPackageTLSHoldsIsNoticed(t *testing.T) {
	t.Parallel()
	written := make(chan struct{})
	s, config := serveTLS(t, func(c *tls.Config) { c.SessionTicketsDisabled = true }, func(p *peer) {
		p.head()
		p.say(ok)
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		written <- struct{}{}
		_, _ = io.Copy(io.Discard, p)
	})
	tr := newTransport(t)
	tr.TLSClientConfig = config
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return delayed{conn, written}, err
	}
	for range 2 {
		if got, err := get(t, tr, "https://"+s.address); err != nil || got != "ok" {
			t.Fatalf("%q %v", got, err)
		}
	}
	if s.conns.Load() != 2 {
		t.Errorf("%d connections", s.conns.Load())
	}
}

// delayed reads application data only when the server has written all of it.
type delayed struct {
	net.Conn
	written chan struct{}
}

func (d delayed) Write(b []byte) (int, error) {
	n, err := d.Conn.Write(b)
	if len(b) > 0 && b[0] == 23 && len(b) > 60 { // the request, not the end of the handshake
		<-d.written
	}
	return n, err
}

func TestCertificatesAreVerified(t *testing.T) {
	t.Parallel()
	s, config := serveTLS(t, nil, func(p *peer) {
		if p.head() != "" {
			t.Error("a request arrived")
		}
	})
	tr := newTransport(t)
	var unknown x509.UnknownAuthorityError
	if _, err := get(t, tr, "https://"+s.address); !errors.As(err, &unknown) {
		t.Error(err)
	}
	tr = newTransport(t)
	tr.TLSClientConfig = config
	var other x509.HostnameError
	if _, err := get(t, tr, "https://"+strings.Replace(s.address, "127.0.0.1", "localhost", 1)); !errors.As(err, &other) {
		t.Error(err)
	}
	tr = newTransport(t)
	tr.TLSClientConfig = trustingName(config, "example.com") // a name of httptest's certificate
	s2, _ := serveTLS(t, nil, always(ok))
	if got, err := get(t, tr, "https://"+s2.address); err != nil || got != "ok" {
		t.Errorf("%q %v", got, err)
	}
	plain := serve(t, func(p *peer) { p.say("HTTP/1.1 400 Bad\r\n\r\n"); _, _ = io.Copy(io.Discard, p) })
	var record tls.RecordHeaderError
	if _, err := get(t, tr, "https://"+plain.address); !errors.As(err, &record) {
		t.Error(err)
	}
}

func trustingName(c *tls.Config, name string) *tls.Config {
	c = c.Clone()
	c.ServerName = name
	return c
}

func TestUpgradesOverTLS(t *testing.T) {
	t.Parallel()
	s, config := serveTLS(t, nil, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nwelcome")
		_, _ = io.Copy(p.Conn, p)
		_ = p.Conn.(*tls.Conn).CloseWrite()
	})
	tr := newTransport(t)
	tr.TLSClientConfig = config
	res, err := tr.RoundTrip(upgradeRequest(t, "https://"+s.address))
	if err != nil {
		t.Fatal(err)
	}
	tunnel := res.Body.(io.ReadWriteCloser)
	defer tunnel.Close()
	_, _ = io.WriteString(tunnel, "hello")
	_ = tunnel.(interface{ CloseWrite() error }).CloseWrite()
	if got, err := io.ReadAll(tunnel); err != nil || string(got) != "welcomehello" {
		t.Errorf("%q %v", got, err)
	}
}

func TestUnixSockets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skip(err)
	}
	s, tr := serveOn(t, l, always(ok)), newTransport(t)
	tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	for range 3 {
		if got, err := get(t, tr, "http://unix"); err != nil || got != "ok" {
			t.Fatalf("%q %v", got, err)
		}
	}
	if s.conns.Load() != 1 {
		t.Errorf("%d connections", s.conns.Load())
	}
}

func TestTraces(t *testing.T) {
	t.Parallel()
	s, config := serveTLS(t, nil, always(ok))
	tr := newTransport(t)
	tr.TLSClientConfig = config
	for _, want := range []string{
		"GetConn TLSHandshakeStart TLSHandshakeDone GotConn WroteHeaders WroteRequest GotFirstResponseByte PutIdleConn ",
		"GetConn GotConn reused WroteHeaders WroteRequest GotFirstResponseByte PutIdleConn ",
	} {
		var got strings.Builder
		note := func(what string) { got.WriteString(what + " ") }
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GetConn: func(string) { note("GetConn") },
			GotConn: func(info httptrace.GotConnInfo) {
				note("GotConn")
				if info.Reused {
					note("reused")
				}
			},
			TLSHandshakeStart:    func() { note("TLSHandshakeStart") },
			TLSHandshakeDone:     func(tls.ConnectionState, error) { note("TLSHandshakeDone") },
			WroteHeaders:         func() { note("WroteHeaders") },
			WroteRequest:         func(httptrace.WroteRequestInfo) { note("WroteRequest") },
			GotFirstResponseByte: func() { note("GotFirstResponseByte") },
			PutIdleConn:          func(error) { note("PutIdleConn") },
		})
		if _, _, err := do(t, tr, request(t, "GET", "https://"+s.address, nil).WithContext(ctx)); err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Errorf("%s, want %s", got.String(), want)
		}
	}
}
