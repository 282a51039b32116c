package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/example-org/authgate/page"
)

func draw(t *testing.T) map[string]string {
	t.Helper()
	set, err := page.New()
	if err != nil {
		t.Fatal(err)
	}
	const evil = `<script>alert("x")</script>`
	pages := make(map[string]string)
	keep := func(name string) func([]byte, error) {
		return func(html []byte, err error) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			pages[name] = string(html)
		}
	}
	keep("problem")(set.Problem(page.Problem{Status: 502, Title: evil, Detail: evil, ID: "id-1", Next: page.Link{Text: "Start again", URL: "/oauth2/start"}}))
	keep("denied")(set.Denied(page.Denied{Who: evil, Groups: []string{evil}, Admitted: []string{"example-org:argo"}, Rule: "policy.csv:3", Upstream: "argocd", Method: "GET", Path: "/x", ID: "id-1", SignOut: "/oauth2/sign_out"}))
	keep("sign out")(set.SignOut(page.SignOut{Who: evil, Action: "/oauth2/sign_out", ReturnTo: `/"><x>`}))
	keep("signed out")(set.SignedOut(page.SignedOut{Again: page.Link{Text: evil, URL: "/oauth2/start"}}))
	keep("signed out everywhere")(set.SignedOut(page.SignedOut{Again: page.Link{Text: evil, URL: "/oauth2/start"}, IssuerToo: true}))
	keep("onward")(set.Onward(page.Link{Text: evil, URL: `/"><x>?a=<script>&b='"`}))
	keep("portal")(set.Portal(page.Portal{Who: evil, Groups: []string{evil}, Upstreams: []page.Link{{Text: evil, URL: "https://argo-cd.example.com/"}}}))
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
	for name, html := range draw(t) {
		_, rest, _ := strings.Cut(html, "<style>")
		style, _, _ := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(style))
		if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(set.Policy(), want) {
			t.Errorf("%s: its style sheet is %s, the policy is %s", name, want, set.Policy())
		}
	}
}

func TestDeniedPageSaysNoGroupsInWords(t *testing.T) {
	t.Parallel()
	set, err := page.New()
	if err != nil {
		t.Fatal(err)
	}
	html, err := set.Denied(page.Denied{Who: "carol@example.com", Admitted: []string{"example-org:argo", "example-org:dev"}, Upstream: "argocd", Method: "GET", Path: "/"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"carol@example.com", "no groups", "example-org:argo", "example-org:dev", "no rule allows you"} {
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
		"javascript:alert(1)":                               "#ZgotmplZ", // nobody asks for it; no script may come of it
	} {
		html, err := set.Onward(page.Link{Text: "x", URL: to})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(html), `content="0;url=`+want+`"`) || !strings.Contains(string(html), `href="`+want+`"`) {
			t.Errorf("%s, want %s:\n%s", to, want, html)
		}
	}
}
