package proxy_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/policy/pathspace"
	"github.com/example-org/authgate/proxy"
)

// portalSettings changes the upstreams argocd, reports and workflows of the tests.
func portalGate(t *testing.T, rows string, changes ...func(*proxy.Options)) *gate {
	t.Helper()
	return newGateTo(t, brokenUpstream(t), append([]func(*proxy.Options){func(o *proxy.Options) {
		o.Policy, o.PagesBelow = load(t, rows), pathspace.PagesBelow
	}}, changes...)...)
}

func (g *gate) portal(t *testing.T, who string) string {
	t.Helper()
	res := g.do("GET", own+"/", g.as(who), browser)
	expect(t, "the portal of "+who, res, http.StatusOK)
	return body(t, res)
}

const (
	toArgoCD    = `href="https://argo-cd.example.com/"`
	toReports   = `href="https://argo-cd.example.com/reports/"`
	toWorkflows = `href="https://argo-workflows.example.com/"`
)

func TestThePortalShowsWhatAUserMayOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows string
		want []string // for bob, of example-org:dev
	}{
		"the home page":            {"p, example-org:dev, argocd, /, GET, allow", []string{toArgoCD}},
		"a page below it":          {"p, example-org:dev, argocd, /applications/**, GET, allow", []string{toArgoCD}},
		"pages of all":             {"p, example-org:dev, *, /**, *, allow", []string{toArgoCD, toReports, toWorkflows}},
		"nothing":                  {"p, example-org:argo, *, /**, *, allow", nil},
		"writes":                   {"p, example-org:dev, argocd, /**, POST, allow", nil},
		"all of it denied":         {"p, example-org:dev, argocd, /a/**, GET, allow\np, example-org:dev, *, /**, *, deny", nil},
		"all but one page denied":  {"p, example-org:dev, argocd, /a/*, GET, allow\np, example-org:dev, argocd, /a/b*, GET, deny", []string{toArgoCD}},
		"a path of another":        {"p, example-org:dev, argocd, /reports/**, GET, allow", nil},
		"a page of authgate's own": {"p, example-org:dev, argocd, /oauth2/**, GET, allow", nil},
		"home, for everyone":       {"p, system:anonymous, reports, /reports/, GET, allow", []string{toReports}},
		"a page for everyone":      {"p, system:anonymous, argocd, /api/dex/**, GET, allow", nil},
		"everyone who signed in":   {"p, system:authenticated, workflows, /workflows/*, GET, allow", []string{toWorkflows}},
	} {
		g := portalGate(t, c.rows+"\n")
		page := g.portal(t, "bob")
		for _, link := range []string{toArgoCD, toReports, toWorkflows} {
			wanted := 0
			for _, want := range c.want {
				if want == link {
					wanted = 1
				}
			}
			if got := strings.Count(page, link); got != wanted {
				t.Errorf("%s: %s is there %d times, want %d", name, link, got, wanted)
			}
		}
	}
}

func TestATileHasTheTextsOfItsUpstreamAndTheRolesOfTheUser(t *testing.T) {
	t.Parallel()
	const rows = "p, role:viewer, argocd, /**, GET, allow\np, role:ops, workflows, /**, GET, allow\np, role:idle, workflows, /x, GET, deny\n" +
		"g, example-org:dev, role:viewer\ng, example-org:dev, role:ops\ng, example-org:dev, role:idle\n"
	g := portalGate(t, rows, func(o *proxy.Options) {
		u := &o.Config.Upstreams[0]
		u.Title, u.Description, u.Home, u.Hosts = "Argo CD <1>", "Deploys & checks.", "/applications", []string{"cd.example.com", "argo-cd.example.com"}
		o.Config.Upstreams[2].Maintenance = "Back at 14:00 UTC."
		o.Icons = map[string]string{"argocd": "data:image/svg+xml;base64,PHN2Zy8+"}
	})
	page := g.portal(t, "bob")
	for _, want := range []string{
		`href="https://argo-cd.example.com/applications"`, "Argo CD &lt;1&gt;", "Deploys &amp; checks.", `src="data:image/svg&#43;xml;base64,PHN2Zy8&#43;"`,
		"role:viewer", "role:ops", "Back at 14:00 UTC.", "<span>workflows</span>",
	} {
		if strings.Count(page, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, page)
		}
	}
	for _, odd := range []string{"role:idle", "https://cd.example.com"} {
		if strings.Contains(page, odd) {
			t.Errorf("%q is there", odd)
		}
	}
	elsewhere := body(t, g.do("GET", "https://argo-workflows.example.com/oauth2/", g.as("bob"), browser))
	if !strings.Contains(elsewhere, `href="https://cd.example.com/applications"`) {
		t.Errorf("at another host:\n%s", elsewhere)
	}
	csp := g.do("GET", own+"/", g.as("bob"), browser).Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "img-src data:") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("CSP %q", csp)
	}
}

func TestThePortalLeadsToTheLoginAndBack(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	res := g.do("GET", own+"/", browser)
	expect(t, "anonymous", res, http.StatusFound)
	if got := res.Header.Get("Location"); got != "/oauth2/start?rd=%2Foauth2%2F" {
		t.Errorf("Location %q", got)
	}
	state, cookie := g.begin("/oauth2/")
	if got := g.callback("alice", state, cookie).Header.Get("Location"); got != "/oauth2/" {
		t.Errorf("after the login: %q", got)
	}
	expect(t, "a script", g.do("GET", own+"/"), http.StatusUnauthorized)
}

func TestThePortalDescribesTheSession(t *testing.T) {
	t.Parallel()
	g, issuer := keptGate(t, upstreamSaying(t))
	alice := g.signIn("alice")
	issuer.clock.forward(time.Minute)
	page := body(t, g.do("GET", own+"/", alice, browser))
	for _, want := range []string{"alice@example.com", "example-org:argo", `method="post" action="/oauth2/refresh"`, "/oauth2/sign_out"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in\n%s", want, page)
		}
	}
	if strings.Contains(page, "everywhere") { // sessions in cookies are listed nowhere
		t.Error("everywhere")
	}
	token := body(t, g.do("GET", own+"/", []string{"Authorization", "Bearer not-accepted"}, browser))
	if strings.Contains(token, "/oauth2/refresh") {
		t.Error(token)
	}
}
