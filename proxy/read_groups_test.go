package proxy_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/cache"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/login"
	"github.com/example-org/authgate/proxy"
)

const refreshURL = own + "/refresh"

func TestAUserReadsTheirGroupsAgain(t *testing.T) {
	t.Parallel()
	g, issuer := keptGate(t, upstreamSaying(t))
	alice := g.signIn("alice")
	expect(t, "as an admin", g.do("POST", app, alice, sameSite), http.StatusOK)
	issuer.says(nil, "example-org:dev")
	issuer.clock.forward(time.Second)
	expect(t, "before", g.do("POST", app, alice, sameSite), http.StatusOK)

	res := g.do("POST", refreshURL, alice, sameSite, browser[:2])
	expect(t, "refresh", res, http.StatusSeeOther)
	if got := res.Header.Get("Location"); got != "/oauth2/" {
		t.Errorf("Location %q", got)
	}
	if res.Header.Get("Cache-Control") == "" {
		t.Errorf("%q", res.Header)
	}
	newer := sessionOf(res)
	if newer == nil {
		t.Fatal("the browser was not given the new groups")
	}
	expect(t, "with the old cookie", g.do("POST", app, alice, sameSite), http.StatusForbidden)
	expect(t, "with the new one", g.do("POST", app, newer, sameSite), http.StatusForbidden)
	expect(t, "what the other team may", g.do("GET", app, newer), http.StatusOK)
	if refreshes := g.of(audit.Refresh); len(refreshes) != 1 || refreshes[0].Reason != "ok" {
		t.Errorf("%+v", refreshes)
	}

	issuer.says(nil) // no group is left
	issuer.clock.forward(11 * time.Second)
	expect(t, "no groups", g.do("POST", refreshURL, newer, sameSite), http.StatusSeeOther)
	expect(t, "without groups", g.do("GET", app, newer), http.StatusForbidden)
}

func TestReadingGroupsAgainLeadsBackWithinThisHost(t *testing.T) {
	t.Parallel()
	for rd, want := range map[string]string{
		"/applications%3Fx=1":   "/applications?x=1",
		"/oauth2/":              "/oauth2/",
		"/oauth2/sign_out":      "/",
		"https://evil.example/": "/",
		"//evil.example/":       "/",
		"":                      "/oauth2/",
	} {
		g, _ := keptGate(t, upstreamSaying(t))
		res := g.do("POST", refreshURL+"?rd="+rd, g.signIn("alice"), sameSite)
		expect(t, rd, res, http.StatusSeeOther)
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("%q led to %q, want %q", rd, got, want)
		}
	}
}

func TestGroupsAreReadAgainOnceInTenSecondsForASession(t *testing.T) {
	t.Parallel()
	g, issuer := keptGate(t, upstreamSaying(t))
	issuer.says(nil, "example-org:argo")
	alice, bob := g.signIn("alice"), g.signIn("bob")
	issuer.clock.forward(time.Second)
	expect(t, "first", g.do("POST", refreshURL, alice, sameSite), http.StatusSeeOther)
	issuer.clock.forward(9 * time.Second)
	script := g.do("POST", refreshURL, alice, sameSite)
	expect(t, "a script", script, http.StatusTooManyRequests)
	if script.Header.Get("Retry-After") != "10" || script.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%q", script.Header)
	}
	page := g.do("POST", refreshURL, alice, arriving("same-origin"))
	expect(t, "a browser", page, http.StatusTooManyRequests)
	if got := body(t, page); !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || !strings.Contains(got, `href="/oauth2/"`) {
		t.Errorf("%q\n%s", page.Header, got)
	}
	expect(t, "another session", g.do("POST", refreshURL, bob, sameSite), http.StatusSeeOther)
	issuer.clock.forward(2 * time.Second)
	expect(t, "later", g.do("POST", refreshURL, alice, sameSite), http.StatusSeeOther)
	if got := len(g.of(audit.Refresh)); got != 3 {
		t.Errorf("the issuer was asked %d times", got)
	}
}

