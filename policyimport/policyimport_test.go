package policyimport_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policyimport"
)

// argocd imports a policy.csv of Argo CD, with further keys of argocd-rbac-cm.
func argocd(t *testing.T, csv, more string) *policyimport.Result {
	t.Helper()
	text := "kind: ConfigMap\nmetadata: {name: argocd-rbac-cm}\ndata:\n" + more + "  policy.csv: |\n"
	for line := range strings.Lines(csv) {
		text += "    " + line
	}
	result, err := policyimport.ArgoCD([]policyimport.Source{{Name: "rbac.yaml", Data: []byte(text)}}, "argocd")
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func rule(t *testing.T, expression string) *policyimport.Result {
	t.Helper()
	text := "kind: ServiceAccount\nmetadata:\n  name: sa\n  namespace: argo\n  annotations:\n    workflows.argoproj.io/rbac-rule: |-\n      " + expression + "\n"
	result, err := policyimport.Workflows([]policyimport.Source{{Name: "sa.yaml", Data: []byte(text)}}, "workflows", "")
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

func TestEachGRowOfArgoCDIsCarriedOverOrReported(t *testing.T) {
	t.Parallel()
	const both = "  scopes: '[groups, email]'\n"
	for _, c := range []struct{ row, more, want, reported string }{
		{"g, example-org:argo, role:admin", "", "example-org:argo, role:admin", ""},
		{`g, "example-org:a, b", role:readonly`, "", `"example-org:a, b", role:readonly`, ""},
		{"   g,   example-org:argo,   role:readonly  ", "", "example-org:argo, role:readonly", ""},
		{"g, a@example.com, role:readonly", both, "user:a@example.com, role:readonly", ""},
		{"g, a@example.com, role:readonly", "", "", "scopes has no email"},
		{"g, team, role:readonly", "", "team, role:readonly", ""},
		{"g, team, role:readonly", "  scopes: '[email]'\n", "", "scopes has no groups"},
		{"g, admin, role:admin", "", "", "local account"},
		{"g, proj:p:r, role:readonly", "", "", "role of a project"},
		{"g, example-org:argo, proj:p:r", "", "", "role of a project"},
		{"g, user:a@example.com, role:admin", "", "", "would mean something else"},
		{"g, system:authenticated, role:admin", "", "", "would mean something else"},
		{"g, System:anonymous, role:admin", "", "", "would mean something else"},
		{"g, example-org:*, role:admin", "", "", "stands for itself"},
		{"g, 4711, role:admin", "", "", "id of a user"},
		{"g, example-org:argo , role:admin", "", "", "ends in a blank"},
		{"g, example-org:argo, role:nothing", "", "", "role:nothing is granted but has no rules"},
		{"g, example-org:argo, admin", "", "", `both "admin" and "role:admin"`},
		{"g, example-org:argo, readonly", "", "", `both "readonly" and "role:readonly"`},
		{"g, example-org:argo,", "", "", "a field is empty"},
		{`g, "example-org:argo	x", role:admin`, "", "", "a name holds a tab"},
	} {
		r := argocd(t, c.row+"\n", c.more)
		if got := strings.Join(grants(r), "\n"); got != c.want {
			t.Errorf("%s: rows %q, want %q", c.row, got, c.want)
		}
		if got := r.Left.Error(); c.reported == "" && got != "" || !strings.Contains(got, c.reported) {
			t.Errorf("%s: reported %q, want %q", c.row, got, c.reported)
		}
	}
}

// What a group may before and after does not widen: the doors of each right are
// those, and no others.
func TestARoleGetsTheDoorsOfItsRights(t *testing.T) {
	t.Parallel()
	type ask struct{ method, path string }
	var (
		list     = ask{"GET", "/api/v1/applications"}
		sync     = ask{"POST", "/api/v1/applications/web/sync"}
		restart  = ask{"POST", "/api/v1/applications/web/resource/actions/v2"}
		remove   = ask{"DELETE", "/api/v1/applications/web"}
		shell    = ask{"GET", "/terminal"}
		newToken = ask{"POST", "/api/v1/account/ci/token"}
		repo     = ask{"POST", "/api/v1/repositories"}
		all      = []ask{list, sync, restart, remove, shell, newToken, repo, {"POST", "/api/v1/clusters"}}
	)
	for _, c := range []struct {
		rights string
		regex  bool
		doors  []ask
	}{
		{"applications, get, */*, allow", false, []ask{list}},
		{"applications, sync, team/*, allow", false, []ask{list, sync}},
		{"applications, action/apps/Deployment/restart, */*, allow", false, []ask{list, restart}},
		{"applications, delete/*/Pod/*, */*, allow", false, []ask{list, remove}},
		{"applications, *, */*, allow", false, []ask{list, sync, restart, remove}},
		{"exec, create, */*, allow", false, []ask{list, shell}},
		{"*, get, *, allow", false, []ask{list}},
		{"*, create, *, allow", false, []ask{list, shell, repo, {"POST", "/api/v1/clusters"}}},
		{"*, *, *, allow", false, all},
		{"app.*, (sync|get), .*, allow", true, []ask{list, sync}},
		{"applications, sync, */*, deny", false, nil},
		{"applications, sync , */*, allow", false, nil},
	} {
		more := ""
		if c.regex {
			more = "  policy.matchMode: regex\n"
		}
		r := argocd(t, "p, role:x, "+c.rights+"\ng, example-org:x, role:x\n", more)
		if r.Rows == 0 && len(c.doors) == 0 {
			continue
		}
		snapshot, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(r.Policy)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range all {
			if got, want := may(t, snapshot, q.method, q.path), slices.Contains(c.doors, q); got != want {
				t.Errorf("%s: %s %s is %v, want %v", c.rights, q.method, q.path, got, want)
			}
		}
	}
}

// Rows that hang together in ways that this policy refuses are left out one by
// one, and the others load.
func TestWhatDoesNotLoadIsReportedAndTheRestLoads(t *testing.T) {
	t.Parallel()
	r := argocd(t, "g, o:a, role:a\ng, role:a, role:b\ng, role:b, role:a\ng, role:b, role:readonly\ng, o:a, role:a\ng, role:lonely, role:readonly\n", "")
	if len(r.Left) != 1 || !strings.Contains(r.Left[0].What, "role:a -> role:b -> role:a") && !strings.Contains(r.Left[0].What, "role:b -> role:a -> role:b") {
		t.Errorf("reported %q, want the circle", r.Left)
	}
	if !slices.Equal(grants(r), []string{"o:a, role:a"}) || !strings.Contains(r.Policy, "\ng, role:b, role:readonly\n") {
		t.Errorf("rows are\n%s", r.Policy)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0].What, "nobody holds role:lonely") {
		t.Errorf("notes are %q", r.Notes)
	}
}

func TestDoorsThatARoleHasAnywayAreNotWrittenTwice(t *testing.T) {
	t.Parallel()
	r := argocd(t, "g, o:a, role:a\ng, role:a, role:b\ng, o:b, role:b\np, role:a, applications, sync, *, allow\np, role:b, applications, sync, *, allow\n", "")
	if len(r.Notes)+len(r.Left) > 0 {
		t.Errorf("%v, %v", r.Notes, r.Left)
	}
	if n := strings.Count(r.Policy, "/api/v1/applications/*/sync,"); n != 1 {
		t.Errorf("%d rows for a sync, want that of role:b alone:\n%s", n, r.Policy)
	}
}

func TestTheDoorsOfViewersAreThoseOfTheExamples(t *testing.T) {
	t.Parallel()
	for example, own := range map[string]string{
		"../examples/argo-cd/policy.csv": "argocd_viewer.csv", "../examples/argo-workflows/policy.csv": "workflows_viewer.csv",
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
