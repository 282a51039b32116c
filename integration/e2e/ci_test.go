package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

// actions is the issuer of GitHub Actions: five minutes, the claims of a real job,
// and a token for any audience to every client.
type actions struct {
	url   string
	keyID string
	key   *ecdsa.PrivateKey
}

func startActions(t *testing.T) *actions {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &oidctest.Server{
		PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "1", Algorithm: oidc.ES256}},
		Algorithms: []string{oidc.ES256},
	}
	server := httptest.NewServer(about)
	t.Cleanup(server.Close)
	about.SetIssuer(server.URL)
	return &actions{server.URL, "1", key}
}

// job is the token of a job on the main branch, but for what is said otherwise.
func (a *actions) job(t *testing.T, otherwise map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": a.url, "aud": "authgate", "iat": now.Unix(), "nbf": now.Add(-10 * time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": rand.Text(),
		"sub": "repo:example-org@65/app@74:ref:refs/heads/main", "ref": "refs/heads/main", "ref_type": "branch", "sha": "4a1f09c", "ref_protected": "true",
		"repository": "example-org/app", "repository_id": "74", "repository_owner": "example-org", "repository_owner_id": "65", "repository_visibility": "private",
		"actor": "alice", "actor_id": "1001", "event_name": "push", "workflow": "release", "workflow_ref": "example-org/app/.github/workflows/release.yml@refs/heads/main",
		"job_workflow_ref": "example-org/app/.github/workflows/release.yml@refs/heads/main", "run_id": "1", "run_number": "1", "run_attempt": "1", "runner_environment": "github-hosted",
	}
	maps.Copy(claims, otherwise)
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return oidctest.SignIDToken(a.key, a.keyID, oidc.ES256, string(text))
}

const submitters = `g, ci:example-org/app:refs/heads/main, role:submitter
p, role:submitter, workflows, /api/v1/workflows/argo/submit, POST, allow
`

// A job submits a workflow with its own token and no stored secret, as
// `ARGO_HTTP1=true ARGO_TOKEN="Bearer $TOKEN" argo submit --from` does.
func TestAJobOfGitHubActionsSubmitsAWorkflowAndNothingElse(t *testing.T) {
	t.Parallel()
	github := startActions(t)
	s := set(t, stage.Options{Config: func(yaml string, f stage.Files) string {
		yaml = strings.Replace(yaml, `{role: "role:viewer", tokenFile:`, `{role: "role:submitter", tokenFile: `+f.Dir+"/argo-viewer-token}\n        - "+`{role: "role:viewer", tokenFile:`, 1)
		return yaml + fmt.Sprintf(`
bearer:
  - issuer: %s
    audience: authgate
    require: {repository_owner_id: ["65"], event_name: [push, workflow_dispatch]}
    groups: ["ci:{repository}:{ref}", "env:{repository}:{environment}"]
`, github.url)
	}})
	before, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Files.WritePolicy(before + submitters); err != nil {
		t.Fatal(err)
	}
	submit := func(token string) visitor.Answer {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Workflows+"/api/v1/workflows/argo/submit",
			strings.NewReader(`{"resourceKind":"WorkflowTemplate","resourceName":"release"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Host = "127.0.0.1:" + port(s.Workflows)
		req.Host = strings.TrimPrefix(s.Workflows, "http://")
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() // only read
		return visitor.Answer{Status: res.StatusCode, Header: res.Header}
	}
	eventually(t, "a job to submit", func() bool { return submit(github.job(t, nil)).Status == http.StatusOK })
	for name, test := range map[string]struct {
		otherwise map[string]any
		want      int
	}{
		"another branch":        {map[string]any{"ref": "refs/heads/wip"}, http.StatusForbidden},
		"another repository":    {map[string]any{"repository": "example-org/other"}, http.StatusForbidden},
		"another owner":         {map[string]any{"repository_owner_id": "66"}, http.StatusUnauthorized},
		"a pull request":        {map[string]any{"event_name": "pull_request_target"}, http.StatusUnauthorized},
		"another audience":      {map[string]any{"aud": "https://github.com/example-org"}, http.StatusUnauthorized},
		"of an hour ago":        {map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}, http.StatusUnauthorized},
		"that looks like a ref": {map[string]any{"ref": "refs/heads/wip", "repository": "example-org/x", "environment": "x:refs/heads/main"}, http.StatusForbidden},
	} {
		if a := submit(github.job(t, test.otherwise)); a.Status != test.want {
			t.Errorf("%s: %d, want %d", name, a.Status, test.want)
		}
	}
	job := github.job(t, nil)
	wantProblem(t, curl(t, s.Workflows+"/api/v1/workflows/argo", "Authorization", "Bearer "+job), http.StatusForbidden)
	wantProblem(t, curl(t, s.ArgoCD+"/api/v1/applications", "Authorization", "Bearer "+job), http.StatusForbidden)
	forger := startActions(t)
	forger.url = github.url
	if a := submit(forger.job(t, nil)); a.Status != http.StatusUnauthorized {
		t.Errorf("a forged token: %d", a.Status)
	}
}
