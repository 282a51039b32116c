package policyimport_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policyimport"
)

func rule(t *testing.T, expression string) *policyimport.Result {
	t.Helper()
	text := "kind: ServiceAccount\nmetadata:\n  name: sa\n  namespace: argo\n  annotations:\n    workflows.argoproj.io/rbac-rule: |-\n      " + expression + "\n"
	result, err := policyimport.Workflows([]policyimport.Source{{Name: "sa.yaml", Data: []byte(text)}}, policyimport.Options{Upstream: "workflows"})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// grants gives the g rows of a result whose member is no role.
func grants(r *policyimport.Result) []string {
	var found []string
	for line := range strings.Lines(r.Policy) {
		if strings.HasPrefix(line, "g, ") && !strings.HasPrefix(line, "g, role:") {
			found = append(found, strings.TrimSpace(strings.TrimPrefix(line, "g, ")))
		}
	}
	return found
}

func TestTheDoorsOfViewersAreThoseOfTheExamples(t *testing.T) {
	t.Parallel()
	for example, own := range map[string]string{
		"../examples/argo-workflows/policy.csv": "workflows_viewer.csv",
	} {
		if got, want := viewerRows(t, own), viewerRows(t, example); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("%s has\n%s\nand %s\n%s", own, strings.Join(got, ""), example, strings.Join(want, ""))
		}
	}
}

func viewerRows(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(line, ", "); fields[0] == "p" && strings.HasSuffix(fields[1], "-viewer") {
			rows = append(rows, line)
		}
	}
	return rows
}

func TestRulesAreCarriedOverWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rule, want, reported string }{
		{`'o:a' in groups`, "o:a", ""},
		{`"o:a" in groups`, "o:a", ""},
		{"`o:a` in groups", "o:a", ""},
		{`'o:a' in groups || ("o:b" in groups or 'o:c' in groups)`, "o:a o:b o:c", ""},
		{`email == 'A@b.c'`, "user:a@b.c", ""},
		{`'a@b.c' == email`, "user:a@b.c", ""},
		{`email in ['a@b.c', "d@e.f"]`, "user:a@b.c user:d@e.f", ""},
		{`any(groups, # == 'o:a')`, "o:a", ""},
		{`any(groups, {# in ['o:a', 'o:b']})`, "o:a o:b", ""},
		{`true`, "system:authenticated", ""},
		{`true || 'o:a' in groups`, "system:authenticated o:a", ""},
		{`false`, "", ""},
		{`'it\'s' in groups`, "it's", ""},
		{`'o:a' in groups && email == 'a@b.c'`, "", "two things at once"},
		{`'o:a' in groups and 'o:b' in groups`, "", "two things at once"},
		{`'o:a' in groups || 'o:b' in groups && true`, "", "two things at once"},
		{`'o:a' not in groups`, "", "who is not meant"},
		{`!('o:a' in groups)`, "", "who is not meant"},
		{`not ('o:a' in groups)`, "", "who is not meant"},
		{`email != 'a@b.c'`, "", "who is not meant"},
		{`email endsWith '@b.c'`, "", "part of a name"},
		{`email matches '.*'`, "", "part of a name"},
		{`any(groups, {# startsWith 'o:'})`, "", "part of a name"},
		{`sub == 'x'`, "", "asks for sub"},
		{`iss == 'argo-server'`, "", "asks for iss"},
		{`all(groups, # == 'o:a')`, "", `at "all"`},
		{`'o:a' in groups ? true : false`, "", `at "?"`},
		{`groups[0] == 'o:a'`, "", `at "groups"`},
		{`'o:a' in groups // && email == 'a@b.c'`, "", `at "//"`},
		{`'o:a' in groups == false`, "", `at "=="`},
		{`len(filter(groups, # == 'o:a')) > 0`, "", `at "len"`},
		{`True`, "", `at "True"`},
		{`'o:a'`, "", "breaks off"},
		{`'o:a' in groups ||`, "", "breaks off"},
		{`('o:a' in groups`, "", "breaks off"},
		{`'o:\x61' in groups`, "", "escape"},
		{`'o:a in groups`, "", "does not end"},
		{`'role:admin' in groups`, "", "would mean something else"},
		{`'o:*' in groups`, "", "every team"},
		{`email == 'nobody'`, "", "no e-mail address"},
		{strings.Repeat("(", 100) + "true" + strings.Repeat(")", 100), "", "too deep"},
	} {
		r := rule(t, c.rule)
		var who []string
		for _, row := range grants(r) {
			who = append(who, strings.TrimSuffix(row, ", role:sa"))
		}
		if got := strings.Join(who, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.rule, got, c.want)
		}
		if got := r.Left.Error(); c.reported == "" && got != "" || !strings.Contains(got, c.reported) {
			t.Errorf("%s: reported %q, want %q", c.rule, got, c.reported)
		}
	}
}
