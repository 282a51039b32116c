package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

// signOut presses the button on the sign-out page.
func signOut(t *testing.T, s *stage.Stage, v *visitor.Visitor) {
	t.Helper()
	open(t, v, s.ArgoCD+"/oauth2/sign_out")
	a, err := v.Submit(t.Context(), s.ArgoCD+"/oauth2/sign_out", nil)
	if err != nil || a.Status >= 400 {
		t.Fatalf("signing out: %d %v", a.Status, err)
	}
}

// auditKeys is the contract: the same keys on every line.
var auditKeys = []string{
	"age", "bytes", "decision", "email", "event", "generation", "groups", "host", "id", "method", "ms", "path", "policy", "reason",
	"remote", "request_id", "roles", "rule", "shadow", "status", "sub", "time", "upstream",
}

func TestAuditSaysWhoDidWhatAndWhichRuleDecided(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	bob := signedIn(t, s, "bob")
	fetch(t, bob, http.MethodGet, s.ArgoCD+"/api/v1/applications?secret=query")
	fetch(t, bob, http.MethodPost, s.ArgoCD+guestbook+"/sync")
	curl(t, s.ArgoCD+"/api/v1/applications")
	curl(t, s.ArgoCD+"/", "Host", "other.example.com")
	signOut(t, s, bob)

	var records []map[string]any
	find := func(pairs ...any) map[string]any {
		for _, r := range records {
			matches := true
			for i := 0; i+1 < len(pairs); i += 2 {
				matches = matches && r[pairs[i].(string)] == pairs[i+1]
			}
			if matches {
				return r
			}
		}
		return nil
	}
	eventually(t, "the audit of the sign-out", func() bool {
		var err error
		if records, err = s.Files.ReadAudit(); err != nil {
			t.Fatal(err)
		}
		return find("event", "logout") != nil
	})

	for _, r := range records {
		if keys := slices.Sorted(maps.Keys(r)); !slices.Equal(keys, auditKeys) {
			t.Errorf("keys are %q, want %q", keys, auditKeys)
		}
		if path, _ := r["path"].(string); strings.Contains(path, "?") {
			t.Errorf("the path has a query: %s", path)
		}
	}
	if r := find("event", "login"); r == nil || r["email"] != "bob@example.com" || r["sub"] == "" {
		t.Errorf("the login is %v", r)
	}
	allowed := find("path", "/api/v1/applications", "email", "bob@example.com")
	if allowed == nil || allowed["decision"] != "allow" || allowed["upstream"] != "argocd" || allowed["status"] != 200.0 ||
		!strings.Contains(allowed["rule"].(string), "policy.csv:") || allowed["policy"] == "" || allowed["host"] == "" || allowed["shadow"] != "" ||
		fmt.Sprint(allowed["roles"]) != "[role:viewer]" || fmt.Sprint(allowed["groups"]) != "[example-org:dev]" {
		t.Errorf("the list is %v", allowed)
	}
	if r := find("path", guestbook+"/sync"); r == nil || r["decision"] != "deny" || r["status"] != 403.0 || r["reason"] == "" {
		t.Errorf("the refused sync is %v", r)
	}
	if r := find("path", "/api/v1/applications", "decision", "login"); r == nil || r["status"] != 401.0 {
		t.Errorf("the anonymous request is %v", r)
	}
	if r := find("host", "other.example.com"); r == nil || r["decision"] != "refuse" || r["status"] != 421.0 {
		t.Errorf("the unknown host is %v", r)
	}
	if r := find("path", "/healthz"); r != nil {
		t.Errorf("health checks are audited: %v", r)
	}
}

