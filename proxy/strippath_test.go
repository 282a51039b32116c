package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

// stripping is an upstream below /reports that does not know it, and answers with the
// header that a query asks for.
func stripping(t *testing.T, change func(*config.Upstream)) (g *gate, inside string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		for name, values := range q {
			for _, value := range values {
				w.Header().Add(name, value)
			}
		}
		if q.Has("Location") {
			w.WriteHeader(http.StatusFound)
		}
		serveEcho(w, r)
	}))
	t.Cleanup(server.Close)
	g = newGateTo(t, server.URL, func(o *proxy.Options) {
		u := &o.Config.Upstreams[1]
		u.StripPath = true
		if change != nil {
			change(u)
		}
	})
	return g, strings.TrimPrefix(server.URL, "http://")
}

const reports = "https://argo-cd.example.com/reports"

func TestAnUpstreamLearnsThePrefixThatIsTakenOff(t *testing.T) {
	t.Parallel()
	g, _ := stripping(t, nil)
	for path, want := range map[string]string{"": "/", "/": "/", "/a": "/a", "/a/b/?x=/reports": "/a/b/?x=/reports", "/reports/a": "/reports/a"} {
		got := echoed(t, g.do("GET", reports+path, g.as("alice"), []string{"X-Forwarded-Prefix", spoofed, "X_Forwarded_Prefix", spoofed}))
		if got.RequestURI != want || strings.Join(got.Header["X-Forwarded-Prefix"], "|") != "/reports" {
			t.Errorf("%s arrived as %s with the prefix %q", path, got.RequestURI, got.Header["X-Forwarded-Prefix"])
		}
	}
	got := echoed(t, g.do("GET", app, g.as("alice"), []string{"X-Forwarded-Prefix", spoofed}))
	if got.Header["X-Forwarded-Prefix"] != nil {
		t.Errorf("an upstream at the root: %q", got.Header["X-Forwarded-Prefix"])
	}
	quirks, _ := stripping(t, func(u *config.Upstream) { u.PathQuirks = []config.Quirk{config.QuirkEmptySegments} })
	for path, want := range map[string]string{"//evil.example/x": "//evil.example/x", "//": "//", "/a//b": "/a//b"} {
		if got := echoed(t, quirks.do("GET", reports+path, quirks.as("alice"))); got.RequestURI != want || got.Host != "argo-cd.example.com" {
			t.Errorf("%s arrived as %s at %s", path, got.RequestURI, got.Host)
		}
	}
}

func TestWhereAnUpstreamLeadsThePrefixComesBack(t *testing.T) {
	t.Parallel()
	g, inside := stripping(t, func(u *config.Upstream) { u.HostHeader = "reports.internal" })
	for _, c := range []struct{ at, address, want string }{
		{"/a", "/moved", "/reports/moved"},
		{"/a", "/", "/reports/"},
		{"/a", "/moved?x=/y#z", "/reports/moved?x=/y#z"},
		{"/a", "/reports/moved", "/reports/moved"},
		{"/a", "/reports", "/reports"},
		{"/a", "/reports?x", "/reports?x"},
		{"/a", "/reportsx", "/reports/reportsx"},
		{"/a", "moved", "moved"},
		{"/a", "./moved", "./moved"},
		{"/a", "?x=y", "?x=y"},
		{"/a", "#x", "#x"},
		{"/a/b", "../../moved", "/reports/moved"},
		{"/a/b", "../../../moved?x", "/reports/moved?x"},
		{"", "moved", "/reports/moved"},
		{"", "?x", "?x"},
		{"/a", "https://argo-cd.example.com/moved", "https://argo-cd.example.com/reports/moved"},
		{"/a", "HTTPS://Argo-CD.example.com:443/moved", "HTTPS://Argo-CD.example.com:443/reports/moved"},
		{"/a", "http://argo-cd.example.com/moved", "http://argo-cd.example.com/reports/moved"},
		{"/a", "https://argo-cd.example.com", "https://argo-cd.example.com/reports/"},
		{"/a", "https://argo-cd.example.com?x", "https://argo-cd.example.com/reports/?x"},
		{"/a", "https://argo-cd.example.com/reports/moved", "https://argo-cd.example.com/reports/moved"},
		{"/a", "//argo-cd.example.com/moved", "//argo-cd.example.com/reports/moved"},
		{"/a", "http://" + inside + "/moved", "/reports/moved"},
		{"/a", "http://reports.internal/moved", "/reports/moved"},
		{"/a", "https://dex.example.com/auth", "https://dex.example.com/auth"},
		{"/a", "//dex.example.com/auth", "//dex.example.com/auth"},
		{"/a", "https://argo-cd.example.com:8443/x", "https://argo-cd.example.com:8443/x"},
		{"/a", "https://user@argo-cd.example.com/x", "https://user@argo-cd.example.com/x"},
		{"/a", "mailto:a@b", "mailto:a@b"},
	} {
		for _, name := range []string{"Location", "Content-Location"} {
			res := g.do("GET", reports+c.at+"?"+name+"="+strings.NewReplacer("#", "%23", "&", "%26", "?", "%3F").Replace(c.address), g.as("alice"))
			if got := res.Header.Get(name); got != c.want {
				t.Errorf("%s: %s: %s is %q to the browser, want %q", c.at, name, c.address, got, c.want)
			}
		}
	}
}

func TestCookiesOfAnUpstreamStayWithinItsPrefix(t *testing.T) {
	t.Parallel()
	g, _ := stripping(t, nil)
	for _, c := range []struct{ at, cookie, want string }{
		{"/a", "s=1; Path=/; HttpOnly", "s=1; Path=/reports; HttpOnly"},
		{"/a", "s=1; path = / ; Secure", "s=1; path =/reports; Secure"},
		{"/a", "s=1;PATH=/x", "s=1;PATH=/reports/x"},
		{"/a", "s=1; Path=/reports", "s=1; Path=/reports"},
		{"/a", "s=1; Path=/reports/x", "s=1; Path=/reports/x"},
		{"/a", "s=1; Path=/reportsx", "s=1; Path=/reports/reportsx"},
		{"/a", "s=1", "s=1"},
		{"/a", "s=/; HttpOnly", "s=/; HttpOnly"},
		{"/a", "s=1; Path=/; Path=/x", "s=1; Path=/reports; Path=/reports/x"},
		{"/a", "__Host-s=1; Secure; Path=/", "__Host-s=1; Secure; Path=/"},
		{"/a", "path=/", "path=/"},
		{"", "s=1", "s=1; Path=/reports"},
	} {
		res := g.do("GET", reports+c.at+"?Set-Cookie="+strings.NewReplacer(";", "%3B", " ", "%20").Replace(c.cookie), g.as("alice"))
		if got := res.Header["Set-Cookie"]; len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %s became %q, want %q", c.at, c.cookie, got, c.want)
		}
	}
	res := g.do("GET", app+"?Set-Cookie=s%3D1%3B%20Path%3D/&Location=/moved", g.as("alice"))
	if res.Header.Get("Set-Cookie") != "s=1; Path=/" || res.Header.Get("Location") != "/moved" {
		t.Errorf("an upstream at the root: %q", res.Header)
	}
}
