package proxy_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session/seal"
)

const (
	every = 5 * time.Minute
	grace = 10 * time.Minute
	inDue = every + time.Second
	inOld = every + grace + time.Second
)

// renewing is an issuer that gives refresh tokens, and says at each renewal what
// it is made to say.
type renewing struct {
	*fakeIssuer
	clock *clock
	first identity.TokenSet // its tokens come with a login

	mu     sync.Mutex
	groups []string
	err    error
}

func (r *renewing) Finish(ctx context.Context, l identity.Login, callback url.Values) (identity.TokenSet, error) {
	g, err := r.fakeIssuer.Finish(ctx, l, callback)
	g.RefreshToken, g.FetchedAt = seal.NewKey(), r.clock.now()
	g.IDToken, g.AccessToken = r.first.IDToken, r.first.AccessToken
	return g, err
}

func (r *renewing) Refresh(_ context.Context, g identity.TokenSet) (identity.TokenSet, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return identity.TokenSet{}, r.err
	}
	g.Principal.Groups, g.FetchedAt, g.RefreshToken = r.groups, r.clock.now(), seal.NewKey()
	g.IDToken, g.AccessToken, g.Principal.Expiry = "eyJ.not.shown", "not-shown", r.clock.now().Add(time.Hour)
	return g, nil
}

func (r *renewing) says(err error, groups ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups, r.err = groups, err
}

// keptGate renews groups by a clock that the test puts forward.
func keptGate(t testing.TB, upstream string, changes ...func(*proxy.Options)) (*gate, *renewing) {
	t.Helper()
	issuer := &renewing{fakeIssuer: &fakeIssuer{}, clock: &clock{}}
	g := newGateTo(t, upstream, append(changes, issuer.clock.options, func(o *proxy.Options) {
		o.Issuer = issuer
		o.Config.Session.RefreshEvery, o.Config.Session.RefreshGrace = config.Duration(every), config.Duration(grace)
		o.Config.Session.IdleTimeout = 0
	})...)
	return g, issuer
}

// signIn gives the session's cookie of a user who comes from the issuer.
func (g *gate) signIn(who string) []string {
	g.t.Helper()
	state, cookie := g.begin("/")
	mine := sessionOf(g.callback(who, state, cookie))
	if mine == nil {
		g.t.Fatal("no session")
	}
	return mine
}

// kept runs RunSessions to the end of the test.
func (g *gate) kept() *gate {
	ctx, stop := context.WithCancel(context.Background())
	var keeping sync.WaitGroup
	keeping.Go(func() { g.RunSessions(ctx) })
	g.t.Cleanup(func() { stop(); keeping.Wait() })
	return g
}

func upstreamSaying(t testing.TB, cacheControl ...string) string {
	return serving(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(cacheControl) > 0 {
			w.Header()["Cache-Control"] = cacheControl
		}
		serveEcho(w, r)
	}))
}

func serving(t testing.TB, upstream http.Handler) string {
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	return server.URL
}

var errFails = &identity.UnreachableError{Request: "POST http://dex.inside:5556/token", Reason: "connection refused"}

