package stage

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/example-org/authgate/integration/dashboards"
)

// Files is what authgate reads and writes.
type Files struct {
	Dir          string
	Config       string // authgate.yaml
	Policy       string // policy.csv
	Keys         string // session-keys, made by `authgate keygen`
	ClientSecret string
	Log          string // authgate's stderr
	Audit        string // authgate's stdout

	accounts map[string]string // token → ServiceAccount
}

func newFiles(dir string) Files {
	at := func(name string) string { return filepath.Join(dir, name) }
	return Files{
		Dir: dir, Config: at("authgate.yaml"), Policy: at("policy.csv"), Keys: at("session-keys"),
		ClientSecret: at("client-secret"), accounts: newAccounts(), Log: at("logs/authgate.log"), Audit: at("logs/audit.jsonl"),
	}
}

var (
	//go:embed authgate.yaml.tmpl
	configTemplate string
	//go:embed policy.csv
	policyText string

	config = template.Must(template.New("authgate.yaml").Parse(configTemplate))
)

func (f Files) write(ctx context.Context, o Options, p ports, issuer, backchannel string, upstreams []*dashboards.Running) error {
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return err
	}
	keys, err := exec.CommandContext(ctx, o.Authgate, "keygen").Output()
	if err != nil {
		return fmt.Errorf("running authgate keygen: %w", err)
	}
	argoCD, workflows := cmp.Or(o.ArgoCD, upstreams[0].URL()), cmp.Or(o.Workflows, upstreams[1].URL())
	var yaml strings.Builder
	err = config.Execute(&yaml, map[string]any{
		"Port": p.authgate, "Admin": p.admin, "Issuer": issuer, "Backchannel": backchannel,
		"ClientID": dexClient, "Files": f,
		"HeadersOnly": o.HeadersOnly,
		"ArgoCDHost":  ArgoCDHost, "WorkflowsHost": WorkflowsHost,
		"ArgoCD": argoCD, "Workflows": workflows,
	})
	if err != nil {
		return err
	}
	text := yaml.String()
	if o.Config != nil {
		text = o.Config(text, f)
	}
	secret := o.ClientSecret
	if secret == "" {
		secret = DexSecret
	}
	contents := map[string]string{
		f.Keys: string(keys), f.ClientSecret: secret + "\n", f.Config: text, f.Policy: policyText,
	}
	for token, account := range f.accounts {
		contents[filepath.Join(f.Dir, account+"-token")] = token + "\n"
	}
	for path, content := range contents {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Accounts are the ServiceAccounts by the tokens that the stage's Argo Workflows
// takes.
func (f Files) Accounts() map[string]string { return f.accounts }

// WritePolicy puts another text in place of policy.csv, as an editor does that
// writes a new file and renames it.
func (f Files) WritePolicy(text string) error {
	next := f.Policy + ".new"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, f.Policy)
}

// ReadPolicy is policy.csv as it is now.
func (f Files) ReadPolicy() (string, error) {
	text, err := os.ReadFile(f.Policy)
	return string(text), err
}
