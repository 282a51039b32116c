package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

func TestAWildcardHostIsOneLabelAndComesLast(t *testing.T) {
	t.Parallel()
	upstreams := []config.Upstream{
		{Name: "wild", Hosts: []string{"*.example.com"}, Path: "/"},
		{Name: "wild-sub", Hosts: []string{"*.example.com"}, Path: "/sub"},
		{Name: "exact", Hosts: []string{"a.example.com"}, Path: "/only"},
		{Name: "deeper", Hosts: []string{"*.apps.example.com", "apps.example.com"}, Path: "/"},
	}
	for place, want := range map[string]string{
		"b.example.com/": "wild", "b.example.com/sub/x": "wild-sub", "a.example.com/only/x": "exact", "a.example.com/": "no path", "a.example.com/sub": "no path",
		"x.apps.example.com/sub": "deeper", "apps.example.com/sub": "deeper", "x.y.example.com/": "no host", "example.com/": "no host", ".example.com/": "no host",
		"bexample.com/": "no host", "*.example.com/": "wild", "b.example.com.evil/": "no host", "/": "no host",
	} {
		host, path, _ := strings.Cut(place, "/")
		index, known := proxy.Route(upstreams, host, "/"+path)
		got := "no host"
		switch {
		case index >= 0:
			got = upstreams[index].Name
		case known:
			got = "no path"
		}
		if got != want && host != "*.example.com" { // which no request comes with
			t.Errorf("%s goes to %s, want %s", place, got, want)
		}
	}
}

func TestAWildcardHostServesLikeAnyOther(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, echoServer(t), func(o *proxy.Options) {
		o.Config.Upstreams[0].Hosts = []string{"*.apps.example.com", "argo-cd.example.com"}
	})
	got := echoed(t, g.do("GET", "https://one.apps.example.com/x", g.as("alice")))
	if got.Host != "one.apps.example.com" || got.Header.Get("X-Forwarded-Host") != "one.apps.example.com" {
		t.Errorf("%+v", got)
	}
	expect(t, "upper case", g.do("GET", "https://ONE.apps.example.com/x", g.as("alice")), http.StatusOK)
	for _, host := range []string{"a.b.apps.example.com", "apps.example.com", "*.apps.example.com", "oneapps.example.com", ".apps.example.com"} {
		res := g.do("GET", "https://"+host+"/x", g.as("alice"))
		if res.StatusCode != http.StatusMisdirectedRequest && res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", host, res.StatusCode)
		}
	}
	expect(t, "an origin of a sibling", g.do("POST", "https://one.apps.example.com/x", g.as("alice"), []string{"Origin", "https://two.apps.example.com"}), http.StatusForbidden)
	expect(t, "its own", g.do("POST", "https://one.apps.example.com/x", g.as("alice"), []string{"Origin", "https://one.apps.example.com"}), http.StatusOK)
	portal := body(t, g.do("GET", "https://one.apps.example.com/oauth2/", g.as("alice"), browser))
	if strings.Contains(portal, "*.apps") || !strings.Contains(portal, "https://one.apps.example.com/") {
		t.Errorf("the portal: %s", portal)
	}
	if portal := body(t, g.do("GET", "https://argo-workflows.example.com/oauth2/", g.as("alice"), browser)); strings.Contains(portal, "apps.example.com") {
		t.Errorf("the portal elsewhere: %s", portal)
	}
	res := g.do("GET", "https://one.apps.example.com/x", browser)
	if res.StatusCode != http.StatusFound || !strings.HasPrefix(res.Header.Get("Location"), "/oauth2/start") {
		t.Errorf("%d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}