func TestNewGroupsCountAtOnceAndTheBrowserIsGivenThem(t *testing.T) {
	t.Parallel()
	g, issuer := keptGate(t, upstreamSaying(t))
	alice := g.signIn("alice")
	expect(t, "as an admin", g.do("POST", app, alice, sameSite), http.StatusOK)
	issuer.says(nil, "example-org:dev")
	issuer.clock.forward(inDue)
	first := g.do("POST", app, alice, sameSite)
	expect(t, "after leaving the team", first, http.StatusForbidden)
	res := g.do("GET", app, alice)
	expect(t, "what the other team may", res, http.StatusOK)
	if got := echoed(t, res).Header.Get("X-Forwarded-Groups"); got != "example-org:dev" {
		t.Errorf("the upstream is told of %q", got)
	}
	newer := sessionOf(first)
	if newer == nil {
		t.Fatal("the browser was not given the new session")
	}
	if len(newer[1]) > len(alice[1])+64 {
		t.Errorf("the cookie grew from %d to %d bytes: it keeps tokens that no upstream needs", len(alice[1]), len(newer[1]))
	}
	if sessionOf(g.do("GET", app, newer)) != nil {
		t.Error("the browser is given it again")
	}
	var known struct {
		Groups     []string
		Refreshed  time.Time
		Roles      []string
		StaleSince *time.Time `json:"stale_since"`
	}
	if err := json.Unmarshal([]byte(body(t, g.do("GET", own+"/userinfo", newer))), &known); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(known.Groups, []string{"example-org:dev"}) || !slices.Equal(known.Roles, []string{"role:viewer"}) ||
		issuer.clock.now().Sub(known.Refreshed) > time.Minute || known.StaleSince != nil {
		t.Errorf("%+v", known)
	}
	refreshes := g.of(audit.Refresh)
	if len(refreshes) != 1 || refreshes[0].Decision != audit.Allow || refreshes[0].Reason != "ok" || refreshes[0].Subject != "sub-alice" {
		t.Errorf("%+v", refreshes)
	}
	if got := g.metric("authgate_refreshes_total", "result", "ok"); got != 1 {
		t.Errorf("%v renewals are counted", got)
	}
}

func TestNoSharedCacheKeepsAnAnswerThatCarriesASession(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ upstream, private string }{
		{"", "private"},
		{"public, max-age=600", "private, max-age=600"},
		{"s-maxage=600, Max-Age=5, immutable", "private, Max-Age=5, immutable"},
		{"private", "private"},
		{"no-store", "private, no-store"},
		{`private="Set-Cookie, X-A"`, "private, no-cache"},
	} {
		var says []string
		if test.upstream != "" {
			says = []string{test.upstream}
		}
		g, issuer := keptGate(t, upstreamSaying(t, says...))
		alice := g.signIn("alice")
		if got := g.do("GET", app, alice).Header.Get("Cache-Control"); got != test.upstream {
			t.Errorf("%q: without a session in it, it is %q", test.upstream, got)
		}
		issuer.says(nil, "example-org:argo")
		issuer.clock.forward(inDue)
		res := g.do("GET", app, alice)
		if got := res.Header.Get("Cache-Control"); got != test.private || sessionOf(res) == nil {
			t.Errorf("%q: with it, it is %q: %q", test.upstream, got, res.Header)
		}
	}
}

func TestOldGroupsGoOnForAWhileWhenTheIssuerFails(t *testing.T) {
	t.Parallel()
	g, issuer := keptGate(t, upstreamSaying(t))
	alice := g.signIn("alice")
	issuer.says(errFails)
	issuer.clock.forward(inDue)
	expect(t, "within the grace", g.do("GET", app, alice), http.StatusOK)
	res := g.do("GET", own+"/userinfo", alice)
	expect(t, "userinfo", res, http.StatusOK)
	if got := body(t, res); !strings.Contains(got, `"stale_since":"2`) || !strings.Contains(got, `"stale_reason":"the identity provider is unreachable"`) ||
		strings.Contains(got, "dex.inside") {
		t.Errorf("userinfo: %s", got)
	}

	issuer.clock.forward(grace)
	page := g.do("GET", "https://argo-cd.example.com/applications?x=1", alice, browser)
	expect(t, "a page", page, http.StatusServiceUnavailable)
	if html := body(t, page); page.Header.Get("Retry-After") == "" || !strings.Contains(html, "/oauth2/start?rd=%2Fapplications%3Fx%3D1") || !strings.Contains(html, "identity provider has not answered") {
		t.Errorf("%q\n%s", page.Header, html)
	}
	script := g.do("GET", app, alice, sameSite)
	expect(t, "a script", script, http.StatusServiceUnavailable)
	if got := body(t, script); !strings.Contains(got, "urn:authgate:problem:groups_stale") {
		t.Error(got)
	}
	open := g.do("POST", "https://argo-cd.example.com/api/dex/token", alice, sameSite)
	expect(t, "a public path", open, http.StatusOK)
	if got := echoed(t, open).Header.Get("X-Forwarded-User"); got != "" {
		t.Errorf("the upstream is told of %q", got)
	}
	issuer.says(nil, "example-org:argo")
	issuer.clock.forward(2 * time.Minute)
	expect(t, "when it answers again", g.do("GET", app, alice), http.StatusOK)
	if got := body(t, g.do("GET", own+"/userinfo", alice)); strings.Contains(got, "stale") {
		t.Errorf("userinfo: %s", got)
	}
	if got := g.metric("authgate_refreshes_total", "result", "unavailable"); got < 2 {
		t.Errorf("%v failures are counted", got)
	}
	if r := g.of(audit.Refresh)[0]; r.Decision != audit.Refuse || r.Reason != "unavailable" || r.Email != "alice@example.com" {
		t.Errorf("%+v", r)
	}
}