func TestReadingGroupsAgainIsRefusedToOthers(t *testing.T) {
	t.Parallel()
	g, _ := keptGate(t, upstreamSaying(t))
	alice := g.signIn("alice")
	for method, status := range map[string]int{"GET": 405, "HEAD": 405, "PUT": 405, "DELETE": 405} {
		res := g.do(method, refreshURL, alice, sameSite)
		expect(t, method, res, status)
		if res.Header.Get("Allow") != "POST" {
			t.Errorf("%s: Allow %q", method, res.Header.Get("Allow"))
		}
	}
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site", "Origin", evil, "Sec-Fetch-Mode", "navigate"},
		{"Sec-Fetch-Site", "same-site", "Origin", sibling},
		{"Origin", evil},
		{"Origin", "null"},
	} {
		expect(t, strings.Join(headers, " "), g.do("POST", refreshURL, alice, headers), http.StatusForbidden)
		expect(t, "without a session", g.do("POST", refreshURL, headers), http.StatusForbidden)
	}
	res := g.do("POST", refreshURL, sameSite)
	expect(t, "a script without a session", res, http.StatusUnauthorized)
	if got := body(t, res); !strings.Contains(got, `"login":"/oauth2/start"`) {
		t.Error(got)
	}
	page := g.do("POST", refreshURL, arriving("same-origin"), []string{"Referer", own + "/"})
	expect(t, "a browser without a session", page, http.StatusUnauthorized)
	if got := body(t, page); !strings.Contains(got, "/oauth2/start?rd=%2Foauth2%2F") {
		t.Error(got)
	}
	if got := len(g.of(audit.Refresh)); got != 0 {
		t.Errorf("the issuer was asked %d times", got)
	}
}

func TestAnIssuerThatIsDownLeavesTheSessionAsItIs(t *testing.T) {
	t.Parallel()
	g, issuer := keptGate(t, upstreamSaying(t))
	alice := g.signIn("alice")
	issuer.says(errFails)
	issuer.clock.forward(time.Second)
	res := g.do("POST", refreshURL, alice, sameSite)
	expect(t, "down", res, http.StatusServiceUnavailable)
	if got := body(t, res); !strings.Contains(got, "groups_not_refreshed") || strings.Contains(got, "dex.inside") || res.Header.Get("Retry-After") != "10" {
		t.Errorf("%q %s", res.Header, got)
	}
	expect(t, "still signed in", g.do("POST", app, alice, sameSite), http.StatusOK)

	issuer.says(&identity.RefreshRefusedError{Status: 400, Code: "invalid_grant"})
	issuer.clock.forward(11 * time.Second)
	res = g.do("POST", refreshURL, alice, arriving("same-origin"))
	expect(t, "ended by the issuer", res, http.StatusUnauthorized)
	if got := body(t, res); !strings.Contains(got, "/oauth2/start?rd=") {
		t.Error(got)
	}
	expect(t, "signed out", g.do("GET", app, alice), http.StatusUnauthorized)
}

func TestASessionWithoutARefreshTokenSaysHowGroupsAreReadAgain(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	res := g.do("POST", refreshURL, g.as("alice"), arriving("same-origin"))
	expect(t, "refresh", res, http.StatusConflict)
	if got := body(t, res); !strings.Contains(got, `href="/oauth2/start?rd=%2Foauth2%2F&amp;again=1"`) {
		t.Error(got)
	}
	records := g.records()
	if r := records[len(records)-1]; r.Reason != "no_refresh_token" || r.Subject != "sub-alice" || !slices.Contains(r.Roles, "role:admin") {
		t.Errorf("%+v", r)
	}
}

// Replicas that share the session store also share the limit.
func TestReplicasLimitASessionTogether(t *testing.T) {
	t.Parallel()
	shared := cache.NewReplay(100, nil)
	sharing := func(o *proxy.Options) { o.ReadLimit = shared }
	first, issuer := keptGate(t, upstreamSaying(t), sharing)
	issuer.says(nil, "example-org:argo")
	second := newGateWith(t, login.Options{Keyring: first.ring}, "127.0.0.1/32", upstreamSaying(t), sharing, issuer.clock.options,
		func(o *proxy.Options) { o.Issuer = issuer })
	alice := first.signIn("alice")
	expect(t, "the first replica", first.do("POST", refreshURL, alice, sameSite), http.StatusSeeOther)
	expect(t, "the second one", second.do("POST", refreshURL, alice, sameSite), http.StatusTooManyRequests)
}
