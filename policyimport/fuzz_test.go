package policyimport_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policyimport"
)

// whatLoads holds a result to its promise: it loads, without a warning but those
// that were passed on, and in its canonical form.
func whatLoads(t *testing.T, r *policyimport.Result, err error) {
	t.Helper()
	var faults fault.Faults
	var namespaces *policyimport.NamespacesError
	if errors.As(err, &faults) || errors.As(err, &namespaces) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.Rows == 0 {
		for line := range strings.Lines(r.Policy) {
			if !strings.HasPrefix(line, "#") && line != "\n" {
				t.Errorf("a row that is not counted: %q", line)
			}
		}
		return
	}
	src := policy.Source{Name: "policy.csv", Data: []byte(r.Policy)}
	if _, changed, err := policy.Format(src); err != nil || len(changed) > 0 {
		t.Errorf("formatted anew at %v: %v\n%s", changed, err, r.Policy)
	}
	report := policy.Lint([]policy.Source{src}, policy.Surroundings{})
	if report.Faults != nil {
		t.Errorf("does not load: %v\n%s", report.Faults, r.Policy)
	}
	for _, f := range report.Findings {
		if f.Severity >= policy.Warning && !strings.Contains(r.Notes.Error(), f.Code) {
			t.Errorf("%s is not told: %s", f.Code, f.What)
		}
	}
}

func FuzzArgoCD(f *testing.F) {
	for _, seed := range []string{
		"g, o:a, role:admin\n", "g, role:a, role:b\ng, role:b, role:a\np, role:a, *, *, *, allow\n", "g, \"a\"\"b\", x\ng, x, role:admin\n",
		"p, role:readonly, applications, sync, */*, deny\n", "g, a b , role:x\ng, a@b.c, role:readonly\n#g\n", "g, o:\u2028, role:readonly\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, csv string) {
		if len(csv) > 500 {
			return
		}
		text := "kind: ConfigMap\nmetadata: {name: argocd-rbac-cm}\ndata:\n  policy.csv: |\n    " + strings.ReplaceAll(csv, "\n", "\n    ") + "\n"
		r, err := policyimport.ArgoCD([]policyimport.Source{{Name: "rbac.yaml", Data: []byte(text)}}, policyimport.Options{Upstream: "argocd", RolePrefix: "argocd-"})
		whatLoads(t, r, err)
	})
}

// FuzzRule holds rules that are understood to what they say when they are written
// anew, and to the words that no such rule has.
func FuzzRule(f *testing.F) {
	for _, seed := range []string{
		`'o:a' in groups || email in ['a@b.c', "d"]`, "any(groups, {# == 'x'})", "true or (false)", `'\'' == email`, "'#x' in groups || ' y' in groups",
		"'a' in groups && true", "'a' not in groups", "`a` in groups", `'a' in groups || ("b" in groups and email == 'c')`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rule string) {
		everybody, groups, emails, err := policyimport.ParseRule(rule)
		if err != nil {
			return
		}
		again := []string{"false"}
		if everybody {
			again = append(again, "true")
		}
		quoted := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" }
		for _, g := range groups {
			again = append(again, quoted(g)+" in groups")
		}
		for _, e := range emails {
			again = append(again, "email == "+quoted(e))
		}
		everybody2, groups2, emails2, err := policyimport.ParseRule(strings.Join(again, " || "))
		if err != nil || everybody2 != everybody || !slices.Equal(groups2, groups) || !slices.Equal(emails2, emails) {
			t.Errorf("%q was read as %q, which is read as %v %q %q: %v", rule, again, everybody2, groups2, emails2, err)
		}
		if !strings.ContainsAny(rule, "'\"`") && strings.ContainsAny(rule, "&!") {
			t.Errorf("%q was understood", rule)
		}
	})
}

func FuzzYAML(f *testing.F) {
	for _, seed := range []string{
		"kind: List\nitems: &a [*a]\n", "kind: ConfigMap\nmetadata: {name: argocd-rbac-cm}\ndata: {policy.csv: \"g, a:b, role:readonly\"}\n",
		"---\n---\nkind: ServiceAccount\nmetadata: {name: a, namespace: b, annotations: {workflows.argoproj.io/rbac-rule: 'true'}}\n", "[", "\t", "a: *b",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1000 {
			return
		}
		sources := []policyimport.Source{{Name: "x.yaml", Data: data}}
		r, err := policyimport.ArgoCD(sources, policyimport.Options{Upstream: "argocd", RolePrefix: "argocd-"})
		whatLoads(t, r, err)
		r, err = policyimport.Workflows(sources, policyimport.Options{Upstream: "workflows", RolePrefix: "workflows-"})
		whatLoads(t, r, err)
	})
}
