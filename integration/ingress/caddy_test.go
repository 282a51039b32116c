package ingress_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/stage"
)

// startCaddy runs the configuration of the documentation, with other addresses.
func (d *ingress) startCaddy() {
	d.t.Helper()
	_, port, _ := strings.Cut(d.address, ":")
	site := strings.NewReplacer(
		"argo-cd.example.com {", "http://"+stage.ArgoCDHost+":"+port+" {\n\tbind 127.0.0.1",
		"authgate.authgate.svc:8080", strings.TrimPrefix(d.authgate, "http://"),
		"argocd-server.argocd.svc:80", strings.TrimPrefix(d.behind.URL, "http://"),
	).Replace(shown(d.t, "Caddyfile"))
	dir := d.t.TempDir()
	conf := filepath.Join(dir, "Caddyfile")
	// No admin endpoint on a fixed port, and no certificates.
	if err := os.WriteFile(conf, []byte("{\n\tadmin off\n\tauto_https off\n}\n"+site), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.run(program.Command{
		Name: "caddy", Path: installed(d.t, "caddy"), Args: []string{"run", "--config", conf, "--adapter", "caddyfile"}, Dir: dir,
		Env: []string{"HOME=" + dir, "XDG_DATA_HOME=" + filepath.Join(dir, "data"), "XDG_CONFIG_HOME=" + filepath.Join(dir, "config")},
	})
}

func TestPeopleLogInThroughCaddy(t *testing.T) {
	t.Parallel()
	d := openBy(t, (*ingress).startCaddy)
	d.keepsThePromises("X-Auth-Request-")
}
