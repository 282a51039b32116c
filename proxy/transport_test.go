package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

// grpcCall is a call as its headers show it. The tests with a real client and a
// real server of gRPC are in integration/e2e.
var grpcCall = []string{"Content-Type", "application/grpc", "Te", "trailers", "Connection", "te", "Grpc-Timeout", "5S"}

const (
	version   = "https://argo-cd.example.com/version.VersionService/Version"
	workflows = "https://argo-workflows.example.com/"
)

// quiet is for upstreams whose complaints are what the test wants.
var quiet = log.New(io.Discard, "", 0)

// seen is a request as an upstream got it.
type seen struct {
	Proto, Host, From string
	TLS               bool
	Header, Trailer   http.Header
}

// serveSeen tells it in a header, so that gRPC may have any body.
func serveSeen(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	told, _ := json.Marshal(seen{r.Proto, r.Host, r.RemoteAddr, r.TLS != nil, r.Header, r.Trailer})
	w.Header().Set("Seen", string(told))
}

func seenBy(t *testing.T, res *http.Response) seen {
	t.Helper()
	var s seen
	if err := json.Unmarshal([]byte(res.Header.Get("Seen")), &s); err != nil {
		t.Fatalf("status %d, grpc-status %q: the upstream saw nothing: %s", res.StatusCode, res.Header.Get("Grpc-Status"), body(t, res))
	}
	return s
}

// serveOn serves HTTP/1.1, and HTTP/2 without TLS, on a listener.
func serveOn(t *testing.T, l net.Listener, h http.Handler) {
	t.Helper()
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
}

// h2cServer gives the address of one.
func h2cServer(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, h)
	return l.Addr().String()
}

func TestEachUpstreamIsSpokenToInItsOwnWay(t *testing.T) {
	t.Parallel()
	plain := h2cServer(t, http.HandlerFunc(serveSeen))
	secure := httptest.NewUnstartedServer(http.HandlerFunc(serveSeen))
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	socket := filepath.Join(shortDir(t), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, http.HandlerFunc(serveSeen))

	for url, want := range map[string]struct {
		page, upgrade, grpc string
		tls                 bool
	}{
		"http://" + plain: {"HTTP/1.1", "HTTP/1.1", "HTTP/2.0", false},
		"h2c://" + plain:  {"HTTP/2.0", "HTTP/1.1", "HTTP/2.0", false},
		secure.URL:        {"HTTP/1.1", "HTTP/1.1", "HTTP/2.0", true},
		"unix:" + socket:  {"HTTP/1.1", "HTTP/1.1", "HTTP/2.0", false},
	} {
		g := newGateTo(t, url, believing(secure))
		for what, test := range map[string]struct {
			proto string
			res   *http.Response
		}{
			"page": {want.page, g.do("GET", app, g.as("alice"))},
			"upload": {want.page, g.raw("POST /api/v1/x HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n" +
				"Cookie: " + g.as("alice")[1] + "\r\nContent-Length: 2\r\n\r\nhi")},
			"gRPC": {want.grpc, g.do("POST", version, g.as("alice"), grpcCall)},
		} {
			got := seenBy(t, test.res)
			if got.Proto != test.proto || got.TLS != want.tls || got.Host != "argo-cd.example.com" {
				t.Errorf("%s over %s: %s, TLS %v, Host %q; want %+v", what, url, got.Proto, got.TLS, got.Host, want)
			}
		}
		upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Origin", "https://argo-cd.example.com", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
		if got := seenBy(t, g.do("GET", app, g.as("alice"), upgrade)); got.Proto != want.upgrade || got.Header.Get("Upgrade") == "" {
			t.Errorf("upgrade over %s: %s, %q", url, got.Proto, got.Header)
		}
		if got := seenBy(t, g.do("GET", workflows, g.as("alice"))); got.Host != "inside.example.com" {
			t.Errorf("hostHeader over %s: Host %q", url, got.Host)
		}
	}
}

// shortDir is short enough for the path of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "authgate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// believing gives every upstream the CA of a test server.
func believing(s *httptest.Server) func(*proxy.Options) {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return func(o *proxy.Options) {
		o.UpstreamCAs = map[string]*x509.CertPool{"argocd": pool, "reports": pool, "workflows": pool}
	}
}