func TestASessionThatTheIssuerHasEndedLeadsToTheLogin(t *testing.T) {
	t.Parallel()
	g, issuer := keptGate(t, upstreamSaying(t))
	alice := g.signIn("alice")
	issuer.says(&identity.RefreshRefusedError{Status: 400, Code: "invalid_request"})
	issuer.clock.forward(inDue)
	expect(t, "opening a page", g.do("GET", app, alice, browser), http.StatusFound)
	const referer = "https://argo-cd.example.com/settings/repos?new=true"
	for name, test := range map[string]struct {
		cookie []string
		method string
		as     [][]string
		want   []string
	}{
		"script":           {alice, "GET", [][]string{sameSite}, []string{`"reason":"session_expired"`, `"login":"/oauth2/start"`, "login_required"}},
		"script that asks": {nil, "GET", nil, []string{`"reason":"no_session"`}},
		"broken":           {[]string{"Cookie", alice[1][:len(alice[1])-8] + "AAAAAAAA"}, "GET", nil, []string{`"reason":"session_invalid"`}},
		"form": {
			alice, "POST",
			[][]string{arriving("same-origin"), {"Referer", referer}},
			[]string{"/oauth2/start?rd=%2Fsettings%2Frepos%3Fnew%3Dtrue", "Your session has ended", "your request had no effect"},
		},
		"form of another page": {
			alice, "POST",
			[][]string{arriving("same-origin"), {"Referer", "https://evil.example.com/settings"}},
			[]string{`/oauth2/start?rd=%2F"`, "Your session has ended"},
		},
	} {
		headers := append([][]string{}, test.as...)
		if test.cookie != nil {
			headers = append(headers, test.cookie)
		}
		res := g.do(test.method, app, headers...)
		expect(t, name, res, http.StatusUnauthorized)
		text := body(t, res)
		for _, want := range test.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is missing in\n%s", name, want, text)
			}
		}
		if len(res.Cookies()) > 0 {
			t.Errorf("%s: it would sign another tab out: %q", name, res.Cookies())
		}
	}
	if got := g.metric("authgate_refreshes_total", "result", "revoked"); got != 1 {
		t.Errorf("%v revocations are counted", got)
	}
}

