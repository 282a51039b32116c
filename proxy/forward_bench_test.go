package proxy_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/seal"
)

// BenchmarkForward is a request of a user with 20 groups that is let through, to
// an upstream on loopback and back, without the server's part of it. tuned is the
// least that a reverse proxy of the standard library costs; integration/bench
// compares them as processes. Profile it with -cpuprofile.
func BenchmarkForward(b *testing.B) {
	upstream := startUpstream(b)
	b.Run("tuned", func(b *testing.B) { forwarding(b, tuned(upstream), nil) })
	for _, transport := range []config.UpstreamTransport{config.TransportAuto, config.TransportStandard} {
		b.Run("audit=none/transport="+string(transport), func(b *testing.B) {
			gate, cookie := benchedGate(b, upstream, nil, transport)
			forwarding(b, gate, cookie)
		})
	}
	b.Run("audit=file", func(b *testing.B) {
		gate, cookie := benchedGate(b, upstream, fileQueue(b), config.TransportAuto)
		forwarding(b, gate, cookie)
	})
}

// fileQueue is how serve writes the audit to a file.
func fileQueue(b testing.TB) *audit.Queue {
	b.Helper()
	out, err := audit.Open(filepath.Join(b.TempDir(), "audit.jsonl"), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	q := audit.NewQueue(out, audit.QueueOptions{Label: "audit records", Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { q.Run(ctx) })
	b.Cleanup(func() {
		stop()
		running.Wait()
		if lost := q.Stats().Lost; lost > 0 {
			b.Errorf("%d records are lost", lost)
		}
	})
	return q
}

// A proxied GET with session, decision and audit, both sides of the proxy.
func TestAForwardedRequestAllocatesLittle(t *testing.T) {
	gate, cookie := benchedGate(t, startUpstream(t), fileQueue(t), config.TransportAuto)
	r, w := benchedRequest(cookie), &discard{header: make(http.Header)}
	got := testing.AllocsPerRun(500, func() {
		clear(w.header)
		if gate.ServeHTTP(w, r); w.status != http.StatusOK {
			t.Fatalf("status %d", w.status)
		}
	})
	if got > 40 {
		t.Errorf("%v allocations", got)
	}
}

func benchedRequest(cookie []string) *http.Request {
	r := httptest.NewRequest("GET", "/api/v1/applications/guestbook/resource-tree", nil)
	r.RemoteAddr, r.Host, r.Body = "127.0.0.1:1", "argo-cd.example.com", http.NoBody
	for name, value := range map[string]string{
		"Cookie": "theme=dark; __Host-authgate=" + strings.Repeat("x", 1500), "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https",
		"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Accept": "*/*", "Accept-Encoding": "gzip, deflate, br",
		"Accept-Language": "en-US,en;q=0.5", "Referer": "https://argo-cd.example.com/applications", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors",
	} {
		r.Header.Set(name, value)
	}
	if cookie != nil {
		r.Header.Set(cookie[0], cookie[1])
	}
	return r
}

func forwarding(b *testing.B, handler http.Handler, cookie []string) {
	b.Helper()
	r, w := benchedRequest(cookie), &discard{header: make(http.Header)}
	b.ReportAllocs()
	begun := computed(b)
	for b.Loop() {
		clear(w.header)
		handler.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatalf("status %d", w.status)
		}
	}
	b.ReportMetric(float64(computed(b)-begun)/float64(b.N), "cpu-ns/op") // the upstream's few with it
}

// computed is the time that this process has computed: what else the machine does
// changes it less than the clock.
func computed(b *testing.B) int64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// discard is a response that no client reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) Flush()                      {}

// benchedGate is authgate with 1,000 rules, and the cookie of who may pass. A nil
// queue is audit.output: none.
func benchedGate(b testing.TB, upstream string, records *audit.Queue, transport config.UpstreamTransport) (*proxy.Proxy, []string) {
	b.Helper()
	c, err := config.Parse("authgate.yaml", []byte(strings.NewReplacer("URL", "http://"+upstream, "TRUSTED", "127.0.0.1/32").Replace(settings)))
	if err != nil {
		b.Fatal(err)
	}
	for i := range c.Upstreams {
		c.Upstreams[i].Transport = transport
	}
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	var out io.Writer
	if records != nil {
		out = records
	}
	p, err := proxy.New(proxy.Options{
		Config: c, Issuer: &fakeIssuer{}, Store: cookiestore.New(cookiestore.Options{Cookie: proxy.NewSessionCookie(c.Session.Cookie), Keyring: seal.NewKeyring(keys)}),
		Policy: manyRows(b, 1000), Audit: audit.New(out, log), AuditQueue: records, Registry: prometheus.NewRegistry(), Log: log,
	})
	if err != nil {
		b.Fatal(err)
	}
	cookies := cookiestore.New(cookiestore.Options{Cookie: proxy.NewSessionCookie(c.Session.Cookie), Keyring: seal.NewKeyring(keys)})
	who := identity.Principal{Issuer: "https://dex.example.com", Subject: "CgcxMDAwMDAwEgZnaXRodWI", Email: "bob@example.com", EmailVerified: true, Username: "bob", Expiry: time.Now().Add(time.Hour)}
	who.Groups = []string{"example-org:dev"}
	for range 19 {
		who.Groups = append(who.Groups, "example-org:platform-"+seal.NewKey()[:2])
	}
	w := httptest.NewRecorder()
	if _, err := cookies.Create(b.Context(), w, nil, session.New(identity.TokenSet{Principal: who}, time.Now(), time.Hour), true); err != nil {
		b.Fatal(err)
	}
	cookie := w.Result().Cookies()[0]
	return p, []string{"Cookie", "theme=dark; " + cookie.Name + "=" + cookie.Value}
}

// tuned is httputil.ReverseProxy with the usual settings.
func tuned(upstream string) http.Handler {
	to := &url.URL{Scheme: "http", Host: upstream}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
		},
		Transport:  &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256},
		BufferPool: &sharedBuffers{},
	}
}

type sharedBuffers struct{ pool sync.Pool }

func (s *sharedBuffers) Get() []byte {
	if buffer, ok := s.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32<<10)
}

func (s *sharedBuffers) Put(buffer []byte) { s.pool.Put(&buffer) }

// startUpstream answers every request with 1 KiB, and costs next to nothing.
func startUpstream(b testing.TB) (address string) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024))
	var serving sync.WaitGroup
	var open sync.Map // connections
	b.Cleanup(func() {
		_ = listener.Close()
		open.Range(func(conn, _ any) bool { return conn.(net.Conn).Close() == nil })
		serving.Wait()
	})
	serving.Go(func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			open.Store(conn, nil)
			serving.Go(func() {
				for r := bufio.NewReader(conn); ; {
					line, err := r.ReadSlice('\n')
					if err == nil && len(line) == 2 {
						_, err = conn.Write(answer)
					}
					if err != nil {
						return
					}
				}
			})
		}
	})
	return listener.Addr().String()
}
