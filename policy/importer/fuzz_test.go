package importer_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/expr-lang/expr"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/importer"
	"github.com/example-org/authgate/policy/lint"
)

// whatLoads holds a result to its promise: it loads, without a warning but those
// that were passed on, and in its canonical form.
func whatLoads(t *testing.T, r *importer.Result, err error) {
	t.Helper()
	var faults fault.Faults
	var namespaces *importer.NamespacesError
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
		t.Errorf("formatted again at %v: %v\n%s", changed, err, r.Policy)
	}
	report := lint.Run([]policy.Source{src}, lint.Environment{})
	if report.Faults != nil {
		t.Errorf("does not load: %v\n%s", report.Faults, r.Policy)
	}
	for _, f := range report.Findings {
		if f.Severity >= lint.Warning && !strings.Contains(r.Notes.Error(), f.Code) {
			t.Errorf("%s is not reported: %s", f.Code, f.Message)
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
		r, err := importer.ArgoCD([]importer.Source{{Name: "rbac.yaml", Data: []byte(text)}}, importer.Options{Upstream: "argocd", RolePrefix: "argocd-"})
		whatLoads(t, r, err)
	})
}

// FuzzRule holds the rows of a rule to what argo-server would make of it: no one holds
// the role of whom the rule, run by its own language, says no.
func FuzzRule(f *testing.F) {
	for _, seed := range []string{
		`'o:a' in groups || email in ['a@b.c', "d"]`, "any(groups, {# == 'x'})", "true or (false)", `'\'' == email`, "'#x' in groups || ' y' in groups",
		"'a' in groups && true", "'a' not in groups", "`a` in groups", `'a' in groups || ("b" in groups and email == 'c')`,
		`email endsWith '@b.c' && email != 'a@b.c'`, `any(groups, # startsWith 'o:' && # != 'o:a')`, `none(groups, # == 'a') ? true : 'b' in groups`,
		`!('o:a' in groups) == false`, `email matches '^(a|d)@b\\.c$'`, `count(groups, # in ['a', 'o:a']) > 0`, `lower(email) == 'a@b.c'`,
		`count(groups,# in['a',''])`, `filter(groups, # == 'a') || false`, `+A00 or !(false)`, `int(email) > 0 || true`, `any(groups, int(#) > 0 || # == 'a')`,
		`groups[7] == 'x' || 'a' in groups`, `!(groups[7] == 'x' && 'a' in groups)`, `groups[7] == 'x' ? true : true`, `any(groups, #) || true`, `true ? 1 : true`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rule string) {
		if len(rule) > 300 || !utf8.ValidString(rule) {
			return
		}
		text, err := json.Marshal(map[string]any{
			"kind": "ServiceAccount", "metadata": map[string]any{"name": "sa", "namespace": "argo", "annotations": map[string]string{"workflows.argoproj.io/rbac-rule": rule}},
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := importer.Workflows([]importer.Source{{Name: "sa.json", Data: text}}, importer.Options{Upstream: "workflows", RolePrefix: "workflows-"})
		whatLoads(t, r, err)
		if err != nil || r.Rows == 0 {
			return
		}
		s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(r.Policy)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, identity := range []policy.Identity{
			{Groups: []string{"a"}, Email: "a@b.c"}, {Groups: []string{"o:a", "b"}, Email: "d@b.c"}, {Groups: []string{"x"}, Email: "c@d.e"}, {Groups: []string{"o:b"}, Email: "d@b.c.evil"},
		} {
			holds := slices.Contains(s.Resolve(identity).Names(), "role:workflows-sa")
			env := map[string]any{"groups": identity.Groups, "email": identity.Email}
			program, err := expr.Compile(rule, expr.Env(env))
			var says any
			if err == nil {
				says, err = expr.Run(program, env)
			}
			if allowed, _ := says.(bool); holds && (err != nil || !allowed) {
				t.Errorf("%v holds the role, and %q is %v: %v", identity, rule, says, err)
			}
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
		sources := []importer.Source{{Name: "x.yaml", Data: data}}
		r, err := importer.ArgoCD(sources, importer.Options{Upstream: "argocd", RolePrefix: "argocd-"})
		whatLoads(t, r, err)
		r, err = importer.Workflows(sources, importer.Options{Upstream: "workflows", RolePrefix: "workflows-"})
		whatLoads(t, r, err)
	})
}
