package proxy_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/login"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session/redisstore"
	"github.com/example-org/authgate/session/seal"
)

func TestCallbackThatFinishesNoLoginOffersToStartAgain(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	state, cookie := g.begin("/")
	otherState, otherCookie := g.begin("/")
	used, usedCookie := g.begin("/")
	expect(t, "first use", g.callback("alice", used, usedCookie), http.StatusFound)

	for name, res := range map[string]*http.Response{
		"no cookie":               g.callback("alice", state),
		"another login's cookie":  g.callback("alice", state, otherCookie),
		"another login's state":   g.callback("alice", otherState, cookie),
		"no state":                g.callback("alice", "", cookie),
		"short state":             g.callback("alice", "x", cookie),
		"replayed":                g.callback("alice", used), // the browser has dropped the cookie
		"cookie of the same name": g.callback("alice", state, []string{"Cookie", strings.Replace(otherCookie[1], otherState[:8], state[:8], 1)}),
		"bookmarked":              g.do("GET", own+"/callback", browser),
	} {
		expect(t, name, res, http.StatusBadRequest)
		if page := body(t, res); !strings.Contains(page, "Start again") || !strings.Contains(page, "/oauth2/start?rd=") {
			t.Errorf("%s: no way to start again in:\n%s", name, page)
		}
		if sessionOf(res) != nil || res.Header.Get("Location") != "" {
			t.Errorf("%s: %q", name, res.Header)
		}
	}
}

func TestABackButtonOrBookmarkOfACallbackLeadsToTheStartPageInASession(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	state, cookie := g.begin("/applications")
	mine := sessionOf(g.callback("alice", state, cookie))
	for name, c := range map[string]struct {
		res *http.Response
		to  string
	}{
		"back button":                 {g.callback("alice", state, mine), "/applications"},
		"bookmark":                    {g.do("GET", own+"/callback", mine, browser), "/"},
		"bookmark of another release": {g.callback("alice", "2f6vT0Kd1rW5bq9", mine), "/"},
		"bookmark of a refused login": {g.do("GET", own+"/callback?error=access_denied&state="+url.QueryEscape(state), mine, browser), "/applications"},
	} {
		expect(t, name, c.res, http.StatusSeeOther)
		if got := c.res.Header.Get("Location"); got != c.to || sessionOf(c.res) != nil {
			t.Errorf("%s: to %q, %q", name, got, c.res.Cookies())
		}
	}
	all := g.records()
	if r := all[len(all)-1]; r.Event != audit.Request || r.Subject != "sub-alice" || r.Reason != "signed_in_already" {
		t.Errorf("%+v", r)
	}
	if got := g.metric("authgate_logins_total", "result", "invalid_state"); got != 0 {
		t.Errorf("%v logins are counted as failed", got)
	}
}

func TestALoginThatNeverReturnsIsOverAfterAWhile(t *testing.T) {
	t.Parallel()
	var clock clock
	g := newGateTo(t, brokenUpstream(t), clock.options)
	state, cookie := g.begin("/")
	clock.forward(16 * time.Minute)
	expect(t, "after a quarter of an hour", g.callback("alice", state, cookie), http.StatusBadRequest)
	state, cookie = g.begin("/")
	clock.forward(14 * time.Minute)
	expect(t, "before", g.callback("alice", state, cookie), http.StatusFound)
}

func TestALoginIsWorthASessionOfItsOwnWhateverCookieCameAlong(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	planted := g.as("bob") // by a user who knows it
	state, cookie := g.begin("/")
	mine := sessionOf(g.callback("alice", state, []string{"Cookie", planted[1] + "; " + cookie[1]}))
	if mine == nil || mine[1] == planted[1] {
		t.Fatalf("the session that was planted is signed in: %q", mine)
	}
	if got := echoed(t, g.do("GET", app, mine)).Header.Get("X-Forwarded-User"); got != "sub-alice" {
		t.Errorf("signed in as %q", got)
	}
	if got := echoed(t, g.do("GET", app, planted)).Header.Get("X-Forwarded-User"); got != "sub-bob" {
		t.Errorf("the one that was planted is %q now", got)
	}
}

func TestLoginThatFailsShowsAnIDThatTheLogExplains(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	state, cookie := g.begin("/")
	res := g.callback("wrong-secret", state, cookie)
	expect(t, "wrong client secret", res, http.StatusBadGateway)
	page := body(t, res)
	all := g.records()
	r := all[len(all)-1]
	if r.Event != audit.LoginFailed || !strings.Contains(page, r.ID) {
		t.Errorf("the page does not show %s:\n%s", r.ID, page)
	}
	log := g.log.String()
	if !strings.Contains(log, r.ID) || !strings.Contains(log, "invalid_client") {
		t.Errorf("the log does not explain %s:\n%s", r.ID, log)
	}

	state, cookie = g.begin("/")
	res = g.do("GET", own+"/callback?error=access_denied&state="+state, cookie, browser)
	expect(t, "access_denied", res, http.StatusForbidden)
}