func TestUpstreamWithAnotherCertificateGetsNothing(t *testing.T) {
	t.Parallel()
	var got sync.Map
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got.Store(r.RequestURI, true) }))
	upstream.EnableHTTP2 = true
	upstream.Config.ErrorLog = quiet
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	other := httptest.NewTLSServer(nil)
	t.Cleanup(other.Close)
	pool := x509.NewCertPool() // knows no CA
	for name, change := range map[string]func(*proxy.Options){
		"the system's CAs": func(*proxy.Options) {},
		"another CA":       func(o *proxy.Options) { o.UpstreamCAs = map[string]*x509.CertPool{"argocd": pool} },
	} {
		g := newGateTo(t, upstream.URL, change)
		expect(t, name, g.do("GET", app, g.as("alice")), http.StatusBadGateway)
		if res := g.do("POST", version, g.as("alice"), grpcCall); res.Header.Get("Grpc-Status") != "14" {
			t.Errorf("%s: gRPC got %q", name, res.Header)
		}
		if !strings.Contains(g.log.String(), "x509: ") {
			t.Errorf("%s: the log does not say why:\n%s", name, g.log)
		}
	}
	// The right CA, but for another name than the one in the URL.
	g := newGateTo(t, strings.Replace(upstream.URL, "127.0.0.1", "localhost", 1), believing(upstream))
	expect(t, "another name", g.do("GET", app, g.as("alice")), http.StatusBadGateway)
	got.Range(func(path, _ any) bool { t.Errorf("it got %s", path); return true })
}

func TestGRPCNeverGoesOutInHTTP1(t *testing.T) {
	t.Parallel()
	for name, offers := range map[string][]string{"no ALPN": nil, "ALPN of HTTP/1.1 alone": {"http/1.1"}} {
		upstream := httptest.NewUnstartedServer(http.HandlerFunc(serveSeen))
		upstream.Config.ErrorLog = quiet
		upstream.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
		upstream.TLS = &tls.Config{NextProtos: offers}
		if offers == nil { // httptest would offer HTTP/1.1
			upstream.TLS.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
				return &tls.Config{Certificates: upstream.TLS.Certificates}, nil
			}
		}
		upstream.StartTLS()
		t.Cleanup(upstream.Close)
		g := newGateTo(t, upstream.URL, believing(upstream))
		if got := seenBy(t, g.do("GET", app, g.as("alice"))); got.Proto != "HTTP/1.1" {
			t.Errorf("%s: a page in %s", name, got.Proto)
		}
		res := g.do("POST", version, g.as("alice"), grpcCall)
		if res.Header.Get("Grpc-Status") != "14" || res.Header.Get("Seen") != "" {
			t.Errorf("%s: %q", name, res.Header)
		}
		if log := g.log.String(); !strings.Contains(log, "ALPN") && !strings.Contains(log, "application protocol") {
			t.Errorf("%s: the log does not say why:\n%s", name, log)
		}
	}
}

func TestGRPCSharesNoConnectionWithAnythingElse(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http://", "h2c://"} {
		g := newGateTo(t, scheme+h2cServer(t, http.HandlerFunc(serveSeen)))
		from := map[bool]map[string]bool{true: {}, false: {}}
		for range 4 {
			from[true][seenBy(t, g.do("POST", version, g.as("alice"), grpcCall)).From] = true
			from[false][seenBy(t, g.do("GET", app, g.as("alice"))).From] = true
		}
		for connection := range from[true] {
			if from[false][connection] {
				t.Errorf("%s: %s carried both", scheme, connection)
			}
		}
		if len(from[true]) != 1 || len(from[false]) != 1 {
			t.Errorf("%s: connections are not kept: %v", scheme, from)
		}
	}
}

