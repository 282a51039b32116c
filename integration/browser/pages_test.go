package browser_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/example-org/authgate/integration/browser"
	"github.com/example-org/authgate/integration/stage"
)

// shownPage is a page that authgate shows in some situation.
type shownPage struct {
	name, address string
	translated    bool
	reloads       bool // by itself, until the dashboard is up again
}

// violations are those that axe finds, but for the one that a page is meant to have.
func violations(tab *browser.Tab, p shownPage) []string {
	return slices.DeleteFunc(axe.Check(tab), func(v string) bool { return p.reloads && strings.HasPrefix(v, "meta-refresh: ") })
}

// examine checks the page in both colour schemes, on a narrow and on a wide screen.
func examine(t *testing.T, tab *browser.Tab, p shownPage) {
	t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		tab.Prefer(scheme, "en")
		tab.Resize(320, 640, 1)
		if scheme == "light" {
			tab.Open(p.address)
		}
		tab.Await("h1")
		wrong := append(violations(tab, p), tab.Layout()...)
		tab.Resize(1280, 800, 1)
		for _, what := range append(wrong, tab.Layout()...) {
			t.Errorf("%s, %s: %s", p.name, scheme, what)
		}
	}
	if !p.translated {
		return
	}
	english := tab.Await("h1")
	tab.Prefer("light", "ja")
	tab.Resize(320, 640, 1)
	tab.Open(p.address)
	japanese := tab.Await("h1")
	if lang := browser.Script[string](tab, "document.documentElement.lang"); lang != "ja" || japanese == english {
		t.Errorf("%s: lang is %s, and the heading %q", p.name, lang, japanese)
	}
	for _, what := range append(violations(tab, p), tab.Layout()...) {
		t.Errorf("%s, Japanese: %s", p.name, what)
	}
	tab.Prefer("light", "en")
}

func TestPagesAreAccessibleAndFitTheScreen(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.ArgoCD, "http://"), ":")
	alice, bob := signIn(t, s, "alice", "/applications"), signIn(t, s, "bob", "/settings")
	stranger := chromium.Profile(t)
	examine(t, bob, shownPage{"denied", s.ArgoCD + "/settings?x=" + strings.Repeat("long", 50), true, false})
	examine(t, bob, shownPage{"denied, a long path", s.ArgoCD + "/" + strings.Repeat("long-segment-without-an-end", 10), true, false})
	examine(t, bob, shownPage{"portal", s.ArgoCD + "/oauth2/", true, false})
	examine(t, bob, shownPage{"unknown endpoint", s.ArgoCD + "/oauth2/nope", true, false})
	examine(t, alice, shownPage{"dashboard down", s.ArgoCD + "/down/", true, true})
	examine(t, alice, shownPage{"maintenance", s.ArgoCD + "/closed/", true, true})
	examine(t, stranger, shownPage{"unknown host", "http://unlisted.localhost:" + port, true, false})
	examine(t, stranger, shownPage{"failed login", s.ArgoCD + "/oauth2/callback?state=x&code=y", true, false})
	examine(t, bob, shownPage{"sign out", s.ArgoCD + "/oauth2/sign_out", true, false})
	bob.Click("form[action$=sign_out] button")
	arrive(t, bob, s.ArgoCD+"/oauth2/sign_out/")
	for _, what := range append(axe.Check(bob), bob.Layout()...) {
		t.Errorf("signed out: %s", what)
	}
}

func TestSignInPageIsAccessibleAndLeadsToTheIssuer(t *testing.T) {
	t.Parallel()
	s := setStage(t, "issuer:\n", "issuer:\n  autoRedirect: false\n")
	tab := chromium.Profile(t)
	examine(t, tab, shownPage{"sign in", s.ArgoCD + "/settings", true, false})
	tab.Press(kb.Tab)
	tab.Press(kb.Enter) // the button is what the keyboard reaches first
	tab.Click("button[value=bob]")
	arrive(t, tab, s.ArgoCD+"/settings")
}

func TestOperatorPagesAreAccessibleAndFitTheScreen(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	signIn(t, s, "bob", "/settings") // which is denied
	signIn(t, s, "alice", "/applications")
	tab := chromium.Profile(t)
	examine(t, tab, shownPage{"login", s.Admin + "/refusals", false, false})
	openOperatorPages(tab, s)
	for path, what := range map[string]string{
		"/": "overview", "/refusals": "refusals", "/sessions": "sessions", "/explain": "explain",
		"/explain?group=example-org:dev&method=GET&target=argocd:/settings": "explained", "/explain?group=a": "a wrong question",
	} {
		examine(t, tab, shownPage{what, s.Admin + path, false, false})
	}
	tab.Open(s.Admin + "/refusals?user=bob@example.com")
	if text := tab.Await("tbody"); !strings.Contains(text, "/settings") {
		t.Errorf("the refusals of bob: %s", text)
	}
	tab.Click("header form button")
	tab.Await("#token")
	tab.Open(s.Admin + "/")
	tab.Await("#token")
}

// openOperatorPages signs in on the admin port.
func openOperatorPages(tab *browser.Tab, s *stage.Stage) {
	tab.Open(s.Admin + "/refusals")
	tab.Type("#token", operatorToken)
	tab.Click("main button")
	tab.Await("nav")
}

// The link of a colleague, in a chat on another site, comes without the strict cookie.
func TestALinkFromAnotherSiteOpensAnOperatorPage(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	tab := chromium.Profile(t)
	openOperatorPages(tab, s)
	tab.Open(s.ArgoCD + "/oauth2/nope")
	tab.Await("h1")
	tab.Follow(s.Admin + "/explain?group=example-org:dev&method=GET&target=argocd:/applications")
	if got := tab.Await("#answer"); !strings.Contains(got, "Allowed") {
		t.Errorf("the link shows %s", got)
	}
}

// Without this, a browser that reports nothing would pass every test.
func TestMistakesOfPagesAreNoticed(t *testing.T) {
	t.Parallel()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-a'")
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><h1>one</h1><h1>two</h1><img src="/x"><p style="color:red">x</p><pre>` + strings.Repeat("wide", 500) +
			`</pre><script nonce="a">setTimeout(() => { document.title = "done"; throw new Error("thrown") })</script>`))
	}))
	t.Cleanup(page.Close)
	tab := chromium.Profile(t)
	tab.Resize(320, 640, 1)
	tab.Open(page.URL)
	tab.Await("h1")
	if found := strings.Join(axe.Check(tab), "\n"); !strings.Contains(found, "image-alt") {
		t.Errorf("axe finds %s", found)
	}
	if found := strings.Join(tab.Layout(), "\n"); !strings.Contains(found, "sideways") || !strings.Contains(found, "h1") || !strings.Contains(found, "lang") {
		t.Errorf("the layout: %s", found)
	}
	complaints := strings.Join(tab.Complaints(), "\n")
	for _, want := range []string{"Content Security Policy", "thrown"} {
		if !strings.Contains(complaints, want) {
			t.Errorf("the console does not say %q: %s", want, complaints)
		}
	}
}
