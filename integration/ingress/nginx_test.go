// Package ingress_test tests docs/forward-auth.md: real ingresses, with the configuration
// shown there, ask the authgate binary about every request, and users log in through a real
// Dex.
package ingress_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

var binaries stage.Binaries // set by TestMain, never after

func TestMain(m *testing.M) {
	os.Exit(func() int {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
		dir, err := os.MkdirTemp("", "authgate-ingress-")
		if err == nil {
			defer os.RemoveAll(dir) // a temporary folder
			binaries, err = stage.Build(context.Background(), dir, true, os.Stderr)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// ingress is a proxy in front of Argo CD that asks authgate.
type ingress struct {
	*stage.Stage
	t        *testing.T
	address  string // the ingress's
	authgate string // URL
	behind   *behind
}

// open starts nginx.
func open(t *testing.T) *ingress {
	t.Helper()
	return openBy(t, (*ingress).startNginx)
}

// openBy sets a stage whose address is that of an ingress, which start runs, and
// moves authgate to another.
func openBy(t *testing.T, start func(*ingress)) *ingress {
	t.Helper()
	spare, err := program.ReservePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spare.Release() })
	spareAddress := fmt.Sprintf("127.0.0.1:%d", spare.Number)
	d := &ingress{t: t, authgate: "http://" + spareAddress}
	d.Stage, err = stage.Start(t.Context(), slog.New(slog.DiscardHandler), stage.Options{
		Dir: t.TempDir(), Dex: binaries.Dex, Authgate: binaries.Authgate, HeadersOnly: true,
		Config: func(yaml string, _ stage.Files) string {
			d.behind = newBehind(t, find(t, yaml, `name: argocd\n.*\n +url: (\S+)`))
			d.address = find(t, yaml, `(?m)^listen: "(.+)"`) // the ingress takes its place
			return strings.Replace(yaml, d.address, spareAddress, 1) + "trustedProxies: [127.0.0.1/32]\n"
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if log, err := d.Files.ReadLog(); err != nil || strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") || t.Failed() {
			t.Logf("%v\n%s", err, log)
		}
	})
	start(d)
	return d
}

// startNginx runs the configuration of the documentation, with other addresses.
func (d *ingress) startNginx() {
	d.t.Helper()
	_, port, _ := strings.Cut(d.address, ":")
	d.runNginx(strings.NewReplacer(
		"listen 443 ssl;", "listen "+d.address+";",
		"argo-cd.example.com", stage.ArgoCDHost,
		"$host", "$host:"+port, // as the documentation says of other ports
		"http://authgate.authgate.svc:8080", d.authgate,
		"http://argocd-server.argocd.svc:80", d.behind.URL,
	).Replace(shown(d.t, "nginx.conf")) + `
server { listen ` + d.address + `; server_name other.localhost; location / { return 418; } }
`)
}

// runNginx runs nginx with these lines in its block http.
func (d *ingress) runNginx(lines string) {
	d.t.Helper()
	dir := d.t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	text := `daemon off; master_process off; error_log stderr; pid nginx.pid;
events { worker_connections 256; }
http {
access_log off;
client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
` + lines + `
}
`
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.run(program.Command{Name: "nginx", Path: installed(d.t, "nginx"), Args: []string{"-p", dir, "-c", conf, "-e", "stderr"}, Dir: dir})
}

// run starts an ingress, and waits until it answers.
func (d *ingress) run(c program.Command) {
	d.t.Helper()
	c.Stdout = filepath.Join(c.Dir, c.Name+".log")
	c.Stderr = c.Stdout
	ingress, err := program.Start(d.t.Context(), c)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		if err := ingress.Stop(); err != nil {
			d.t.Error(err)
		}
		if d.t.Failed() {
			d.t.Logf("%s: %s", c.Name, ingress.Tail(30))
		}
	})
	if err := ingress.Await(d.t.Context(), func(ctx context.Context) error {
		_, err := visitor.Curl(ctx, http.MethodGet, "http://"+d.address+"/")
		return err
	}); err != nil {
		d.t.Fatal(err)
	}
}

// installed finds a program of a Debian package of the same name.
func installed(t *testing.T, program string) string {
	t.Helper()
	for _, name := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing: `go run -C integration ./test` installs it on Debian, as root; else install the package %[1]s", program)
	return ""
}

var blocks = regexp.MustCompile("(?ms)^```\\w+ ([\\w.-]+)\n(.*?)^```$")

// shown is a file that docs/forward-auth.md shows.
func shown(t *testing.T, name string) string {
	t.Helper()
	return shownIn(t, "docs/forward-auth.md", name)
}

// shownIn is a file that a page shows.
func shownIn(t *testing.T, page, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range blocks.FindAllStringSubmatch(string(text), -1) {
		if block[1] == name {
			return block[2]
		}
	}
	t.Fatalf("%s does not show %s", page, name)
	return ""
}

func find(t *testing.T, text, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no %s in\n%s", pattern, text)
	}
	return found[1]
}

// behind notes what reaches Argo CD, and passes it on.
type behind struct {
	*httptest.Server
	mu   sync.Mutex
	last *http.Request
}

func newBehind(t *testing.T, dashboard string) *behind {
	t.Helper()
	to, err := url.Parse(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	b := &behind{}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
		r.Out.Header["X-Forwarded-For"], r.Out.Header["X-Forwarded-Host"] = r.In.Header["X-Forwarded-For"], r.In.Header["X-Forwarded-Host"]
	}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.last = r.Clone(context.Background())
		b.mu.Unlock()
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(b.Close)
	return b
}

// saw gives the request that arrived since the last call, or nil.
func (b *behind) saw() *http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.last
	b.last = nil
	return r
}
