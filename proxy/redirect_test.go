package proxy_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/example-org/authgate/proxy/respond"
)

// redirects are attacks on rd. None of them may lead to another host, whatever
// reads the Location; those that are not mentioned in kept lead to the start page.
var redirects = []string{
	// Another origin, said plainly or left out in part.
	"https://evil.example", "https://evil.example/", "HTTPS://EVIL.example/", "http://evil.example/", "//evil.example", "//evil.example/",
	"///evil.example", "////evil.example", "//evil.example/%2f..", "https:evil.example", "https:/evil.example", "https:///evil.example", "http:evil.example",
	"://evil.example", ":evil.example", "evil.example", "evil.example/x", "ftp://evil.example/", "//argo-cd.example.com@evil.example/", "//user@evil.example",
	"https://argo-cd.example.com/", "//argo-cd.example.com/", "https://argo-cd.example.com@evil.example/", "https://argo-cd.example.com.evil.example/",
	// Backslashes, which browsers take for slashes.
	`/\evil.example`, `\/evil.example`, `\\evil.example`, `/\/evil.example`, `/\\evil.example`, `\evil.example`, `https:\\evil.example`, `//\evil.example`, `/x\..\..\evil.example`,
	"/%5Cevil.example", "/%5cevil.example", "/%5C%5Cevil.example", "%5C%5Cevil.example", "/%255Cevil.example",
	// Slashes and dots in disguise.
	"/%2Fevil.example", "/%2fevil.example", "%2F%2Fevil.example", "/%2F%2Fevil.example", "/%252Fevil.example", "/%25252Fevil.example", "/x%2F..%2F..%2Fevil.example",
	"/..//evil.example", "/.//evil.example", "/x/..//evil.example", "/x/../..//evil.example", "/%2e%2e//evil.example", "/%2e/%2fevil.example", "/./../\\evil.example", "/x//evil.example",
	"/%c0%afevil.example", "/%e0%80%afevil.example", "/;//evil.example", "/;@evil.example", "/x;/../..//evil.example",
	// What browsers take out before they look: tabs, line ends, blanks in front.
	"/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "\t//evil.example", " //evil.example", "\x00//evil.example", "\u00a0//evil.example", "/\x0b/evil.example", "/ /evil.example",
	"/%09/evil.example", "/%0a/evil.example", "/%0d%0a/evil.example", "/%00/evil.example", "/%20/evil.example\n", "ht\ntps://evil.example", "\x01https://evil.example",
	// Letters that some readers fold into slashes and dots, and the forms in UTF-8.
	"/\u2044/evil.example", "\uff0f\uff0fevil.example", "/\uff0fevil.example", "/\uff0e\uff0e/\uff0fevil.example", "/\u2215evil.example", "/\u3002evil.example", "/\xff/evil.example", "/\xc0\xafevil.example",
	// No place at all.
	"javascript:alert(1)", "JavaScript:alert(1)", "java\nscript:alert(1)", " javascript:alert(1)", "javascript://argo-cd.example.com/%0aalert(1)", "data:text/html,x", "vbscript:x", "blob:https://evil.example/x", "about:blank", "mailto:a@b",
	// Other headers, or another body.
	"/x\r\nLocation: https://evil.example", "/x\r\n\r\n<script>alert(1)</script>", "/x\nSet-Cookie: a=b", "/x%0d%0aSet-Cookie:%20a=b", "/x?a=\r\nSet-Cookie: a=b", "/x\u010a\u010dSet-Cookie: a=b",
	// Queries and fragments that are the real address.
	"?//evil.example", "?rd=//evil.example", "#//evil.example", "/#//evil.example", "/x#@evil.example", "/x?#//evil.example", "/x?a=b#//evil.example", `/x?\evil.example`, "/x? //evil.example",
	"/@evil.example", "/x@evil.example", "/:80", "/:@evil.example", "/https://evil.example", "/https:%2F%2Fevil.example", "/https%3A%2F%2Fevil.example", "/%2e%2e", "/..", "/.", "/x/.", "..", ".", "../x",
	// authgate itself: signing out on the way in, or going in circles.
	"/oauth2", "/oauth2/", "/oauth2/sign_out", "/oauth2/sign_out?rd=//evil.example", "/oauth2/start?rd=/", "/oauth2/callback?code=x&state=y", "/%6fauth2/sign_out", "/oauth2/../oauth2/sign_out", "/x/../oauth2/start", "/oauth%32/start",
	"/oauth2x", "/ok/", "/ok/path?x=1", "/x?" + strings.Repeat("a", 1025),
	"", "/" + strings.Repeat("x/", 600), strings.Repeat("/", 100), "/" + strings.Repeat("%41", 2000),
}

// kept are those that are paths of this host, however odd. %2F is the upstream's
// business.
var kept = map[string]string{
	"/@evil.example": "/@evil.example", "/x@evil.example": "/x@evil.example", "/:80": "/:80", "/:@evil.example": "/:@evil.example",
	`/x?\evil.example`: "/x", "/x?#//evil.example": "/x", "/x?a=b#//evil.example": "/x",
	"/oauth2": "/oauth2/", "/oauth2/": "/oauth2/", // the portal
	"/oauth2x": "/oauth2x", "/ok/": "/ok/", "/ok/path?x=1": "/ok/path?x=1", "/x?" + strings.Repeat("a", 1025): "/x?" + strings.Repeat("a", 1025),
	"/" + strings.Repeat("x/", 600): "/" + strings.Repeat("x/", 600), "/" + strings.Repeat("%41", 2000): "/" + strings.Repeat("A", 2000),
	"/https:%2F%2Fevil.example":   "/https:%2F%2Fevil.example",
	"/https%3A%2F%2Fevil.example": "/https%3A%2F%2Fevil.example",
	"/\u2044/evil.example":        "/%E2%81%84/evil.example", "/\u2215evil.example": "/%E2%88%95evil.example",
	"/\u3002evil.example": "/%E3%80%82evil.example",
}