func TestAStoreThatDoesNotAnswerSignsNoUserOutOrIn(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil).withRedisDown()
	cookie := inRedis(t)
	for name, as := range map[string][]string{"a page": browser, "a script": sameSite} {
		res := g.do("GET", app, cookie, as)
		expect(t, name, res, http.StatusServiceUnavailable)
		if got := body(t, res); res.Header.Get("Retry-After") == "" || !strings.Contains(got, "session store is not responding") || len(res.Cookies()) > 0 {
			t.Errorf("%s: %q\n%s", name, res.Header, got)
		}
	}
	expect(t, "anonymous", g.do("GET", app, sameSite), http.StatusUnauthorized)
	expect(t, "a public path", g.do("GET", "https://argo-cd.example.com/api/dex/x", cookie), http.StatusBadGateway) // it went on
	ready := g.do("GET", "https://x/readyz")
	expect(t, "ready", ready, http.StatusServiceUnavailable)
	if got := body(t, ready); !strings.Contains(got, `"sessions":"down"`) || !strings.Contains(got, "the session store has not been reached yet") {
		t.Error(got)
	}
	if got := body(t, newGate(t, nil).do("GET", "https://x/readyz")); !strings.Contains(got, `"sessions":"ok"`) {
		t.Error(got)
	}
}

func TestStreamsFollowTheGroupsOfTheirSession(t *testing.T) {
	t.Parallel()
	for want, says := range map[string]struct {
		err    error
		groups []string
		after  time.Duration
	}{
		"":        {nil, []string{"example-org:dev"}, inDue}, // may still read
		"denied":  {nil, []string{"example-org:other"}, inDue},
		"expired": {&identity.RefreshRefusedError{Status: 400}, nil, inDue},
		"stale":   {errFails, nil, inOld},
	} {
		behind, url := newStreamer(t)
		g, issuer := keptGate(t, url)
		alice := g.signIn("alice")
		c := g.connect("GET /events/a HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nCookie: " + alice[1] + "\r\n\r\n")
		c.head()
		c.chunk()
		eventually(t, "the write has ended, or it would seem to take as long as the clock jumps", func() bool { return g.Stalled() == 0 })
		issuer.says(says.err, says.groups...)
		issuer.clock.forward(says.after)
		g.kept().watched()
		if want == "" {
			eventually(t, "the groups are read again", func() bool { return len(g.of(audit.Refresh)) == 1 })
			behind.next <- "data: more\n\n"
			if got := c.chunk(); got != "data: more\n\n" {
				t.Errorf("%q", got)
			}
			if cuts := g.of(audit.StreamCut); len(cuts) != 0 {
				t.Errorf("%+v", cuts)
			}
			continue
		}
		c.take("0\r\n\r\n")
		if cuts := g.of(audit.StreamCut); len(cuts) != 1 || cuts[0].Reason != want || g.metric("authgate_streams_cut_total", "reason", want) != 1 {
			t.Errorf("%s: %+v", want, cuts)
		}
	}
}

func TestGroupsThatDoNotFitAreLeftOutUnlessThePolicyNamesThem(t *testing.T) {
	t.Parallel()
	var many []string
	for range 2000 {
		many = append(many, "example-org:"+seal.NewKey()) // random, or they compress to nothing
	}
	g := newGateTo(t, upstreamSaying(t), func(o *proxy.Options) {
		o.Issuer = granting{&fakeIssuer{}, func() identity.TokenSet {
			one := granted(people["alice"])
			one.Principal.Groups = slices.Concat(many[:1000], []string{"example-org:argo"}, many[1000:])
			return one
		}}
	})
	alice := g.signIn("any-code")
	res := g.do("POST", app, alice, sameSite)
	expect(t, "by the group that counts", res, http.StatusOK)
	if got := echoed(t, res).Header.Get("X-Forwarded-Groups"); got != "example-org:argo" {
		t.Errorf("the upstream is told of %.80q", got)
	}
	if got := body(t, g.do("GET", own+"/userinfo", alice)); !strings.Contains(got, `"groups":["example-org:argo"]`) || !strings.Contains(got, `"groups_dropped":2000`) {
		t.Errorf("%.300s", got)
	}
	if log := g.log.String(); !strings.Contains(log, "were dropped") || !strings.Contains(log, "groups_dropped=2000") {
		t.Errorf("the log does not say so:\n%s", log)
	}
}
