package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session/cookie"
)

// oneHost leaves the upstreams of a single host: a sign-out has nowhere else to go.
func oneHost(o *proxy.Options) { o.Config.Upstreams = o.Config.Upstreams[:2] }

func TestSigningOutAsksFirstAndIsDoneByPost(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), oneHost)
	res := g.do("GET", own+"/sign_out?rd=/applications", g.as("alice"), browser)
	expect(t, "GET", res, http.StatusOK)
	if page := body(t, res); !strings.Contains(page, `method="post"`) || !strings.Contains(page, `value="/applications"`) || len(res.Cookies()) != 0 {
		t.Errorf("%v\n%s", res.Cookies(), page)
	}

	for _, origin := range []string{"https://evil.example", "https://friend.example.com"} { // an upstream's friend is not authgate's
		res = g.do("POST", own+"/sign_out", g.as("alice"), []string{"Sec-Fetch-Site", "cross-site", "Origin", origin})
		expect(t, "POST from "+origin, res, http.StatusForbidden)
		if len(res.Cookies()) != 0 {
			t.Errorf("%s signed alice out: %v", origin, res.Cookies())
		}
	}

	res = g.do("POST", own+"/sign_out?rd=https://evil.example", g.as("alice"), sameSite, browser[:2])
	expect(t, "POST", res, http.StatusSeeOther)
	if c := res.Cookies(); len(c) != 1 || c[0].Name != "__Host-authgate" || c[0].MaxAge >= 0 || !c[0].Secure || res.Header.Get("Location") != "/" {
		t.Errorf("%v, Location %q", c, res.Header.Get("Location"))
	}
	all := g.records()
	if r := all[len(all)-1]; r.Event != audit.Logout || r.Subject != "sub-alice" {
		t.Errorf("%+v", r)
	}
	expect(t, "POST without rd", g.do("POST", own+"/sign_out", g.as("alice"), sameSite), http.StatusOK)
}

func TestAfterSigningOutNothingIsShownFromACache(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	res := g.do("POST", own+"/sign_out", g.as("alice"), sameSite)
	if res.Header.Get("Clear-Site-Data") != `"cache"` || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%q", res.Header)
	}
	for what, res := range map[string]*http.Response{
		"anonymous": g.do("POST", own+"/sign_out", sameSite),
		"asking":    g.do("GET", own+"/sign_out", g.as("alice"), browser),
		"no cert":   g.raw("POST /oauth2/sign_out HTTP/1.1\r\nHost: argo-cd.example.com\r\nConnection: close\r\nContent-Length: 0\r\nCookie: authgate=x\r\n\r\n"),
	} {
		if res.Header.Get("Clear-Site-Data") != "" { // browsers take no such word over plain http
			t.Errorf("%s: %q", what, res.Header)
		}
	}
	for _, path := range []string{"/", "/userinfo", "/sign_out", "/nothing"} {
		if res := g.do("GET", own+path, g.as("alice"), browser); res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %q", path, res.Header)
		}
	}
}

// A form of another site comes without the session's cookie, and yet the answer
// could take it away.
func TestAnotherSiteCannotSignOutWithoutACookie(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site", "Origin", evil, "Sec-Fetch-Mode", "navigate"},
		{"Sec-Fetch-Site", "same-site", "Origin", sibling},
		{"Origin", evil},
		{"Origin", "null"},
	} {
		res := g.do("POST", own+"/sign_out", headers)
		expect(t, strings.Join(headers, " "), res, http.StatusForbidden)
		if len(res.Cookies()) != 0 || res.Header.Get("Clear-Site-Data") != "" {
			t.Errorf("%q: %q", headers, res.Header)
		}
	}
}