func TestMetricsHaveTheContractsNamesAndNoPeopleInThem(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	bob := signedIn(t, s, "bob")
	fetch(t, bob, http.MethodGet, s.ArgoCD+"/api/v1/applications")
	fetch(t, bob, http.MethodPost, s.ArgoCD+guestbook+"/sync")

	families, err := s.MetricFamilies(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{
		"authgate_requests_total":             {"code", "decision", "upstream"},
		"authgate_request_seconds":            {"upstream"},
		"authgate_decision_seconds":           {},
		"authgate_upstream_seconds":           {"upstream"},
		"authgate_build_info":                 {"goversion", "revision", "version"},
		"authgate_logins_total":               {"result"},
		"authgate_policy_reloads_total":       {"result"},
		"authgate_policy_generation":          {},
		"authgate_policy_age_seconds":         {},
		"authgate_policy_info":                {"hash"},
		"authgate_policy_disagreements_total": {},
		"authgate_shadow_differences_total":   {"change", "upstream"},
		"authgate_streams":                    {"upstream"},
		"authgate_issuer_up":                  {},
	}
	for name, want := range labels {
		f, ok := families[name]
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		for _, m := range f.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetName())
			}
			slices.Sort(has)
			if !slices.Equal(has, want) && len(has)+len(want) > 0 {
				t.Errorf("%s has labels %q, want %q", name, has, want)
			}
		}
	}
	for _, c := range []struct {
		labels []string
		least  float64
	}{
		{[]string{"upstream", "argocd", "decision", "allow", "code", "200"}, 1},
		{[]string{"upstream", "argocd", "decision", "deny", "code", "403"}, 1},
	} {
		n, err := s.Metric(t.Context(), "authgate_requests_total", c.labels...)
		if err != nil || n < c.least {
			t.Errorf("requests_total%q is %v %v, want at least %v", c.labels, n, err, c.least)
		}
	}
	if n, err := s.Metric(t.Context(), "authgate_issuer_up"); err != nil || n != 1 {
		t.Errorf("issuer_up is %v %v", n, err)
	}
	text, err := s.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"bob", "example-org:", "/api/v1/"} {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "authgate_") && strings.Contains(line, never) {
				t.Errorf("a label holds %q: %s", never, line)
			}
		}
	}
}

func TestNoSecretIsWrittenAnywhere(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	secrets := map[string]string{} // :: secret → what it is
	for what, path := range map[string]string{"client secret": s.Files.ClientSecret, "session key": s.Files.Keys} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for word := range strings.FieldsSeq(string(text)) {
			secrets[word] = what
		}
	}
	note := func(v *visitor.Visitor, address string) {
		cookies, err := v.Cookies(address)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cookies {
			secrets[c.Value] = "cookie " + c.Name
		}
	}

	alice, way := atCallback(t, s, "alice")
	callback := way.URL.String()
	note(alice, callback)
	hops := append(way.Hops, open(t, alice, callback).Hops...)
	open(t, alice, callback) // replayed
	note(alice, s.ArgoCD+"/")
	fetch(t, alice, http.MethodGet, s.ArgoCD+"/api/v1/applications")
	curl(t, s.ArgoCD+"/api/v1/applications", "Authorization", "Bearer not-a-token-but-secret")
	curl(t, s.ArgoCD+"/api/v1/applications", "Cookie", "authgate=not-a-session-but-secret")
	secrets["not-a-token-but-secret"], secrets["not-a-session-but-secret"] = "bearer token", "cookie"
	open(t, arrive(t, s, "bob"), callback) // another browser's
	signOut(t, s, alice)
	for _, h := range append(hops, open(t, alice, s.ArgoCD+"/").Hops...) {
		for _, key := range []string{"code", "state", "nonce"} {
			if v := h.URL.Query().Get(key); v != "" {
				secrets[v] = key
			}
		}
	}
	if len(secrets) < 8 {
		t.Fatalf("only %d secrets were gathered", len(secrets))
	}

	metrics, err := s.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // now everything is written
		t.Fatal(err)
	}
	places := map[string]string{"the metrics": metrics}
	for what, path := range map[string]string{"stderr": s.Files.Log, "stdout": s.Files.Audit} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		places[what] = string(text)
	}
	for where, text := range places {
		for secret, what := range secrets {
			if len(secret) >= 8 && strings.Contains(text, secret) {
				t.Errorf("%s is in %s: %s", what, where, secret)
			}
		}
	}
}