func TestGRPCIsPassedOnAsItsServerNeedsIt(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, "http://"+h2cServer(t, http.HandlerFunc(serveSeen)))
	for kind, want := range map[string]string{
		"application/grpc": "application/grpc", "application/grpc+proto": "application/grpc", "application/grpc; x=y": "application/grpc",
	} {
		got := seenBy(t, g.do("POST", version, g.as("alice"), grpcCall[2:], []string{"Content-Type", kind}))
		if sent := got.Header["Content-Type"]; len(sent) != 1 || sent[0] != want {
			t.Errorf("%s was sent to argo-cd as %q", kind, sent)
		}
		if got.Header.Get("Te") != "trailers" || got.Header.Get("Grpc-Timeout") != "5S" {
			t.Errorf("%s: %q", kind, got.Header)
		}
		got = seenBy(t, g.do("POST", workflows+"info.InfoService/GetInfo", g.as("alice"), grpcCall[2:], []string{"Content-Type", kind}))
		if sent := got.Header["Content-Type"]; len(sent) != 1 || sent[0] != kind {
			t.Errorf("%s was sent to argo-workflows as %q", kind, sent)
		}
	}
	// grpc-gateway obeys the deadline on REST calls, too.
	if got := seenBy(t, g.do("GET", app, g.as("alice"), []string{"Grpc-Timeout", "1n"})); got.Header.Get("Grpc-Timeout") != "" {
		t.Errorf("a REST call went out with a deadline: %q", got.Header)
	}
	got := seenBy(t, g.raw("POST /version.VersionService/Version HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nConnection: close\r\nCookie: "+g.as("alice")[1]+
		"\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\nTrailer: X-Forwarded-User\r\n\r\n0\r\nX-Forwarded-User: spoofed\r\n\r\n"))
	if len(got.Trailer) != 0 || got.Header.Get("Trailer") != "" {
		t.Errorf("trailers of a request went on: %+v", got)
	}
}

func TestUpstreamThatIsSlowOrTooLoudIsAnsweredFor(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	for _, scheme := range []string{"http://", "h2c://"} {
		upstream := h2cServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/loud":
				for range 10 {
					w.Header().Add("X-Loud", strings.Repeat("x", 30<<10))
				}
			case "/slow":
				<-r.Context().Done()
			default: // gRPC
				select {
				case <-release:
				case <-r.Context().Done():
				}
			}
		}))
		g := newGateTo(t, scheme+upstream, func(o *proxy.Options) {
			o.Config.Timeouts.UpstreamHeader = config.Duration(2 * time.Second)
		})
		patient := make(chan *http.Response, 1)
		cookie := g.as("alice")
		go func() { patient <- g.do("POST", version, cookie, grpcCall) }()

		expect(t, "slow header", g.do("GET", "https://argo-cd.example.com/slow", cookie), http.StatusGatewayTimeout)
		expect(t, "slow header again", g.do("GET", "https://argo-cd.example.com/slow", cookie), http.StatusGatewayTimeout)
		expect(t, "300 KiB of header", g.do("GET", "https://argo-cd.example.com/loud", cookie), http.StatusBadGateway)
		select {
		case res := <-patient:
			t.Errorf("gRPC was not waited for: %q", res.Header)
			continue
		default:
		}
		release <- struct{}{}
		if res := <-patient; res.StatusCode != http.StatusOK || res.Header.Get("Grpc-Status") != "" {
			t.Errorf("gRPC with a late header: %d %q", res.StatusCode, res.Header)
		}
	}
}

// silentAfterFirst is an HTTP/2 server whose first connection answers nothing,
// as one whose machine is gone. The others are served.
type silentAfterFirst struct {
	net.Listener
	once  sync.Once
	taken chan struct{}
}

func (l *silentAfterFirst) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	first := false
	l.once.Do(func() { first = true })
	if !first {
		return conn, nil
	}
	go func() {
		defer conn.Close()
		_, _ = conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0}) // SETTINGS, and never a word more
		_, _ = io.Copy(io.Discard, conn)
		close(l.taken)
	}()
	return l.Listener.Accept()
}

func TestUpstreamThatFallsSilentInHTTP2IsLeft(t *testing.T) {
	t.Parallel()
	for what, ask := range map[string]func(*gate) *http.Response{
		"page": func(g *gate) *http.Response { return g.do("GET", app, g.as("alice")) },
		"gRPC": func(g *gate) *http.Response { return g.do("POST", version, g.as("alice"), grpcCall) },
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		silent := &silentAfterFirst{Listener: l, taken: make(chan struct{})}
		serveOn(t, silent, http.HandlerFunc(serveSeen))
		g := newGateTo(t, "h2c://"+l.Addr().String())
		g.PingEvery(100*time.Millisecond, 100*time.Millisecond)
		if res := ask(g); res.StatusCode != http.StatusBadGateway && res.Header.Get("Grpc-Status") != "14" {
			t.Errorf("%s, silence: %d %q", what, res.StatusCode, res.Header)
		}
		<-silent.taken // the connection is given up
		if got := seenBy(t, ask(g)); got.Proto != "HTTP/2.0" {
			t.Errorf("%s, afterwards: %+v", what, got)
		}
	}
}

