package proxy_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/example-org/authgate/proxy"
)

func askingFirst(o *proxy.Options) { o.Config.Issuer.AutoRedirect = false }

var signInButton = regexp.MustCompile(`<a href="([^"]*)" class="button">Sign in with dex\.example\.com</a>`)

// buttonOf gives the address of the one button.
func buttonOf(t *testing.T, what string, res *http.Response) string {
	t.Helper()
	expect(t, what, res, http.StatusOK)
	page := body(t, res)
	found := signInButton.FindAllStringSubmatch(page, -1)
	if len(found) != 1 || strings.Contains(page, "http-equiv") || strings.Contains(page, "<script") {
		t.Fatalf("%s: no page with one button:\n%s", what, page)
	}
	return strings.ReplaceAll(found[0][1], "&amp;", "&")
}

func TestWithoutAutoRedirectAButtonLeadsToTheIssuer(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), askingFirst)
	res := g.do("GET", argo+"/applications?x=1", browser)
	expect(t, "a page", res, http.StatusFound)
	start := res.Header.Get("Location")
	if start != "/oauth2/start?rd=%2Fapplications%3Fx%3D1" {
		t.Errorf("Location %q", start)
	}
	page := g.do("GET", argo+start, browser)
	if len(page.Cookies()) != 0 {
		t.Errorf("%v", page.Cookies())
	}
	button := buttonOf(t, "start", page)
	res = g.do("GET", argo+button, arriving("same-origin"))
	expect(t, "the button", res, http.StatusFound)
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || to.Host != "dex.example.com" {
		t.Fatalf("%v, %v", to, err)
	}
	bound := res.Cookies()[0]
	back := g.callback("alice", to.Query().Get("state"), []string{"Cookie", bound.Name + "=" + bound.Value})
	expect(t, "the callback", back, http.StatusFound)
	if got := back.Header.Get("Location"); got != "/applications?x=1" {
		t.Errorf("the login led to %q", got)
	}
}

func TestTheButtonKeepsWhatALoginNeedsAndNothingElse(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), askingFirst)
	for query, want := range map[string]url.Values{
		"":                                    {"rd": {"/"}},
		"rd=//evil.example":                   {"rd": {"/"}},
		"rd=https://evil.example":             {"rd": {"/"}},
		"rd=/oauth2/":                         {"rd": {"/oauth2/"}},
		"rd=/a%3Fb&again=1":                   {"rd": {"/a?b"}, "again": {"1"}},
		"rd=/a&prompt=login&fragment=1":       {"rd": {"/a"}, "prompt": {"login"}, "fragment": {"1"}},
		"rd=/a&prompt=none&x=%22%3E&state=st": {"rd": {"/a"}},
		"rd=/a&continue=0":                    {"rd": {"/a"}},
	} {
		button := buttonOf(t, query, g.do("GET", own+"/start?"+query, browser))
		want.Set("continue", "1")
		if path, got, _ := strings.Cut(button, "?"); path != "/oauth2/start" || got != want.Encode() {
			t.Errorf("%q: %q, want %q", query, button, want.Encode())
		}
	}
	res := g.do("GET", own+"/start?rd=/a&prompt=login&continue=1", browser)
	if to := res.Header.Get("Location"); !strings.Contains(to, "prompt=login") {
		t.Errorf("Location %q", to)
	}
}

func TestAPostAlsoLeadsToTheIssuer(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), askingFirst)
	res := g.do("POST", own+"/start?rd=/applications", sameSite)
	expect(t, "POST", res, http.StatusSeeOther)
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || to.Host != "dex.example.com" {
		t.Fatalf("%v, %v", to, err)
	}
	bound := res.Cookies()[0]
	back := g.callback("alice", to.Query().Get("state"), []string{"Cookie", bound.Name + "=" + bound.Value})
	if got := back.Header.Get("Location"); got != "/applications" {
		t.Errorf("the login led to %q", got)
	}
	expect(t, "PUT", g.do("PUT", own+"/start", sameSite), http.StatusMethodNotAllowed)
	automatic := newGate(t, nil)
	expect(t, "POST with autoRedirect", automatic.do("POST", own+"/start", sameSite), http.StatusMethodNotAllowed)
}

func TestAUserWhoIsSignedInSeesNoButton(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), askingFirst)
	w := g.window(t)
	start := w.get("/applications").Header.Get("Location")
	button := start + "&continue=1" // of two tabs
	expect(t, "the page", w.get(start), http.StatusOK)
	to, err := url.Parse(w.get(button).Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	done := w.get("/oauth2/callback?" + url.Values{"code": {"alice"}, "state": {to.Query().Get("state")}}.Encode())
	expect(t, "the callback", done, http.StatusFound)
	for what, address := range map[string]string{"the button of the other tab": button, "the page": start} {
		res := w.get(address)
		expect(t, what, res, http.StatusFound)
		if got := res.Header.Get("Location"); got != "/applications" {
			t.Errorf("%s led to %q", what, got)
		}
	}
}
