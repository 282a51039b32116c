package proxy_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

func quirky(quirks ...config.Quirk) func(*proxy.Options) {
	return dashboards(func(u *config.Upstream) { u.PathQuirks = quirks })
}

func TestAPathQuirkIsForOneUpstream(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, echoServer(t), quirky(config.QuirkEmptySegments, config.QuirkSemicolon, config.QuirkPercent))
	const host = "https://argo-cd.example.com"
	for _, path := range []string{"/a//b", "//a", "//", "//evil.example/p", "/a;b=c/d", "/a/;x", "/a%3Bb", "/a%2541", "/a//b;c/%2541?x=//"} {
		got := echoed(t, g.do("GET", host+path, g.as("alice")))
		if got.RequestURI != path || got.Host != "argo-cd.example.com" {
			t.Errorf("%s arrived as %s at %s", path, got.RequestURI, got.Host)
		}
		all := g.records()
		if judged, _, _ := strings.Cut(path, "?"); all[len(all)-1].Path != judged {
			t.Errorf("%s was judged as %s", path, all[len(all)-1].Path)
		}
		expect(t, "another host "+path, g.do("GET", "https://argo-workflows.example.com"+path, g.as("alice")), http.StatusBadRequest)
		expect(t, "another upstream of the host "+path, g.do("GET", host+"/reports"+path, g.as("alice")), http.StatusBadRequest)
		expect(t, "an ingress "+path, g.ask(forms["nginx"]("GET", host+path), g.as("alice")), http.StatusAccepted)
		expect(t, "an ingress, elsewhere "+path, g.ask(forms["nginx"]("GET", "https://argo-workflows.example.com"+path), g.as("alice")), http.StatusForbidden)
	}
	for _, path := range []string{
		"/a/..;/b", "/.;x", "/a/..%3B/b", "/a//../b", "/%252e%252e/a", "/a%252Fb", "/a%252f..", "/a%255cb", "/oauth2//userinfo", "/oauth2/;x", "/oauth2/start;x", "/oauth2/%2541",
		"/a/%252e%252e%253Bx", "/a%2f%2fb", "/a//%2e%2e/b",
	} {
		expect(t, path, g.do("GET", host+path, g.as("alice")), http.StatusBadRequest)
	}
}

func TestACodedSlashMayStandWhereAQuirkDoes(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, echoServer(t), dashboards(func(u *config.Upstream) {
		u.PathQuirks, u.EncodedSlash = []config.Quirk{config.QuirkEmptySegments, config.QuirkSemicolon}, []string{"/proxy//*", "/a;b/*"}
	}))
	for path, status := range map[string]int{"/proxy//a%2Fb": 200, "/a;b/c%2Fd": 200, "/proxy/a%2Fb": 400, "/a/c%2Fd": 400, "/proxy//..%2Fb": 400, "/proxy//a%2F%2Fb": 400} {
		expect(t, path, g.do("GET", "https://argo-cd.example.com"+path, g.as("alice")), status)
	}
}

func TestThePolicySeesWhatIsForwarded(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, echoServer(t), quirky(config.QuirkEmptySegments), func(o *proxy.Options) {
		o.Policy = load(t, "p, role:admin, argocd, /a/*/b, GET, allow\np, role:admin, argocd, /c//d, GET, allow\np, role:admin, argocd, /e/**, GET, allow\ng, example-org:argo, role:admin\n")
	})
	for path, status := range map[string]int{"/a/x/b": 200, "/a//b": 403, "/c//d": 200, "/c/d": 403, "/c///d": 403, "/e//x": 200, "//e/x": 403, "/a/x//b": 403} {
		expect(t, path, g.do("GET", "https://argo-cd.example.com"+path, g.as("alice")), status)
	}
}

// A path that begins with // is another host to a browser.
func TestNoRedirectBeginsWithTwoSlashes(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, echoServer(t), quirky(config.QuirkEmptySegments, config.QuirkSemicolon, config.QuirkPercent))
	for rd, want := range map[string]string{
		"//evil.example": "/", "///evil.example": "/", "//": "/", "/a//b": "/a//b", "/;//evil.example": "/;//evil.example", "/a;b": "/a;b", "/.//evil.example": "/", "//evil.example/%2541": "/",
		"/a/..;/b": "/", "/%2541": "/%2541",
	} {
		state, cookie := g.begin(rd)
		if got := g.callback("alice", state, cookie).Header.Get("Location"); got != want {
			t.Errorf("rd=%q leads to %q, want %q", rd, got, want)
		}
	}
	res := g.do("GET", "https://argo-cd.example.com//evil.example/x", browser)
	if at := res.Header.Get("Location"); at != "/oauth2/start?rd="+url.QueryEscape("//evil.example/x") {
		t.Errorf("to log in: %q", at)
	}
}
