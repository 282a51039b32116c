package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/example-org/authgate/proxy/respond/page"
)

func draw(t *testing.T) map[string]string {
	t.Helper()
	set, err := page.New()
	if err != nil {
		t.Fatal(err)
	}
	const evil = `<script>alert("x")</script>`
	pages := make(map[string]string)
	keep := func(name string, p page.Page) {
		html, _, err := set.Render(p)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		pages[name] = string(html)
	}
	keep("problem", page.Problem{Status: 502, Title: evil, Detail: evil, ID: "id-1", Next: page.Link{Text: "Start again", URL: "/oauth2/start"}})
	keep("denied", page.Denied{User: evil, Groups: []string{evil}, Admitted: []string{"example-org:argo"}, Rule: "policy.csv:3", Upstream: "argocd", Method: "GET", Path: "/x", ID: "id-1", SignOut: "/oauth2/sign_out", SwitchUser: "/oauth2/start"})
	keep("sign out", page.SignOut{User: evil, Action: "/oauth2/sign_out", ReturnTo: `/"><x>`})
	keep("signed out", page.SignedOut{SignIn: page.Link{Text: evil, URL: "/oauth2/start"}})
	keep("signed out everywhere", page.SignedOut{SignIn: page.Link{Text: evil, URL: "/oauth2/start"}, IssuerToo: true})
	keep("interstitial", page.Interstitial{Link: page.Link{Text: evil, URL: `/"><x>?a=<script>&b='"`}})
	keep("interstitial with a button", page.Interstitial{Link: page.Link{Text: evil, URL: `/"><x>?a=<script>&b='"`}, Confirm: true})
	keep("portal", page.Portal{User: evil, Groups: []string{evil}, Upstreams: []page.Link{{Text: evil, URL: "https://argo-cd.example.com/"}}})
	return pages
}

func TestNothingThatIsShownBecomesMarkup(t *testing.T) {
	t.Parallel()
	for name, html := range draw(t) {
		if strings.Contains(html, "<script") || strings.Contains(html, `/"><x>`) {
			t.Errorf("%s:\n%s", name, html)
		}
		if !strings.HasPrefix(html, "<!doctype html>") || !strings.HasSuffix(strings.TrimSpace(html), "</html>") {
			t.Errorf("%s is not whole:\n%s", name, html)
		}
	}
}

func TestStyleSheetIsTheOneThatThePolicyAllows(t *testing.T) {
	t.Parallel()
	set, err := page.New()
	if err != nil {
		t.Fatal(err)
	}
	_, csp, err := set.Render(page.Portal{})
	if err != nil {
		t.Fatal(err)
	}
	for name, html := range draw(t) {
		_, rest, _ := strings.Cut(html, "<style>")
		style, _, _ := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(style))
		if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(csp, want) {
			t.Errorf("%s: its style sheet is %s, the policy is %s", name, want, csp)
		}
	}
}

func TestDeniedPageSaysNoGroupsInWords(t *testing.T) {
	t.Parallel()
	set, err := page.New()
	if err != nil {
		t.Fatal(err)
	}
	html, _, err := set.Render(page.Denied{User: "carol@example.com", Admitted: []string{"example-org:argo", "example-org:dev"}, Upstream: "argocd", Method: "GET", Path: "/"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"carol@example.com", "no groups", "example-org:argo", "example-org:dev", "no rule of the policy allows you"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("%q is missing in:\n%s", want, html)
		}
	}
}

func TestAPageThatGoesOnKeepsTheAddressWhole(t *testing.T) {
	t.Parallel()
	set, err := page.New()
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{
		"/":                               "/",
		"/applications/web?view=tree&a=b": "/applications/web?view=tree&amp;a=b",
		"/a%2Fb/c;url=x?q=%41+1,2":        "/a%2Fb/c;url=x?q=%41&#43;1,2",
		"https://dex.example.com/logout?client_id=authgate": "https://dex.example.com/logout?client_id=authgate",
		"javascript:alert(1)":                               "#ZgotmplZ", // no user asks for it; no script may come of it
	} {
		html, _, err := set.Render(page.Interstitial{Link: page.Link{Text: "x", URL: to}})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(html), `content="0;url=`+want+`"`) || !strings.Contains(string(html), `href="`+want+`"`) {
			t.Errorf("%s, want %s:\n%s", to, want, html)
		}
	}
}

// Of all pages this is the one with a script. Who has none goes on all the same.
func TestAPageThatKeepsAFragmentRunsOneScriptThatItsPolicyAllows(t *testing.T) {
	t.Parallel()
	set, err := page.New()
	if err != nil {
		t.Fatal(err)
	}
	_, csp, err := set.Render(page.Portal{})
	if err != nil {
		t.Fatal(err)
	}
	nonces := map[string]bool{}
	for name, o := range map[string]page.Interstitial{
		"keep": {KeepFragment: true}, "restore": {RestoreFragment: true}, "restore, and stay": {RestoreFragment: true, Confirm: true},
	} {
		o.Link = page.Link{Text: "x", URL: `/oauth2/start?rd=%2F&a="</script><script>alert(1)`}
		html, policy, err := set.Render(o)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(html), `<script nonce="`)
		nonce, _, _ := strings.Cut(rest, `"`)
		if len(nonce) < 22 || nonces[nonce] || policy != csp+"; script-src 'nonce-"+nonce+"'" {
			t.Errorf("%s: nonce %q, policy %q", name, nonce, policy)
		}
		nonces[nonce] = true
		if strings.Count(string(html), "<script") != 1 {
			t.Errorf("%s:\n%s", name, html)
		}
		if outside := strings.Contains(string(html), `<meta http-equiv="refresh"`) && !strings.Contains(string(html), `<noscript><meta http-equiv="refresh"`); outside {
			t.Errorf("%s: it goes on before its script has run:\n%s", name, html)
		}
		_, without, _ := strings.Cut(string(html), "<noscript><p>")
		if without, _, _ = strings.Cut(without, "</noscript>"); !strings.Contains(without, `<a href="/oauth2/start?rd=`) {
			t.Errorf("%s: no way on without scripts:\n%s", name, html)
		}
	}
}
