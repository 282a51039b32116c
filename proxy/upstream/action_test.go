package upstream

import (
	"strings"
	"testing"

	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/target"
)

func TestEveryActionHasAText(t *testing.T) {
	t.Parallel()
	set, err := page.New(page.Options{})
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(actionTable) {
		kindName, a := parseAction(line)
		if kindName == "" {
			if !strings.HasPrefix(line, "#") {
				t.Errorf("not a line of the table: %q", line)
			}
			continue
		}
		lines++
		if message, _ := target.CheckPattern(a.path); message != "" || kinds[kindName].product == "" {
			t.Errorf("%q: %s", line, message)
		}
		for _, language := range []string{"en", "ja"} {
			if _, err := set.Render(page.Denied{Action: page.Text("action." + a.text)}, page.Reader{AcceptLanguage: language}); err != nil {
				t.Errorf("%s: %v", language, err)
			}
		}
	}
	if lines < 50 {
		t.Errorf("only %d lines", lines)
	}
}

func TestActionsAreFoundByMethodAndPath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, prefix, method, path, want string }{
		{"argo-cd", "/", "POST", "/api/v1/applications/web/sync", "argo-cd.sync_application"},
		{"argo-cd", "/cd", "POST", "/cd/api/v1/applications/web/sync", "argo-cd.sync_application"},
		{"argo-cd", "/", "GET", "/applications", "argo-cd.view_applications"},
		{"argo-cd", "/", "HEAD", "/applications/argocd/web", "argo-cd.view_applications"},
		{"argo-cd", "/", "GET", "/applicationsets", "argo-cd.view_applicationsets"},
		{"argo-cd", "/", "DELETE", "/api/v1/applications/web", "argo-cd.delete_application"},
		{"argo-cd", "/", "DELETE", "/api/v1/applications/web/operation", "argo-cd.stop_operation"},
		{"argo-cd", "/", "PATCH", "/api/v1/applications/web", "argo-cd.change_application"},
		{"argo-cd", "/", "GET", "/api/v1/applications/web/pods/a/logs", "argo-cd.read_logs"},
		{"argo-cd", "/", "PUT", "/api/v1/clusters/https%3A%2F%2Fk", "argo-cd.change_clusters"},
		{"argo-cd", "/", "GET", "/terminal", "argo-cd.open_terminal"},
		{"argo-cd", "/", "GET", "/", "open"},
		{"argo-cd", "/", "GET", "/unknown", "open"},
		{"argo-workflows", "/", "POST", "/api/v1/workflows/argo/submit", "argo-workflows.submit_workflow"},
		{"argo-workflows", "/", "POST", "/api/v1/workflows/argo", "argo-workflows.submit_workflow"},
		{"argo-workflows", "/", "POST", "/api/v1/workflows/argo/lint", "argo-workflows.check_workflow"},
		{"argo-workflows", "/", "PUT", "/api/v1/workflows/argo/web/terminate", "argo-workflows.terminate_workflow"},
		{"argo-workflows", "/", "GET", "/workflows/argo/web", "argo-workflows.view_workflows"},
		{"argo-workflows", "/", "GET", "/api/v1/workflows/", "argo-workflows.view_workflows"},
		{"argo-workflows", "/", "POST", "/api/v1/applications/web/sync", "change"},
		{"generic", "/", "POST", "/api/v1/applications/web/sync", "change"},
		{"", "/", "DELETE", "/x", "delete"},
		{"", "/", "OPTIONS", "/x", "change"},
	} {
		path, err := target.Parse(c.path)
		if err != nil {
			t.Fatal(err)
		}
		u := &Upstream{Options: Options{Kind: c.kind, Path: c.prefix}}
		if got := u.Action(c.method, path); got != "action."+c.want {
			t.Errorf("%s %s: %s, want %s", c.method, c.path, got, c.want)
		}
	}
}
