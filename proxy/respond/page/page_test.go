package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/example-org/authgate/proxy/respond/page"
)

// evil would be a script if it were not escaped.
const evil = `<script>alert("x")</script>`

func newSet(t *testing.T, o page.Options) *page.Set {
	t.Helper()
	set, err := page.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func render(t *testing.T, set *page.Set, p page.Page, language string) page.Document {
	t.Helper()
	d, err := set.Render(p, page.Reader{AcceptLanguage: language, ID: "id-1", Portal: "/oauth2/"})
	if err != nil {
		t.Fatalf("%T: %v", p, err)
	}
	return d
}

// draw renders pages with values that a user or an attacker chose.
func draw(t *testing.T) map[string]page.Document {
	t.Helper()
	set := newSet(t, page.Options{})
	pages := make(map[string]page.Document)
	for name, p := range map[string]page.Page{
		"problem":   page.Problem{Status: 502, Code: evil, Detail: evil, Next: page.Link{Text: page.TextStartAgain, URL: "/oauth2/start"}},
		"dashboard": page.Problem{Status: 502, Code: "upstream_down", Detail: evil, Upstream: evil, Until: evil},
		"denied": page.Denied{
			User: evil, Groups: []string{evil}, Roles: []string{evil}, ShowAdmitted: true, Admitted: []string{evil}, Rule: evil, Upstream: evil,
			Method: evil, Path: `/"><x>`, SignOut: "/oauth2/sign_out", SwitchUser: "/oauth2/start", Request: `javascript:alert(1)`, Back: `/"><x>`,
		},
		"sign in":                    page.SignIn{Issuer: evil, Action: `/"><x>`},
		"sign out":                   page.SignOut{User: evil, Action: "/oauth2/sign_out", ReturnTo: `/"><x>`},
		"signed out":                 page.SignedOut{SignIn: page.Link{Text: page.TextSignInAgain, URL: `/"><x>`}},
		"signed out everywhere":      page.SignedOut{SignIn: page.Link{Text: page.TextSignInAgain, URL: "/oauth2/start"}, IssuerToo: true, Hosts: []page.HostSession{{evil, "signedout.host.ended"}}},
		"interstitial":               page.Interstitial{Link: page.Link{Text: page.TextSignedIn, URL: `/"><x>?a=<script>&b='"`}},
		"interstitial with a button": page.Interstitial{Link: page.Link{Text: page.TextShortened, URL: `/"><x>?a=<script>&b='"`}, Confirm: true},
		"portal":                     page.Portal{User: evil, Groups: []string{evil}, Tiles: []page.Tile{{Title: evil, Description: evil, URL: "https://argo-cd.example.com/"}}},
	} {
		pages[name] = render(t, set, p, "")
	}
	return pages
}

func TestNothingThatIsShownBecomesMarkup(t *testing.T) {
	t.Parallel()
	for name, d := range draw(t) {
		html := string(d.HTML)
		if strings.Contains(html, "javascript:") || strings.Contains(html, "<script") || strings.Contains(html, `/"><x>`) {
			t.Errorf("%s:\n%s", name, html)
		}
		if !strings.HasPrefix(html, "<!doctype html>") || !strings.HasSuffix(strings.TrimSpace(html), "</html>") {
			t.Errorf("%s is not whole:\n%s", name, html)
		}
	}
}

func TestStyleSheetIsTheOneThatThePolicyAllows(t *testing.T) {
	t.Parallel()
	for name, d := range draw(t) {
		_, rest, _ := strings.Cut(string(d.HTML), "<style>")
		style, _, _ := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(style))
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
		if d.CSP != want {
			t.Errorf("%s: the policy is %s, want %s", name, d.CSP, want)
		}
	}
}

func TestDeniedPageSaysWhoHasAccess(t *testing.T) {
	t.Parallel()
	set := newSet(t, page.Options{})
	denied := page.Denied{
		User: "carol@example.com", ShowAdmitted: true, Admitted: []string{"example-org:argo", "example-org:dev"}, AdmittedMore: 4,
		Upstream: "argocd", Method: "GET", Path: "/applications",
	}
	html := string(render(t, set, denied, "").HTML)
	for _, want := range []string{"carol@example.com", "no groups", "no roles", "example-org:argo", "example-org:dev", "and 4 more", "No rule of the access policy allows you to", "GET /applications", "id-1"} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is missing in:\n%s", want, html)
		}
	}
	denied.ShowAdmitted = false
	if html = string(render(t, set, denied, "").HTML); strings.Contains(html, "example-org:") || strings.Contains(html, "4 more") {
		t.Errorf("groups are shown:\n%s", html)
	}
}

func TestAPageThatGoesOnKeepsTheAddressWhole(t *testing.T) {
	t.Parallel()
	set := newSet(t, page.Options{})
	for to, want := range map[string]string{
		"/":                               "/",
		"/applications/web?view=tree&a=b": "/applications/web?view=tree&amp;a=b",
		"/a%2Fb/c;url=x?q=%41+1,2":        "/a%2Fb/c;url=x?q=%41&#43;1,2",
		"https://dex.example.com/logout?client_id=authgate": "https://dex.example.com/logout?client_id=authgate",
		"javascript:alert(1)":                               "#ZgotmplZ", // no user asks for it; no script may come of it
	} {
		html := string(render(t, set, page.Interstitial{Link: page.Link{Text: page.TextSignedIn, URL: to}}, "").HTML)
		if !strings.Contains(html, `content="0;url=`+want+`"`) || !strings.Contains(html, `href="`+want+`"`) {
			t.Errorf("%s, want %s:\n%s", to, want, html)
		}
	}
}

// Of all pages this is the one with a script. Who has none goes on all the same.
func TestAPageThatKeepsAFragmentRunsOneScriptThatItsPolicyAllows(t *testing.T) {
	t.Parallel()
	set := newSet(t, page.Options{})
	csp := render(t, set, page.Portal{}, "").CSP
	nonces := map[string]bool{}
	for name, o := range map[string]page.Interstitial{
		"keep": {KeepFragment: true}, "restore": {RestoreFragment: true}, "restore, and stay": {RestoreFragment: true, Confirm: true},
	} {
		o.Link = page.Link{Text: page.TextSignedIn, URL: `/oauth2/start?rd=%2F&a="</script><script>alert(1)`}
		d := render(t, set, o, "")
		html, policy := string(d.HTML), d.CSP
		_, rest, _ := strings.Cut(html, `<script nonce="`)
		nonce, _, _ := strings.Cut(rest, `"`)
		if len(nonce) < 22 || nonces[nonce] || policy != csp+"; script-src 'nonce-"+nonce+"'" {
			t.Errorf("%s: nonce %q, policy %q", name, nonce, policy)
		}
		nonces[nonce] = true
		if strings.Count(html, "<script") != 1 {
			t.Errorf("%s:\n%s", name, html)
		}
		if outside := strings.Contains(html, `<meta http-equiv="refresh"`) && !strings.Contains(html, `<noscript><meta http-equiv="refresh"`); outside {
			t.Errorf("%s: it goes on before its script has run:\n%s", name, html)
		}
		_, without, _ := strings.Cut(html, "<noscript><p>")
		if without, _, _ = strings.Cut(without, "</noscript>"); !strings.Contains(without, `<a href="/oauth2/start?rd=`) {
			t.Errorf("%s: no way on without scripts:\n%s", name, html)
		}
	}
}
