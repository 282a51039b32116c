package proxy_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
)

// candidate grants viewers what they may not, takes secrets from admins, and
// names a group that the policy in force does not know.
const candidate = `
p, system:anonymous, argocd, /api/dex/**, *, allow
p, system:anonymous, argocd, /open, GET, allow
p, role:viewer, argocd, /**, GET|POST, allow
p, role:admin, *, /**, *, allow
p, role:admin, argocd, /secret/**, *, deny
p, system:authenticated, argocd, /welcome, GET, allow
g, example-org:*, role:viewer
g, example-org:argo, role:admin
`

func TestACandidatePolicyIsDecidedAndChangesNothing(t *testing.T) {
	t.Parallel()
	const host = "https://argo-cd.example.com"
	requests := []struct {
		who, method, url string
		status           int
		shadow           string
	}{
		{"bob", "GET", app, 200, "allow"},
		{"bob", "POST", app, 403, "allow"}, // granted
		{"alice", "GET", app, 200, "allow"},
		{"alice", "GET", host + "/secret/a", 200, "deny"},        // revoked
		{"bob", "GET", host + "/secret/a", 403, "allow"},         // granted
		{"carol", "GET", host + "/api/dex/x", 200, "allow"},      // as anonymous, in both
		{"bob", "GET", host + "/api/dex/internal", 403, "allow"}, // a row denies it; granted
		{"carol", "GET", host + "/open", 403, "allow"},           // as anonymous; granted
		{"", "GET", host + "/open", 401, "allow"},                // granted
		{"", "GET", app, 401, "deny"},
		{"carol", "GET", "https://argo-workflows.example.com/mine", 403, "deny"},
		{"bob", "GET", "https://argo-workflows.example.com/mine", 200, "deny"}, // revoked
		{"", "GET", host + "/reports/", 200, "deny"},                           // revoked
	}
	statuses := func(g *gate) []int {
		var all []int
		for _, r := range requests {
			headers := [][]string{sameSite}
			if r.who != "" {
				headers = append(headers, g.as(r.who))
			}
			all = append(all, g.do(r.method, r.url, headers...).StatusCode)
		}
		return all
	}
	without, with := newGate(t, nil), newGate(t, nil)
	with.SetShadow(load(t, candidate))
	for i, status := range statuses(with) {
		if r := requests[i]; status != r.status {
			t.Errorf("%s %s %s: status %d, want %d", r.who, r.method, r.url, status, r.status)
		}
	}
	if got, want := statuses(without), statuses(with); !slices.Equal(got, want) {
		t.Errorf("without a candidate %v, with %v", got, want)
	}
	for i, r := range with.records()[1 : 1+len(requests)] {
		if want := requests[i]; r.Shadow != want.shadow {
			t.Errorf("%s %s %s: shadow %q, want %q", want.who, want.method, want.url, r.Shadow, want.shadow)
		}
	}
	for _, r := range without.records() {
		if r.Shadow != "" {
			t.Errorf("without a candidate there is a shadow: %+v", r)
		}
	}
	with.wantMetrics(
		`authgate_shadow_differences_total{change="granted",upstream="argocd"} 10`, // all was asked twice
		`authgate_shadow_differences_total{change="revoked",upstream="argocd"} 2`,
		`authgate_shadow_differences_total{change="revoked",upstream="workflows"} 2`,
		`authgate_shadow_differences_total{change="granted",upstream="workflows"} 0`,
		`authgate_shadow_differences_total{change="revoked",upstream="reports"} 2`,
		`authgate_policy_generation 1`,
	)
	without.wantMetrics(`authgate_shadow_differences_total{change="granted",upstream="argocd"} 0`)
}

func (g *gate) wantMetrics(lines ...string) {
	g.t.Helper()
	metrics := g.metrics()
	for _, want := range lines {
		if !strings.Contains(metrics, want+"\n") {
			g.t.Errorf("%s is missing in:\n%s", want, metrics)
		}
	}
}

func TestNoShadowWhereNoPolicyIsAsked(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	g.SetShadow(load(t, candidate))
	for _, request := range []struct {
		method, url string
		headers     []string
	}{
		{"GET", "https://unknown.example.com/", nil},
		{"GET", "https://argo-cd.example.com/a//b", nil},
		{"GET", "https://argo-cd.example.com/oauth2/userinfo", g.as("bob")},
		{"GET", "https://argo-cd.example.com/oauth2/", g.as("bob")},
		{"POST", app, append(g.as("bob"), "Sec-Fetch-Site", "cross-site")},
	} {
		g.do(request.method, request.url, request.headers)
	}
	records := g.records()[1:]
	if len(records) != 5 {
		t.Fatalf("%d records", len(records))
	}
	for _, r := range records {
		if r.Shadow != "" {
			t.Errorf("%s %s: shadow %q", r.Method, r.Path, r.Shadow)
		}
	}
}

