package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/admin"
	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/login"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/seal"
)

const rules = `
p, system:anonymous, argocd, /api/dex/**, *, allow
p, role:viewer, argocd, /**, GET, allow
p, role:admin, *, /**, *, allow
p, role:viewer, argocd, /secret/**, *, deny
p, role:viewer, argocd, /api/dex/internal, *, deny
p, system:authenticated, argocd, /welcome, GET, allow
p, user:bob@example.com, workflows, /mine, GET, allow
p, system:anonymous, reports, /reports/, GET, allow
p, user:carol@example.com, workflows, /mine, GET, allow
g, example-org:dev, role:viewer
g, example-org:argo, role:admin
`

// settings is authgate.yaml but for the upstreams' addresses.
const settings = `
issuer: {url: "https://dex.example.com", clientID: authgate, clientSecret: not-shown}
session: {keys: {env: UNUSED}}
policy: {files: [policy.csv]}
audit: {output: none}
trustedProxies: [TRUSTED]
upstreams:
- {name: argocd, hosts: [argo-cd.example.com], url: "URL", kind: argo-cd, allowedOrigins: ["https://friend.example.com"], identity: {headers: true}}
- {name: reports, hosts: [argo-cd.example.com], path: /reports, url: "URL"}
- {name: workflows, hosts: [argo-workflows.example.com], url: "URL", kind: argo-workflows, hostHeader: inside.example.com, identity: {headers: false}}
`

// people are whom the fake issuer knows, by the code that it would give them.
var people = map[string]identity.Principal{
	"alice": {Subject: "sub-alice", Email: "alice@example.com", EmailVerified: true, Username: "alice", Groups: []string{"example-org:argo"}},
	"bob":   {Subject: "sub-bob", Email: "bob@example.com", EmailVerified: true, Username: "bob", Groups: []string{"example-org:dev", "odd, group%\n"}},
	"carol": {Subject: "sub-carol", Email: "carol@example.com", Username: "carol"},
}

// fakeIssuer stands in for the relying party: package identity has its own tests
// against issuers, and integration/ has a real one.
type fakeIssuer struct {
	ready   error
	refresh session.RefreshFunc
	logout  func(raw string) (identity.Logout, error)
	signOut string        // end_session_endpoint; empty: none
	begin   func()        // called for each login; nil: nothing is
	asked   atomic.Int64  // codes
	slow    chan struct{} // answers wait for it to be closed; nil: they do not
}

func (f *fakeIssuer) Ready() error { return f.ready }
func (f *fakeIssuer) Up() bool     { return f.ready == nil }

func (f *fakeIssuer) Begin(redirectURI string, o identity.BeginOptions) (identity.Login, string, error) {
	if f.ready != nil {
		return identity.Login{}, "", f.ready
	}
	if f.begin != nil {
		f.begin()
	}
	l := identity.Login{Verifier: rand.Text(), RedirectURI: redirectURI}
	state, err := o.State(l)
	if err != nil {
		return identity.Login{}, "", err
	}
	l.State = state
	asked := url.Values{"state": {l.State}, "redirect_uri": {redirectURI}}
	if o.Prompt != "" {
		asked.Set("prompt", o.Prompt)
	}
	return l, "https://dex.example.com/auth?" + asked.Encode(), nil
}

func (f *fakeIssuer) Finish(_ context.Context, l identity.Login, callback url.Values) (identity.TokenSet, error) {
	f.asked.Add(1)
	if f.slow != nil {
		<-f.slow
	}
	switch {
	case callback.Get("state") != l.State:
		return identity.TokenSet{}, identity.ErrStateMismatch
	case callback.Get("error") != "":
		return identity.TokenSet{}, &identity.LoginRefusedError{Code: callback.Get("error")}
	case callback.Get("code") == "wrong-secret":
		return identity.TokenSet{}, &identity.ExchangeError{Status: 401, Code: "invalid_client"}
	}
	p, ok := people[callback.Get("code")]
	if !ok {
		return identity.TokenSet{}, errors.New("unknown code")
	}
	return granted(p), nil
}