func TestASessionThatCookiesCannotHoldNamesTheStoreThatCan(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), func(o *proxy.Options) {
		o.Issuer = granting{&fakeIssuer{}, func() identity.TokenSet {
			g := granted(people["alice"])
			for range 2000 { // random, or they compress to nothing
				g.Principal.Groups = append(g.Principal.Groups, "example-org:"+seal.NewKey())
			}
			return g
		}}
		o.Policy = load(t, rules+"g, example-org:*, role:viewer\n") // which names them all
	})
	state, cookie := g.begin("/applications")
	res := g.callback("x", state, cookie)
	expect(t, "callback", res, http.StatusInternalServerError)
	page := body(t, res)
	for where, text := range map[string]string{"page": page, "log": g.log.String()} {
		if !strings.Contains(text, "session.store: redis") || !strings.Contains(text, "fewer groups") {
			t.Errorf("the %s does not say how to fix it:\n%s", where, text)
		}
	}
	if sessionOf(res) != nil || g.metric("authgate_logins_total", "result", "too_large") != 1 {
		t.Errorf("%q", res.Cookies())
	}
}

func TestALoginWhoseSessionCannotBeKeptOffersToStartAgain(t *testing.T) {
	t.Parallel()
	healthy := newGate(t, nil)
	g := healthy.withRedisDown()
	state, cookie := healthy.begin("/applications")
	res := g.callback("alice", state, cookie)
	expect(t, "callback", res, http.StatusServiceUnavailable)
	if page := body(t, res); res.Header.Get("Retry-After") == "" || !strings.Contains(page, "/oauth2/start?rd=%2Fapplications") {
		t.Errorf("%q\n%s", res.Header, page)
	}
	if all := g.records(); all[len(all)-1].Reason != "session_store_down" {
		t.Errorf("%+v", all[len(all)-1])
	}
	if got := g.metric("authgate_logins_total", "result", "store_down"); got != 1 {
		t.Errorf("%v logins are counted", got)
	}

	res = g.do("GET", own+"/start?rd=/", browser)
	expect(t, "no redirect to a login that cannot end", res, http.StatusServiceUnavailable)
	if len(res.Cookies()) != 0 || res.Header.Get("Retry-After") == "" {
		t.Errorf("%q", res.Header)
	}
}

func TestTokensOfTheIssuerThatNoUpstreamNeedsAreNotKept(t *testing.T) {
	t.Parallel()
	grant := granted(people["alice"])
	size := func(g identity.TokenSet) int {
		gate := newGateTo(t, brokenUpstream(t), func(o *proxy.Options) { o.Issuer = granting{&fakeIssuer{}, func() identity.TokenSet { return g }} })
		state, cookie := gate.begin("/")
		return len(sessionOf(gate.callback("x", state, cookie))[1])
	}
	lean := size(grant)
	grant.IDToken, grant.AccessToken = seal.NewKey()+seal.NewKey(), seal.NewKey()+seal.NewKey()
	if got := size(grant); got > lean+20 {
		t.Errorf("a session of %d bytes has %d with tokens", lean, got)
	}
}

func TestWithoutARefreshTokenASessionEndsWithItsIDTokenAndTheNextIsSilent(t *testing.T) {
	t.Parallel()
	var clock clock
	g := newGateTo(t, brokenUpstream(t), clock.options)
	state, cookie := g.begin("/applications")
	mine := sessionOf(g.callback("alice", state, cookie)) // for an hour, where sessions may last for 12
	clock.forward(59 * time.Minute)
	expect(t, "before", g.do("GET", own+"/userinfo", mine), http.StatusOK)
	clock.forward(2 * time.Minute)
	res := g.do("GET", here+"/applications?view=tiles", mine, browser)
	expect(t, "after", res, http.StatusFound)
	if got := res.Header.Get("Location"); got != "/oauth2/start?rd="+url.QueryEscape("/applications?view=tiles") {
		t.Errorf("Location %q", got)
	}
}

// granting is an issuer that lets every user in as one.
type granting struct {
	*fakeIssuer
	grant func() identity.TokenSet
}

func (g granting) Finish(context.Context, identity.Login, url.Values) (identity.TokenSet, error) {
	return g.grant(), nil
}

// withRedisDown is another authgate with the same keys.
func (g *gate) withRedisDown() *gate {
	g.t.Helper()
	l := login.Options{Keyring: g.ring}
	return newGateWith(g.t, l, "127.0.0.1/32", brokenUpstream(g.t), func(o *proxy.Options) {
		o.Config.Session.Store = config.StoreRedis
		store, err := redisstore.New(redisstore.Options{URL: "redis://127.0.0.1:1", Cookie: proxy.NewSessionCookie(o.Config.Session.Cookie), Keyring: g.ring, Now: o.Now})
		if err != nil {
			g.t.Fatal(err)
		}
		g.t.Cleanup(func() { store.Close() })
		o.Store = store
	})
}

// metric reads one number.
func (g *gate) metric(name, label, value string) float64 {
	g.t.Helper()
	families, err := g.registry.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	g.t.Errorf("no %s{%s=%q}", name, label, value)
	return -1
}