// A session that was seen before must be resolved by each candidate again.
func TestCandidateIsReplacedForSessionsThatAreKnown(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	bob := g.as("bob")
	ask := func() string {
		g.do("POST", app, bob, sameSite)
		records := g.records()
		return records[len(records)-1].Shadow
	}
	got := []string{ask()}
	g.SetShadow(load(t, candidate))
	got = append(got, ask())
	g.SetShadow(load(t, rules))
	got = append(got, ask())
	g.SetPolicy(load(t, candidate))
	got = append(got, ask())
	g.RejectShadow(errors.New("policy-next.csv:1:2: broken"))
	got = append(got, ask())
	if want := []string{"", "allow", "deny", "deny", "deny"}; !slices.Equal(got, want) {
		t.Errorf("shadows %q, want %q", got, want)
	}
	if !strings.Contains(g.log.String(), "policy-next.csv:1:2: broken") {
		t.Errorf("the log does not say why:\n%s", g.log)
	}
	g.wantMetrics(`authgate_policy_reloads_total{result="error"} 1`, `authgate_policy_reloads_total{result="ok"} 2`,
		`authgate_policy_generation 2`, `authgate_shadow_differences_total{change="granted",upstream="argocd"} 1`,
		`authgate_shadow_differences_total{change="revoked",upstream="argocd"} 2`)
}

func TestAuditNamesTheSubjectsOfAUser(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	want := map[string][][]string{ // :: who → roles, groups
		"alice": {{"role:admin"}, {"example-org:argo", "system:authenticated"}},
		"bob":   {{"role:viewer"}, {"example-org:dev", "system:authenticated", "user:bob@example.com"}},
		"carol": {{}, {"system:authenticated"}}, // her address is not verified
		"":      {{}, {"system:anonymous"}},
	}
	who := slices.Sorted(maps.Keys(want))
	for _, name := range who {
		if name == "" {
			g.do("GET", app)
		} else {
			g.do("GET", app, g.as(name))
		}
	}
	g.do("GET", "https://unknown.example.com/")
	for i, r := range g.records()[1:] {
		roles, groups := []string{}, []string{}
		if i < len(who) {
			roles, groups = want[who[i]][0], want[who[i]][1]
		}
		if !slices.Equal(r.Roles, roles) || !slices.Equal(r.Groups, groups) {
			t.Errorf("record %d: roles %q groups %q, want %q and %q", i, r.Roles, r.Groups, roles, groups)
		}
	}
}

func (g *gate) readiness() (status int, body map[string]map[string]any) {
	g.t.Helper()
	w := httptest.NewRecorder()
	g.admin.Port(g.registry).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	var all map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
		g.t.Fatal(err)
	}
	body = map[string]map[string]any{}
	for key, value := range all {
		if m, ok := value.(map[string]any); ok {
			body[key] = m
		}
	}
	return w.Code, body
}

func TestAdminHealthTellsOfRefusedFilesAndTheCandidate(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	if _, body := g.readiness(); body["policy"]["refused"] != nil || body["shadow"] != nil {
		t.Errorf("at the start: %v", body)
	}
	g.SetShadow(load(t, candidate))
	g.RejectPolicy(errors.New("policy.csv:3:1: the first"))
	_, first := g.readiness()
	g.RejectPolicy(errors.New("policy.csv:4:1: the second"))
	g.RejectShadow(errors.New("policy-next.csv:1:1: the third"))
	status, detail := g.readiness()
	since := func(detail map[string]map[string]any, of string) (why, since any) {
		refused, _ := detail[of]["refused"].(map[string]any)
		return refused["error"], refused["since"]
	}
	_, begun := since(first, "policy")
	why, still := since(detail, "policy")
	if status != http.StatusOK || why != "policy.csv:4:1: the second" || still != begun || begun == "" {
		t.Errorf("%d, refused %v since %v, at first since %v", status, why, still, begun)
	}
	if why, _ := since(detail, "shadow"); why != "policy-next.csv:1:1: the third" || detail["shadow"]["hash"] != load(t, candidate).Hash() {
		t.Errorf("candidate %v", detail["shadow"])
	}
	if got := detail["policy"]; got["hash"] != load(t, rules).Hash() || got["generation"] != 1.0 || got["demoted"] != false {
		t.Errorf("policy %v", got)
	}
	for _, secret := range []string{"the second", load(t, candidate).Hash(), load(t, rules).Hash()} {
		if got := body(t, g.do("GET", "https://x/readyz")); strings.Contains(got, secret) {
			t.Errorf("the traffic port tells %q: %s", secret, got)
		}
	}
	g.SetPolicy(load(t, rules))
	g.SetShadow(load(t, rules))
	if _, body := g.readiness(); body["policy"]["refused"] != nil || body["shadow"]["refused"] != nil || body["policy"]["generation"] != 2.0 {
		t.Errorf("after good ones: %v", body)
	}
}

func TestCandidateThatDoesNotKnowAnUpstreamDeniesIt(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	g.SetShadow(func() *policy.Snapshot {
		s, err := policy.Load([]policy.Source{{Name: "n.csv", Data: []byte("p, system:anonymous, argocd, /**, *, allow\n")}}, []string{"argocd", "workflows", "reports"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}())
	g.do("GET", "https://argo-cd.example.com/reports/")
	if r := g.records()[1]; r.Shadow != "deny" || r.Decision != "allow" {
		t.Errorf("%+v", r)
	}
}