// granted is what the issuer gives for a principal; without a refresh token.
func granted(p identity.Principal) identity.TokenSet {
	p.Issuer, p.Expiry = "https://dex.example.com", time.Now().Add(time.Hour)
	return identity.TokenSet{Principal: p, FetchedAt: time.Now()}
}

func (f *fakeIssuer) Refresh(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
	if f.refresh == nil {
		return identity.TokenSet{}, errors.New("no answer")
	}
	return f.refresh(ctx, g)
}

func (f *fakeIssuer) ReadLogout(_ context.Context, raw string) (identity.Logout, error) {
	if f.logout == nil {
		return identity.Logout{}, errors.New("not a logout token")
	}
	return f.logout(raw)
}

func (f *fakeIssuer) SignOutURL(_ identity.TokenSet, back string) string {
	if f.signOut == "" {
		return ""
	}
	return f.signOut + "?" + url.Values{"post_logout_redirect_uri": {back}}.Encode()
}

// gate is an authgate on a loopback port, in front of one server that plays
// every upstream.
type gate struct {
	*proxy.Proxy
	t        testing.TB
	address  string
	issuer   *fakeIssuer
	admin    *admin.Handler
	ring     *seal.Keyring
	cookies  *cookiestore.Store
	registry *prometheus.Registry
	log      *syncBuffer
	audit    *syncBuffer
}

// newGate starts one. A nil upstream echoes what it was sent (type echo).
func newGate(t testing.TB, upstream http.Handler) *gate {
	t.Helper()
	if upstream == nil {
		upstream = http.HandlerFunc(serveEcho)
	}
	behind := httptest.NewServer(upstream)
	t.Cleanup(behind.Close)
	return newGateTo(t, behind.URL)
}

// brokenUpstream gives the URL of a server that closes every connection: requests
// that are let through get 502 at once, where a refused dial is tried again first.
func brokenUpstream(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

func newGateTo(t testing.TB, upstreamURL string, changes ...func(*proxy.Options)) *gate {
	t.Helper()
	return newGateBehind(t, "127.0.0.1/32", upstreamURL, changes...) // the test plays the balancer
}

func newGateBehind(t testing.TB, trusted, upstreamURL string, changes ...func(*proxy.Options)) *gate {
	t.Helper()
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	return newGateWith(t, login.Options{Keyring: seal.NewKeyring(keys)}, trusted, upstreamURL, changes...)
}

// newGateWith starts one whose login has the keys and the replay cache of the options.
func newGateWith(t testing.TB, l login.Options, trusted, upstreamURL string, changes ...func(*proxy.Options)) *gate {
	t.Helper()
	c, err := config.Parse("authgate.yaml", []byte(strings.NewReplacer("URL", upstreamURL, "TRUSTED", trusted).Replace(settings)))
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, issuer: &fakeIssuer{}, ring: l.Keyring, registry: prometheus.NewRegistry(), log: &syncBuffer{}, audit: &syncBuffer{}}
	g.cookies = cookiestore.New(cookiestore.Options{Cookie: proxy.NewSessionCookie(c.Session.Cookie), Keyring: g.ring})
	log := slog.New(slog.NewTextHandler(g.log, nil))
	options := proxy.Options{
		Config: c, Issuer: g.issuer, Policy: load(t, rules), Audit: audit.New(g.audit, log), Registry: g.registry, Log: log,
	}
	for _, change := range changes {
		change(&options)
	}
	for i := range c.Upstreams {
		if standardTransport {
			c.Upstreams[i].Transport = config.TransportStandard
		}
	}
	if options.Store == nil {
		options.Store = cookiestore.New(cookiestore.Options{
			Cookie: proxy.NewSessionCookie(c.Session.Cookie), Keyring: g.ring, IdleTimeout: time.Duration(c.Session.IdleTimeout),
			PolicyNames: func(group string) bool { return g.MentionsGroup(group) }, Now: options.Now,
		})
	}
	if g.Proxy, err = proxy.New(options); err != nil {
		t.Fatal(err)
	}
	l.Config, l.Issuer, l.Sessions, l.SessionCookie = c, options.Issuer.(login.Issuer), g.Sessions(), proxy.NewSessionCookie(c.Session.Cookie)
	l.Endpoints, l.ServesHost, l.EndStreams = g.Endpoints(), g.ServesHost, g.EndStreams
	l.Registry, l.Log, l.Now = options.Registry, options.Log, options.Now
	g.MountLogin(login.New(l))
	g.admin = admin.New(admin.Options{
		Issuer: options.Issuer.(admin.Issuer), Sessions: g.Sessions(), State: g.Proxy, Audit: options.Audit, AuditQueue: options.AuditQueue,
		Overloaded: options.Overloaded, Log: options.Log, Now: options.Now,
	})
	server := httptest.NewServer(g.admin.Traffic(g))
	t.Cleanup(server.Close)
	g.address = server.Listener.Addr().String()
	return g
}