func TestNoReturnLeadsToAnotherHost(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), oneHost)
	for _, rd := range redirects {
		want, ok := kept[rd]
		if !ok {
			want = "/"
		}
		state, cookie := g.begin(rd)
		res := g.callback("alice", state, cookie)
		checkLocation(t, "after signing in", rd, res, http.StatusFound, want)

		form := url.Values{"rd": {rd}}.Encode()
		if rd == "" {
			continue // asks for no return, but for a page
		}
		res = g.do("POST", own+"/sign_out?"+form, g.as("alice"), sameSite, []string{"Sec-Fetch-Mode", "cors"}) // no tour of all hosts
		checkLocation(t, "after signing out", rd, res, http.StatusSeeOther, want)
		if page := body(t, g.do("GET", own+"/sign_out?"+form, g.as("alice"), browser)); !strings.Contains(page, `name="rd" value="`+want+`"`) {
			t.Errorf("rd=%q: the form has another in it", rd)
		}
	}
	if len(redirects) < 60 {
		t.Errorf("only %d attacks", len(redirects))
	}
}

func checkLocation(t *testing.T, when, rd string, res *http.Response, status int, want string) {
	t.Helper()
	got := res.Header.Get("Location")
	if res.StatusCode != status || got != want || len(res.Header["Location"]) != 1 {
		t.Errorf("%s, rd=%q: %d to %q, want %q", when, rd, res.StatusCode, got, want)
	}
	if where := leaves(got); where != "" {
		t.Errorf("%s, rd=%q: %q leads to %s", when, rd, got, where)
	}
}

// leaves says where a Location leads if not to a path of the host that sent it,
// to net/url or to a browser.
func leaves(location string) string {
	const here = "https://argo-cd.example.com/oauth2/callback"
	base, _ := url.Parse(here)
	for name, read := range map[string]func(string) string{
		"as it is": func(s string) string { return s },
		// URL Standard, 4.4: tabs and line ends go, controls and blanks at both ends go, \ is /.
		"in a browser": func(s string) string {
			s = strings.Trim(s, " \x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f")
			return strings.ReplaceAll(strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s), `\`, "/")
		},
	} {
		text := read(location)
		to, err := base.Parse(text)
		switch {
		case text == "" || text[0] != '/' || strings.HasPrefix(text, "//"):
			return name + ": not a path: " + text
		case err != nil:
			return name + ": " + err.Error()
		case to.Scheme != "https" || to.Host != base.Host || to.User != nil:
			return name + ": " + to.String()
		}
	}
	path, _, _ := strings.Cut(location, "?")
	if decoded, err := url.PathUnescape(path); err != nil || strings.HasPrefix(decoded, "//") || strings.ContainsAny(decoded, "\\\r\n\t") {
		return "decoded once more: " + decoded
	}
	return ""
}

func TestTheLoginLinkBringsBackWhatWasAsked(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for asked, want := range map[string]string{
		"/x?a=1&b=2":               "/x?a=1&b=2",
		"/x?rd=//evil.example":     "/x?rd=//evil.example",
		"/x?a=%zz;c":               "/x?a=%zz;c",
		"/%41":                     "/A",
		"/x?" + `"<>`:              `/x?"<>`,
		"/x?\xff":                  "/x",
		"/@evil.example//":         "", // refused before
		"/https:%2F%2Fe?//e":       "", // by the route
		"/oauth3/start?rd=/oauth2": "/oauth3/start?rd=/oauth2",
	} {
		res := g.do("GET", here+asked, browser)
		if want == "" {
			if res.StatusCode != http.StatusBadRequest {
				t.Errorf("%q: %d", asked, res.StatusCode)
			}
			continue
		}
		if expect(t, asked, res, http.StatusFound); leaves(res.Header.Get("Location")) != "" {
			t.Errorf("%q leads to %s", asked, res.Header.Get("Location"))
		}
		to, err := url.Parse(res.Header.Get("Location"))
		if err != nil || to.Path != "/oauth2/start" {
			t.Fatalf("%q: %v, %v", asked, to, err)
		}
		state, cookie := g.begin(to.Query().Get("rd"))
		if got := g.callback("alice", state, cookie).Header.Get("Location"); got != want {
			t.Errorf("%q came back as %q, want %q", asked, got, want)
		}
	}
}

// FuzzReturnTo: whatever rd is, its Location is a path of this host that is not
// authgate's own, but for the portal, and reading it again changes nothing.
func FuzzReturnTo(f *testing.F) {
	for _, rd := range redirects {
		if len(rd) < 300 {
			f.Add(rd)
		}
	}
	f.Add("/applications?view=tiles&x=%2F")
	endpoints := respond.Endpoints{Prefix: "/oauth2"}
	f.Fuzz(func(t *testing.T, rd string) {
		got := endpoints.ReturnPath(rd)
		if where := leaves(got); where != "" {
			t.Errorf("%q: %q: %s", rd, got, where)
		}
		if strings.HasPrefix(got, "/oauth2/") && got != "/oauth2/" || got == "/oauth2" || len(got) > 2048+1+4096 {
			t.Errorf("%q: %q", rd, got)
		}
		if again := endpoints.ReturnPath(got); again != got {
			t.Errorf("%q: %q, and again %q", rd, got, again)
		}
		for i := range len(got) {
			if got[i] <= ' ' || got[i] > '~' {
				t.Errorf("%q: %q cannot stand in a header", rd, got)
			}
		}
	})
}
