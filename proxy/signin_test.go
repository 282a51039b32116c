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
	expect(t, "with the session", g.do("GET", app, sessionOf(res)), http.StatusOK)
	expect(t, "the same callback again", g.callback("alice", state, cookie), http.StatusBadRequest)
	if r := g.records()[2]; r.Event != audit.Login || r.Subject != "sub-alice" || r.Decision != audit.Allow || r.Path != "/oauth2/callback" {
		t.Errorf("%+v", r)
	}
}

func TestSignInFailsBeforeTheIssuerWasReached(t *testing.T) {
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

func TestPortalListsWhatAPersonMayOpen(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for who, want := range map[string][]string{
		"alice": {"https://argo-cd.example.com/", "https://argo-cd.example.com/reports/", "https://argo-workflows.example.com/"},
		"bob":   {"https://argo-cd.example.com/", "https://argo-cd.example.com/reports/"},
		"carol": {"https://argo-cd.example.com/reports/"}, // public
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
	expect(t, "anonymous", g.do("GET", own+"/", browser), http.StatusFound)
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
	g := newGateTo(t, brokenUpstream(t), func(o *proxy.Options) { o.Config.Session.Cookie.Domain = "example.com" })
	begun := g.do("GET", "https://argo-cd.example.com/oauth2/start?rd=/", browser).Header.Get("Set-Cookie")
	if !strings.HasPrefix(begun, "__Host-authgate-login-") || strings.Contains(begun, "Domain") {
		t.Errorf("a sibling host could plant the login %q", begun)
	}
}