func load(t testing.TB, csv string) *policy.Snapshot {
	t.Helper()
	s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(csv)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// as gives the cookie of a signed-in person, as the browser of an https site
// keeps it.
func (g *gate) as(who string) []string {
	g.t.Helper()
	w := httptest.NewRecorder()
	if _, err := g.cookies.Create(g.t.Context(), w, nil, session.New(granted(people[who]), time.Now(), time.Hour), true); err != nil {
		g.t.Fatal(err)
	}
	cookie := w.Result().Cookies()[0]
	return []string{"Cookie", cookie.Name + "=" + cookie.Value}
}

// Headers of requests, to be joined.
var (
	https    = []string{"X-Forwarded-Proto", "https"}
	browser  = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "none", "Accept", "text/html,*/*"}
	sameSite = []string{"Sec-Fetch-Site", "same-origin"}
)

// do sends one request through a balancer that speaks https to the client. The
// URL is as a client would write it; its host and path go out byte for byte.
func (g *gate) do(method, rawURL string, headers ...[]string) *http.Response {
	g.t.Helper()
	host, path, _ := strings.Cut(strings.TrimPrefix(rawURL, "https://"), "/")
	head := method + " /" + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n"
	for _, pairs := range append([][]string{https}, headers...) {
		for i := 0; i < len(pairs); i += 2 {
			head += pairs[i] + ": " + pairs[i+1] + "\r\n"
		}
	}
	return g.raw(head + "\r\n")
}

// raw sends bytes and reads one response.
func (g *gate) raw(request string) *http.Response {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		g.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	answers := bufio.NewReader(conn)
	res, err := http.ReadResponse(answers, &http.Request{Method: method})
	for err == nil && res.StatusCode == http.StatusContinue {
		res, err = http.ReadResponse(answers, &http.Request{Method: method})
	}
	if err != nil {
		g.t.Fatalf("no response to %q: %v", request, err)
	}
	whole, err := io.ReadAll(res.Body) // its end is the end of the exchange: the record is written
	if err != nil {
		g.t.Fatalf("response to %q: %v", request, err)
	}
	res.Body = io.NopCloser(bytes.NewReader(whole))
	return res
}

func body(t testing.TB, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// expect fails unless the response has the status.
func expect(t testing.TB, what string, res *http.Response, status int) {
	t.Helper()
	if res.StatusCode != status {
		t.Errorf("%s: status %d, want %d: %s", what, res.StatusCode, status, body(t, res))
	}
}

// echo is what the upstream saw.
type echo struct {
	Method, Host, RequestURI string
	Header                   http.Header
	Trailer                  http.Header
	Body                     string
}

func serveEcho(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	_ = json.NewEncoder(w).Encode(echo{r.Method, r.Host, r.RequestURI, r.Header, r.Trailer, string(b)})
}

func echoed(t *testing.T, res *http.Response) echo {
	t.Helper()
	var e echo
	text := body(t, res)
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("status %d is no echo: %s", res.StatusCode, text)
	}
	return e
}

// records are the audit so far.
func (g *gate) records() []audit.Record {
	g.t.Helper()
	var all []audit.Record
	for line := range strings.Lines(g.audit.String()) {
		var r audit.Record
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&r); err != nil {
			g.t.Fatalf("%q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

// syncBuffer is written by servers and read by the test.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b = bytes.Buffer{}
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