func TestCallEndsAlthoughItsClientHasMoreToSay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ scheme, kind, status string }{
		"gRPC, its server is gone":   {"http://", "application/grpc", ""},
		"HTTP/2, its server is gone": {"h2c://", "application/octet-stream", ""},
		"gRPC, it is cut":            {"http://", "application/grpc", "7"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		upstream := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})}
		upstream.Protocols.SetUnencryptedHTTP2(true)
		var all sync.WaitGroup
		all.Go(func() { _ = upstream.Serve(l) })

		g := newGateTo(t, test.scheme+l.Addr().String())
		client := &http.Transport{Protocols: new(http.Protocols)}
		client.Protocols.SetUnencryptedHTTP2(true)
		said, silent := io.Pipe() // open, and nothing comes
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		call, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+h2cServer(t, g)+"/version.VersionService/Version", said)
		if err != nil {
			t.Fatal(err)
		}
		call.Host = "argo-cd.example.com"
		call.Header = http.Header{"Content-Type": {test.kind}, "X-Forwarded-Proto": {"https"}, "Cookie": {g.as("alice")[1]}}
		res, err := client.RoundTrip(call)
		if err != nil {
			t.Fatal(err)
		}
		if test.status == "" {
			upstream.Close()
		} else {
			all.Go(func() { g.ReviewStreams(ctx) })
			g.SetPolicy(load(t, rules+"p, role:admin, argocd, /version.VersionService/Version, POST, deny\n"))
		}
		_, err = io.Copy(io.Discard, res.Body)
		if ctx.Err() != nil || (err == nil) != (test.status != "") || res.Trailer.Get("Grpc-Status") != test.status {
			t.Errorf("%s: it ended with %v, %q", name, err, res.Trailer)
		}
		upstream.Close()
		silent.Close()
		client.CloseIdleConnections()
		cancel()
		all.Wait()
	}
}

// TestProxyOfTheEnvironmentNeverSeesARequest runs itself again, for net/http reads
// these variables once a process.
func TestProxyOfTheEnvironmentNeverSeesARequest(t *testing.T) {
	if trap := os.Getenv("HTTP_PROXY"); os.Getenv("AUTHGATE_TRAPPED") != "" {
		for _, scheme := range []string{"http://", "https://", "h2c://"} {
			g := newGateTo(t, scheme+"dashboard.invalid:80") // the proxies of the environment are not for loopback names
			expect(t, "page by way of "+trap, g.do("GET", app, g.as("alice")), http.StatusBadGateway)
			if res := g.do("POST", version, g.as("alice"), grpcCall); res.Header.Get("Grpc-Status") != "14" {
				t.Errorf("gRPC: %q", res.Header)
			}
		}
		return
	}
	trap := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the proxy was asked: %s %s", r.Method, r.RequestURI)
	}))
	t.Cleanup(trap.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	again.Env = append(os.Environ(), "AUTHGATE_TRAPPED=1", "HTTP_PROXY="+trap.URL, "HTTPS_PROXY="+trap.URL, "http_proxy="+trap.URL, "https_proxy="+trap.URL, "NO_PROXY=", "no_proxy=")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAChangedCAOfAnUpstreamIsTrustedByTheNextConnection(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(serveEcho))
	upstream.Config.ErrorLog = quiet
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	unknown := func(o *proxy.Options) {
		o.UpstreamCAs = map[string]*x509.CertPool{"argocd": x509.NewCertPool()}
	}
	g := newGateTo(t, upstream.URL, unknown)
	expect(t, "an unknown CA", g.do("GET", app, g.as("alice")), http.StatusBadGateway)
	pool := x509.NewCertPool()
	pool.AddCert(upstream.Certificate())
	g.SetUpstreamCAs("argocd", pool)
	expect(t, "the changed CA", g.do("GET", app, g.as("alice")), http.StatusOK)
	g.SetUpstreamCAs("argocd", x509.NewCertPool())
	expect(t, "a CA that was taken back", g.do("GET", app, g.as("alice")), http.StatusBadGateway)
}
