package proxy_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/target"
)

func TestCodedSlashesPassOnlyWhereArgoCDKeepsThemTogether(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	const repo = "https%3A%2F%2Fgithub.com%2Forg%2Frepo.git"
	for path, want := range map[string]int{
		"/api/v1/clusters/" + repo:                              200,
		"/api/v1/clusters/" + repo + "/rotate-auth":             200,
		"/api/v1/clusters/" + repo + "/invalidate-cache":        200,
		"/api/v1/repositories/" + repo:                          200,
		"/api/v1/repositories/git%40github.com%3Ao%2Fr.git":     200,
		"/api/v1/repositories/" + repo + "/apps":                200,
		"/api/v1/repositories/" + repo + "/apps/" + "a%2Fb":     200,
		"/api/v1/repositories/" + repo + "/appdetails":          200,
		"/api/v1/repositories/" + repo + "/refs":                200,
		"/api/v1/repositories/" + repo + "/oci-tags":            200,
		"/api/v1/repositories/" + repo + "/helmcharts":          200,
		"/api/v1/repositories/" + repo + "/validate":            200,
		"/api/v1/repocreds/" + repo:                             200,
		"/settings/clusters/" + repo:                            200,
		"/api/v1/clusters/" + repo + "/":                        400,
		"/api/v1/clusters/" + repo + "/x":                       400,
		"/api/v1/clusters/a%2F..%2Fb":                           400,
		"/api/v1/clusters/%2Fa":                                 400,
		"/api/v1/clusters%2Fa":                                  400,
		"/api/v1%2Fclusters/a":                                  400,
		"/api/v1/clusters/a/rotate-auth%2Fb":                    400,
		"/api/v1/repositories/" + repo + "/apps/a%2Fb/c":        400,
		"/api/v1/repositories/x/appdetails%2Fy":                 400,
		"/api/v1/write-repositories/" + repo:                    400,
		"/api/v1/write-repocreds/" + repo:                       400,
		"/api/v1/applications/web%2Fsync":                       400,
		"/api/v1/applications/" + repo:                          400,
		"/x/api/v1/clusters/" + repo:                            400,
		"/API/v1/clusters/" + repo:                              400,
		"/extensions/x/a%2Fb":                                   400,
		"/cluster.ClusterService%2FGet":                         400,
		"/reports/api/v1/clusters/" + repo:                      400, // another upstream, of no kind
		"/api/dex/a%2Fb":                                        400,
		"/settings/clusters/" + repo + "/and/more":              400,
		"/api/v1/account/can-i/clusters/get/https%3A%2F%2Fk%2F": 400,
	} {
		expect(t, path, g.do("GET", "https://argo-cd.example.com"+path, g.as("alice")), want)
		expect(t, "workflows "+path, g.do("GET", "https://argo-workflows.example.com"+path, g.as("alice")), http.StatusBadRequest)
	}
}

// keptTogether is what argocd-server asks of a path that it does not decode
// (server/server.go, pathPatters).
var keptTogether = regexp.MustCompile(`/api/v1/clusters/[^/]+|/api/v1/repositories/[^/]+|/api/v1/repocreds/[^/]+|/settings/clusters/[^/]+`)

func TestWhateverPassesWithACodedSlashArgoCDKeepsTogether(t *testing.T) {
	t.Parallel()
	segments := []string{"api", "v1", "clusters", "repositories", "repocreds", "settings", "apps", "refs", "a", "a%2Fb", "api%2Fv1", "%3A%2F%2Fx", "clusters%2Fa", ""}
	argocd := &config.Upstream{Kind: config.KindArgoCD, Path: "/"}
	passed := 0
	var walk func(path string, depth int)
	walk = func(path string, depth int) {
		if p, err := target.Parse(path); err == nil && p.HasEncodedSlash() && proxy.AllowsEncodedSlash(argocd, p) {
			passed++
			if !keptTogether.MatchString(p.String()) {
				t.Errorf("%s passes, and argocd-server would split it", p)
			}
		}
		if depth > 0 {
			for _, s := range segments {
				walk(path+"/"+s, depth-1)
			}
		}
	}
	for _, begin := range []string{"", "/api/v1", "/api/v1/clusters", "/api/v1/repositories", "/settings"} {
		walk(begin, 3)
	}
	if passed < 50 {
		t.Errorf("%d paths passed only", passed)
	}
}

func TestAnUpstreamTakesCodedSlashesWhereItIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		upstream config.Upstream
		takes    string
		not      string
	}{
		{config.Upstream{Path: "/", Kind: config.KindGeneric}, "", "/a%2Fb /api/v1/clusters/a%2Fb"},
		{config.Upstream{Path: "/", Kind: config.KindArgoWorkflows}, "", "/api/v1/clusters/a%2Fb /artifact-files/a%2Fb"},
		{config.Upstream{Path: "/", EncodedSlash: []string{"/x/*", "/y/**"}}, "/x/a%2Fb /y/a%2Fb/c%2Fd", "/a%2Fb /x%2Fa /x/a%2Fb/c /xy/a%2Fb"},
		{config.Upstream{Path: "/", EncodedSlash: []string{"/x/*"}, Kind: config.KindArgoCD}, "/x/a%2Fb /api/v1/clusters/a%2Fb", "/y/a%2Fb"},
		// Below a prefix, Argo CD's own paths begin behind it, and patterns of the
		// configuration are of whole paths, as rows are.
		{config.Upstream{Path: "/cd", EncodedSlash: []string{"/cd/x/*"}, Kind: config.KindArgoCD}, "/cd/x/a%2Fb /cd/api/v1/clusters/a%2Fb", "/api/v1/clusters/a%2Fb /x/a%2Fb /cd/cd/x/a%2Fb"},
	} {
		for path := range strings.FieldsSeq(c.takes) {
			if p, err := target.Parse(path); err != nil || !proxy.AllowsEncodedSlash(&c.upstream, p) {
				t.Errorf("%+v does not take %s: %v", c.upstream, path, err)
			}
		}
		for path := range strings.FieldsSeq(c.not) {
			if p, err := target.Parse(path); err != nil || proxy.AllowsEncodedSlash(&c.upstream, p) {
				t.Errorf("%+v takes %s: %v", c.upstream, path, err)
			}
		}
	}
}

