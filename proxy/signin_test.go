package proxy_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/proxy"
)

const own = "https://argo-cd.example.com/oauth2"

// begin starts a login and gives its state and the cookie that belongs to it.
func (g *gate) begin(rd string) (state string, cookie []string) {
	g.t.Helper()
	res := g.do("GET", own+"/start?rd="+url.QueryEscape(rd), browser)
	expect(g.t, "start", res, http.StatusFound)
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil {
		g.t.Fatal(err)
	}
	if got := to.Query().Get("redirect_uri"); got != own+"/callback" {
		g.t.Errorf("redirect_uri %q", got)
	}
	kept := res.Cookies()
	if len(kept) != 1 || !strings.HasPrefix(kept[0].Name, "__Host-authgate-login-") || !kept[0].HttpOnly || !kept[0].Secure {
		g.t.Fatalf("cookies %v", kept)
	}
	return to.Query().Get("state"), []string{"Cookie", kept[0].Name + "=" + kept[0].Value}
}

func (g *gate) callback(code, state string, headers ...[]string) *http.Response {
	return g.do("GET", own+"/callback?"+url.Values{"code": {code}, "state": {state}}.Encode(), append(headers, browser)...)
}

// sessionOf gives the session cookie that a response sets, or nothing.
func sessionOf(res *http.Response) []string {
	for _, c := range res.Cookies() {
		if c.Name == "__Host-authgate" && c.MaxAge >= 0 {
			return []string{"Cookie", c.Name + "=" + c.Value}
		}
	}
	return nil
}

func TestLoginComesBackToWhereItBegan(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	state, cookie := g.begin("/applications?view=tiles")
	res := g.callback("alice", state, cookie)
	expect(t, "callback", res, http.StatusFound)
	if got := res.Header.Get("Location"); got != "/applications?view=tiles" {
		t.Errorf("Location %q", got)
	}
	dropped := false
	for _, c := range res.Cookies() {
		dropped = dropped || c.MaxAge < 0 && strings.HasPrefix(cookie[1], c.Name+"=")
	}
	if !dropped {
		t.Errorf("the login's cookie is still there: %v", res.Cookies())
	}
	expect(t, "with the session", g.do("GET", app, sessionOf(res)), http.StatusOK)
	if r := g.records()[2]; r.Event != audit.Login || r.Subject != "sub-alice" || r.Decision != audit.Allow || r.Path != "/oauth2/callback" {
		t.Errorf("%+v", r)
	}
}

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

func TestNobodyCanSignInBeforeTheIssuerWasReached(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	g.issuer.ready = errTest("dex.internal:5556: connection refused")
	res := g.do("GET", own+"/start?rd=/", browser)
	expect(t, "start", res, http.StatusServiceUnavailable)
	if page := body(t, res); strings.Contains(page, "dex.internal") {
		t.Errorf("the page shows the inside:\n%s", page)
	}
	if !strings.Contains(g.log.String(), "dex.internal:5556: connection refused") {
		t.Errorf("the log does not say why:\n%s", g.log)
	}
}

type errTest string

func (e errTest) Error() string { return string(e) }

func TestTabsLogInSideBySideButNotWithoutBound(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	first, firstCookie := g.begin("/first")
	second, secondCookie := g.begin("/second")
	both := []string{"Cookie", firstCookie[1] + "; " + secondCookie[1]}
	for state, want := range map[string]string{first: "/first", second: "/second"} {
		if got := g.callback("alice", state, both).Header.Get("Location"); got != want {
			t.Errorf("Location %q, want %q", got, want)
		}
	}
	var many []string
	for range 5 {
		_, c := g.begin("/")
		many = append(many, c[1])
	}
	res := g.do("GET", own+"/start?rd=/", []string{"Cookie", strings.Join(many, "; ")}, browser)
	dropped := 0
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			dropped++
		}
	}
	if dropped != 5 {
		t.Errorf("%d old logins were dropped, want 5", dropped)
	}
}

func TestSigningOutAsksFirstAndIsDoneByPost(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
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

func TestPortalListsWhatAPersonMayOpen(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for who, want := range map[string][]string{
		"alice": {"https://argo-cd.example.com/", "https://argo-cd.example.com/reports/", "https://argo-workflows.example.com/"},
		"bob":   {"https://argo-cd.example.com/", "https://argo-cd.example.com/reports/"},
		"carol": {"https://argo-cd.example.com/reports/"}, // open to anybody
	} {
		page := body(t, g.do("GET", own+"/", g.as(who), browser))
		if got := strings.Count(page, `<li><a href="`); got != len(want) {
			t.Errorf("%s: %d links, want %d:\n%s", who, got, len(want), page)
		}
		for _, link := range want {
			if !strings.Contains(page, `href="`+link+`"`) {
				t.Errorf("%s: no link to %s in:\n%s", who, link, page)
			}
		}
	}
	expect(t, "nobody", g.do("GET", own+"/", browser), http.StatusFound)
	expect(t, "no such endpoint", g.do("GET", own+"/nothing", g.as("alice")), http.StatusNotFound)
}

func TestPlainHTTPHasNoPrefixAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for range 2 {
		res := g.raw("GET /oauth2/start HTTP/1.1\r\nHost: argo-cd.example.com:8080\r\nConnection: close\r\n\r\n")
		c := res.Cookies()[0]
		to, err := url.Parse(res.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(c.Name, "authgate-login-") || c.Secure || to.Query().Get("redirect_uri") != "http://argo-cd.example.com:8080/oauth2/callback" {
			t.Errorf("%v, %s", c, to)
		}
	}
	if got := strings.Count(g.log.String(), "plain http"); got != 1 {
		t.Errorf("the warning was given %d times:\n%s", got, g.log)
	}
}

func TestALoginIsOfOneHostAlsoWhereTheSessionIsOfADomain(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, "http://127.0.0.1:1", func(o *proxy.Options) { o.Config.Session.Cookie.Domain = "example.com" })
	begun := g.do("GET", "https://argo-cd.example.com/oauth2/start?rd=/", browser).Header.Get("Set-Cookie")
	if !strings.HasPrefix(begun, "__Host-authgate-login-") || strings.Contains(begun, "Domain") {
		t.Errorf("a sibling host could plant the login %q", begun)
	}
}
