package proxy_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/policy"
)

func TestHealthIsAnsweredOnAnyHostAndLeavesNoRecord(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, host := range []string{"argo-cd.example.com", "10.0.0.7:8080", ""} {
		for _, path := range []string{"/healthz", "/readyz", "/readyz?x=1"} {
			expect(t, host+path, g.do("GET", "https://"+host+path), http.StatusOK)
		}
	}
	expect(t, "POST", g.do("POST", "https://x/readyz"), http.StatusMethodNotAllowed)
	if got := len(g.records()); got != 1 {
		t.Errorf("%d records, want the one of the policy", got)
	}
	expect(t, "not exactly", g.do("GET", "https://10.0.0.7/healthz/"), http.StatusMisdirectedRequest)
}

func TestReadinessSaysWhyNot(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	g.issuer.ready = errTest("discovering https://dex.example.com: connection refused")
	for name, test := range map[string]struct{ traffic, admin string }{
		"/healthz": {`"ok"`, `"ok"`},
		"/readyz":  {"the issuer has not been reached yet", "discovering https://dex.example.com: connection refused"},
	} {
		if got := body(t, g.do("GET", "https://x"+name)); !strings.Contains(got, test.traffic) {
			t.Errorf("%s: %s", name, got)
		}
		w := httptest.NewRecorder()
		g.admin.Port(g.registry).ServeHTTP(w, httptest.NewRequest("GET", name, nil))
		if got := w.Body.String(); !strings.Contains(got, test.admin) {
			t.Errorf("admin %s: %s", name, got)
		}
	}
	expect(t, "not ready", g.do("GET", "https://x/readyz"), http.StatusServiceUnavailable)
	expect(t, "alive", g.do("GET", "https://x/healthz"), http.StatusOK)
	g.issuer.ready = nil
	expect(t, "ready", g.do("GET", "https://x/readyz"), http.StatusOK)
	g.Drain()
	res := g.do("GET", "https://x/readyz")
	expect(t, "draining", res, http.StatusServiceUnavailable)
	if !res.Close {
		t.Error("a balancer keeps its connection to a process that goes")
	}
	expect(t, "still serving", g.do("GET", app, g.as("alice")), http.StatusOK)
}

func TestNewPolicyIsInForceForTheNextRequest(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	expect(t, "before", g.do("POST", app, g.as("bob"), sameSite), http.StatusForbidden)
	const more = "p, role:viewer, argocd, /api/v1/applications, POST, allow\n"
	g.SetPolicy(load(t, rules+more))
	expect(t, "after", g.do("POST", app, g.as("bob"), sameSite), http.StatusOK)

	_, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte("p, x")}}, nil)
	g.RejectPolicy(err)
	expect(t, "after a broken one", g.do("POST", app, g.as("bob"), sameSite), http.StatusOK)
	if !strings.Contains(g.log.String(), "policy.csv:1:") {
		t.Errorf("the log does not say where:\n%s", g.log)
	}
	if r := g.records(); r[0].Generation != 1 || r[len(r)-1].Generation != 2 || r[len(r)-1].Policy == r[0].Policy {
		t.Errorf("the audit does not tell the policies apart: %+v", r)
	}
	metrics := g.metrics()
	if n := strings.Count(metrics, "authgate_policy_info{"); n != 1 {
		t.Errorf("%d policies are in force:\n%s", n, metrics)
	}
	for _, want := range []string{
		`authgate_policy_reloads_total{result="ok"} 2`, `authgate_policy_reloads_total{result="error"} 1`,
		"authgate_policy_generation 2", `authgate_policy_info{hash="` + load(t, rules+more).Hash() + `"} 1`, `authgate_requests_total{code="403",decision="deny",upstream="argocd"} 1`,
		`authgate_requests_total{code="200",decision="allow",upstream="argocd"} 2`,
		`authgate_request_seconds_count{upstream="argocd"} 3`, `authgate_request_seconds_count{upstream=""} 0`, `authgate_request_seconds_count{upstream="reports"} 0`,
		`authgate_upstream_seconds_count{upstream="argocd"} 2`, "authgate_decision_seconds_count 3", "authgate_issuer_up 1",
		"authgate_policy_age_seconds ", `authgate_logins_total{result="ok"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("%s is missing in:\n%s", want, metrics)
		}
	}
}

func (g *gate) metrics() string {
	w := httptest.NewRecorder()
	g.admin.Port(g.registry).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestAdminHealthTellsThePolicy(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	w := httptest.NewRecorder()
	g.admin.Port(g.registry).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	var got struct {
		Status, Issuer string
		Policy         struct {
			Hash       string
			Generation int
			AgeSeconds float64 `json:"age_seconds"`
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Status != "ready" || got.Issuer != "up" || got.Policy.Hash != load(t, rules).Hash() || got.Policy.Generation != 1 || got.Policy.AgeSeconds > time.Minute.Seconds() {
		t.Errorf("%+v", got)
	}
}