// A gateway takes a form for a GET, or for any method that a path has.
func TestFormsDoNotReachTheGatewaysOfArgo(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	const cd, workflows = "https://argo-cd.example.com", "https://argo-workflows.example.com"
	for _, c := range []struct {
		url, contentType string
		want             int
	}{
		{cd + "/api/v1/applications/web", "application/x-www-form-urlencoded", 415},
		{cd + "/api/v1/session", "Application/X-WWW-Form-Urlencoded; charset=utf-8", 415},
		{cd + "/api/version", "application/x-www-form-urlencoded", 415},
		{cd + "/api/v1/applications", "application/json", 200},
		{cd + "/api/dex/token", "application/x-www-form-urlencoded", 200}, // Dex takes nothing else
		{cd + "/api/dex/auth/local/login", "application/x-www-form-urlencoded", 200},
		{cd + "/api/webhook", "application/x-www-form-urlencoded", 200}, // no gateway
		{workflows + "/api/v1/workflows/argo", "application/x-www-form-urlencoded", 415},
		{workflows + "/api/v1/events/argo/", "application/x-www-form-urlencoded", 415},
		{workflows + "/api/v1/workflows/argo", "application/json", 200},
		{cd + "/reports/api/v1/x", "application/x-www-form-urlencoded", 200},
	} {
		res := g.do("POST", c.url, g.as("alice"), sameSite, []string{"Content-Type", c.contentType, "Content-Length", "0"})
		expect(t, c.url+" "+c.contentType, res, c.want)
	}
}

// A page of another site can make a browser send any GET, cookie and all.
func TestGETsThatChangeSomethingTakeTheSameOrigin(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	crossSite := []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors"}
	for url, want := range map[string]int{
		"https://argo-cd.example.com/terminal":                                        403,
		"https://argo-cd.example.com/extensions/x/restart":                            403,
		"https://argo-cd.example.com/api/v1/applications/web?refresh=hard":            403,
		"https://argo-cd.example.com/api/v1/applications/web?a=b&refresh":             403,
		"https://argo-cd.example.com/api/v1/repositories/x?forceRefresh=true":         403,
		"https://argo-cd.example.com/api/v1/write-repositories/x?forceRefresh=true":   403,
		"https://argo-cd.example.com/api/v1/applications/web?refresh[hard]":           403,
		"https://argo-cd.example.com/api/v1/applications/web?refresh%5Bhard%5D=":      403,
		"https://argo-cd.example.com/api/v1/repositories/x?forceRefresh[true]=":       403,
		"https://argo-cd.example.com/api/v1/repositories/x?force_refresh=true":        403,
		"https://argo-cd.example.com/api/v1/applications/web?fields=refresh":          200,
		"https://argo-cd.example.com/api/v1/applications/web":                         200,
		"https://argo-cd.example.com/applications/argocd/web?refresh=hard":            200, // a page
		"https://argo-cd.example.com/reports/terminal":                                200,
		"https://argo-workflows.example.com/artifacts/argo/web/node/log":              200,
		"https://argo-workflows.example.com/api/v1/archived-workflows?namespace=argo": 200,
	} {
		expect(t, "from elsewhere "+url, g.do("GET", url, g.as("alice"), crossSite), want)
		expect(t, "from its own page "+url, g.do("GET", url, g.as("alice"), sameSite), http.StatusOK)
	}
}

// Argo CD's own CLI sends its token in a header that gRPC and gRPC-web calls run
// under: the session that was judged would not be who acts.
func TestATokenOfArgoCDDoesNotRideOnASession(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	const call = "/application.ApplicationService/Delete"
	for _, token := range []string{"someone-elses", ""} {
		for _, name := range []string{"token", "Token", "TOKEN"} {
			header := []string{name, token}
			res := g.do("POST", "https://argo-cd.example.com"+call, g.as("alice"), sameSite, header)
			expect(t, "with a session and "+name, res, http.StatusUnauthorized)
			if !strings.Contains(body(t, res), "credential_refused") {
				t.Errorf("%s: refused for another reason", name)
			}
			res = g.do("POST", "https://argo-cd.example.com/api/dex/token", header)
			expect(t, "a public path", res, http.StatusOK)
			res = g.do("POST", "https://argo-workflows.example.com"+call, g.as("alice"), sameSite, header)
			expect(t, "another kind, to which it is a header like any", res, http.StatusOK)
			res = g.ask(forms["nginx"]("POST", "https://argo-cd.example.com"+call), g.as("alice"), sameSite, header)
			expect(t, "an ingress that asks", res, http.StatusUnauthorized)
		}
	}
}
