package e2e_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

// wantStartAgain is a page of status 4xx that leads to a new login, and does not
// go there by itself: that would be a loop.
func wantStartAgain(t *testing.T, a visitor.Answer) {
	t.Helper()
	if len(a.Hops) != 1 || a.Status < 400 || a.Status > 499 {
		t.Fatalf("ended at %s with %d after %d requests, want one page with 4xx: %s", a.URL, a.Status, len(a.Hops), shown(a))
	}
	wantPage(t, a, a.Status, "/oauth2/start")
}

func TestReplayedCallbackLeadsToTheStartPageInASession(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice, way := atCallback(t, s, "alice")
	callback := way.URL.String()
	if a := open(t, alice, callback); a.Status != http.StatusOK {
		t.Fatalf("the callback itself: %d", a.Status)
	}
	a := open(t, alice, callback) // the back button
	if a.Status != http.StatusOK || a.URL.Path != "/" || len(a.Hops) != 2 {
		t.Errorf("the callback again, with a session: %d at %s after %d requests", a.Status, a.URL, len(a.Hops))
	}

	// Nor is anything lost by it.
	if got := fetch(t, alice, http.MethodGet, s.ArgoCD+"/oauth2/userinfo").Status; got != http.StatusOK {
		t.Errorf("the session is gone: %d", got)
	}
}

func TestReplayedCodeWithItsStateCookieIsRefusedByTheIssuer(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice, way := atCallback(t, s, "alice")
	callback := way.URL.String()
	cookies, err := alice.Cookies(callback)
	if err != nil || len(cookies) == 0 {
		t.Fatalf("no state cookie: %v", err)
	}
	var pairs []string
	for _, c := range cookies {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	replay := func() visitor.Answer {
		return curl(t, callback, "Cookie", strings.Join(pairs, "; "), "Accept", "text/html")
	}
	if a := replay(); a.Status != http.StatusFound && a.Status != http.StatusSeeOther {
		t.Fatalf("the first time: %d %s", a.Status, shown(a))
	}
	a := replay()
	if a.Status < 400 {
		t.Errorf("the second time: %d", a.Status)
	}
	wantPage(t, a, a.Status)
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		if c.Name == "authgate" && c.Value != "" {
			t.Error("the second time gives a session")
		}
	}
}

func TestCallbackInAnotherBrowserStartsAgain(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	_, way := atCallback(t, s, "alice")
	callback := way.URL.String()

	// One that never began a login, and one in the middle of its own.
	fresh := arrive(t, s, "bob")
	wantStartAgain(t, open(t, fresh, callback))
	other, _ := atCallback(t, s, "bob")
	wantStartAgain(t, open(t, other, callback))
	if got := fetch(t, other, http.MethodGet, s.ArgoCD+"/oauth2/userinfo").Status; got != http.StatusUnauthorized {
		t.Errorf("another user's callback signed in: %d", got)
	}
}

func TestTamperedStateStartsAgain(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice, way := atCallback(t, s, "alice")
	callback := way.URL.String()
	tampered := regexp.MustCompile(`state=[^&]+`).ReplaceAllString(callback, "state=AAAA")
	if tampered == callback {
		t.Fatalf("no state in %s", callback)
	}
	wantStartAgain(t, open(t, alice, tampered))
	wantStartAgain(t, open(t, arrive(t, s, "alice"), s.ArgoCD+"/oauth2/callback"))
}

func TestErrorOfTheIssuerIsShownNotLooped(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice, way := atCallback(t, s, "alice")
	callback := way.URL.String()
	refused := regexp.MustCompile(`code=[^&]+`).ReplaceAllString(callback, "error=invalid_scope&error_description=%3Cscript%3Ealert(1)%3C/script%3E")
	a := open(t, alice, refused)
	if len(a.Hops) != 1 || a.Status < 400 {
		t.Fatalf("ended at %s with %d after %d requests", a.URL, a.Status, len(a.Hops))
	}
	wantPage(t, a, a.Status)
	if strings.Contains(a.Body, "<script>alert") {
		t.Error("the issuer's words became markup")
	}
}

func TestWrongClientSecretEndsOnAPageThatTheLogExplains(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{ClientSecret: "not-what-dex-knows"})
	a := open(t, arrive(t, s, "alice"), s.ArgoCD+"/")
	if a.Status < 500 || a.URL.Path != "/oauth2/callback" {
		t.Fatalf("ended at %s with %d, want a page with 5xx at the callback: %s", a.URL, a.Status, shown(a))
	}
	wantPage(t, a, a.Status)
	about := explained(t, s, a)
	if !regexp.MustCompile(`(?i)client.?secret|invalid_client`).MatchString(about) {
		t.Errorf("the log does not explain it: %s", about)
	}
	if strings.Contains(about+a.Body, "not-what-dex-knows") {
		t.Error("the secret is shown")
	}
}