func TestSigningOutGoesOnToTheIssuerWhereItHasAnAddressForThat(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), oneHost)
	g.issuer.signOut = "https://dex.example.com/logout"
	to := "https://dex.example.com/logout?post_logout_redirect_uri=" + url.QueryEscape(own+"/sign_out")

	res := g.do("POST", own+"/sign_out?rd=/applications", g.as("alice"), sameSite)
	expect(t, "a program", res, http.StatusSeeOther)
	if res.Header.Get("Location") != to {
		t.Errorf("Location %q", res.Header.Get("Location"))
	}
	// A redirect would be held to the form-action of the page that had the button.
	res = g.do("POST", own+"/sign_out", g.as("alice"), arriving("same-origin"))
	goesOnTo(t, "a browser", res, to)
	if c := res.Cookies(); len(c) != 1 || c[0].MaxAge >= 0 {
		t.Errorf("%q", c)
	}
	expect(t, "anonymous", g.do("POST", own+"/sign_out", sameSite), http.StatusOK)

	back := g.do("GET", own+"/sign_out", arriving("cross-site"))
	expect(t, "coming back", back, http.StatusOK)
	if page := body(t, back); !strings.Contains(page, "signed out") || !strings.Contains(page, "The session at the identity provider has also ended") {
		t.Errorf("%s", page)
	}
}

func TestSigningOutSaysWhatItDoesNotEnd(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), oneHost)
	for what, res := range map[string]*http.Response{
		"before":    g.do("GET", own+"/sign_out", g.as("alice"), browser),
		"after":     g.do("POST", own+"/sign_out", g.as("alice"), arriving("same-origin")),
		"anonymous": g.do("GET", own+"/sign_out", browser),
	} {
		if page := body(t, res); !strings.Contains(page, "at its own login provider, for example GitHub") {
			t.Errorf("%s:\n%s", what, page)
		}
	}
}

// inRedis is the cookie of a session that may be in a Redis.
func inRedis(t *testing.T) []string {
	t.Helper()
	w := httptest.NewRecorder()
	jar := cookie.New("authgate", "", http.SameSiteLaxMode)
	if err := jar.Write(w, nil, strings.Repeat("A", 43), time.Now().Add(time.Hour), true); err != nil { // 256 bits
		t.Fatal(err)
	}
	return []string{"Cookie", w.Result().Cookies()[0].Name + "=" + w.Result().Cookies()[0].Value}
}

func TestASessionThatCannotBeEndedIsSaidToLiveOn(t *testing.T) {
	t.Parallel()
	healthy := newGate(t, nil)
	g := healthy.withRedisDown()
	cookie := inRedis(t)
	ask := g.do("GET", own+"/sign_out", cookie, browser)
	expect(t, "asking", ask, http.StatusOK)
	if page := body(t, ask); !strings.Contains(page, "<form") || !strings.Contains(page, "cannot be looked up") {
		t.Errorf("no button:\n%s", page)
	}
	res := g.do("POST", own+"/sign_out", cookie, arriving("same-origin"))
	expect(t, "signing out", res, http.StatusServiceUnavailable)
	if c := res.Cookies(); len(c) != 1 || c[0].Name != "__Host-authgate" || c[0].MaxAge >= 0 {
		t.Errorf("the browser keeps %q", c)
	}
	page := body(t, res)
	for _, want := range []string{"This browser is signed out", "could not be revoked", "UTC at the latest"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in:\n%s", want, page)
		}
	}
	all := g.records()
	if r := all[len(all)-1]; r.Event != audit.Logout || r.Decision != audit.Refuse || r.Reason != "session_not_ended" {
		t.Errorf("%+v", r)
	}
}

func TestACredentialNextToTheCookieDoesNotPreventSignOut(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), oneHost)
	expect(t, "signing out", g.do("POST", own+"/sign_out", g.as("alice"), sameSite, []string{"Authorization", "Basic eDp5"}), http.StatusOK)
	all := g.records()
	if r := all[len(all)-1]; r.Event != audit.Logout || r.Subject != "sub-alice" {
		t.Errorf("%+v", r)
	}
}

func TestASessionIsOverWhereverItsCookieWasCopied(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	alice, elsewhere := g.as("alice"), g.as("alice")
	expect(t, "before", g.do("GET", app, alice), http.StatusOK)
	expect(t, "signing out", g.do("POST", own+"/sign_out", alice, sameSite), http.StatusSeeOther)
	expect(t, "the copy", g.do("GET", app, alice), http.StatusUnauthorized)
	expect(t, "another browser of hers", g.do("GET", app, elsewhere), http.StatusOK)
}
