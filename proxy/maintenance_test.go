package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/proxy"
)

const maintenanceText = "Argo CD is being upgraded,\n  back at 14:00 UTC."

func underMaintenance(o *proxy.Options) { o.Config.Upstreams[0].Maintenance = maintenanceText }

func TestMaintenanceAnswersEveryClientInItsOwnForm(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), underMaintenance)
	const shown = "Argo CD is being upgraded, back at 14:00 UTC."
	for what, c := range map[string]struct {
		res   *http.Response
		media string
	}{
		"a user":               {g.do("GET", argo+"/applications", g.as("alice"), browser), "text/html"},
		"an anonymous browser": {g.do("GET", argo+"/", browser), "text/html"},
		"a script":             {g.do("GET", argo+"/api/v1/applications", g.as("alice"), sameSite), "application/problem+json"},
		"anonymous":            {g.do("GET", argo+"/api/dex/keys"), "application/problem+json"},
		"a write":              {g.do("POST", argo+"/api/v1/session", g.as("alice"), sameSite), "application/problem+json"},
		"another site":         {g.do("POST", argo+"/api/v1/session", g.as("alice"), []string{"Origin", evil}), "application/problem+json"},
		"a denied user":        {g.do("GET", argo+"/secret/", g.as("bob"), browser), "text/html"},
		"a WebSocket":          {g.do("GET", argo+"/terminal", g.as("alice"), handshake[2:], sameSite), "application/problem+json"},
		"a login page":         {g.do("GET", argo+"/login", browser), "text/html"},
		"an invalid token":     {g.do("GET", argo+"/", []string{"Authorization", "Bearer x"}), "application/problem+json"},
	} {
		expect(t, what, c.res, http.StatusServiceUnavailable)
		if page := body(t, c.res); !strings.Contains(page, shown) {
			t.Errorf("%s: %s", what, page)
		}
		if c.res.Header.Get("Retry-After") != "60" || !strings.HasPrefix(c.res.Header.Get("Content-Type"), c.media) {
			t.Errorf("%s: %q", what, c.res.Header)
		}
	}
	for _, r := range g.records() {
		if r.Event == audit.Request && (r.Decision != audit.Refuse || r.Reason != "maintenance" || r.Upstream != "argocd" || r.Status != 503) {
			t.Errorf("%+v", r)
		}
	}

	res := g.do("POST", argo+"/x.Y/Z", []string{"Content-Type", "application/grpc", "TE", "trailers"})
	expect(t, "gRPC", res, http.StatusOK)
	if res.Header.Get("Grpc-Status") != "14" || !strings.Contains(res.Header.Get("Grpc-Message"), "upgraded") {
		t.Errorf("gRPC: %q", res.Header)
	}
}

func TestMaintenanceLeavesTheRestOfTheHostAlone(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), underMaintenance)
	for target, status := range map[string]int{
		argo + "/healthz":        http.StatusOK,
		argo + "/readyz":         http.StatusOK,
		own + "/":                http.StatusOK,
		own + "/userinfo":        http.StatusOK,
		own + "/sign_out":        http.StatusOK,
		own + "/start?again=1":   http.StatusFound,
		own + "/nothing":         http.StatusNotFound,
		argo + "/reports/":       http.StatusBadGateway, // another upstream of this host, which is forwarded to
		argo + "/a/../b":         http.StatusBadRequest,
		"https://x.example.com/": http.StatusMisdirectedRequest,
		workflows + "mine":       http.StatusBadGateway,
	} {
		expect(t, target, g.do("GET", target, g.as("alice"), browser), status)
	}
}

func TestMaintenanceReachesClientsOfAnIngress(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), underMaintenance)
	for name, form := range forms {
		res := g.ask(form("GET", argo+"/applications"), g.as("alice"), browser)
		expect(t, name, res, http.StatusServiceUnavailable)
		if page := body(t, res); res.Header.Get("Retry-After") != "60" || !strings.Contains(page, "being upgraded") {
			t.Errorf("%s: %q\n%s", name, res.Header, page)
		}
		expect(t, name, g.ask(form("GET", argo+"/reports/"), g.as("alice")), http.StatusAccepted)
	}
}
