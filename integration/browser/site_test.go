package browser_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/example-org/authgate/integration/browser"
	"github.com/example-org/authgate/integration/issuer"
	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/stage"
)

// Set by TestMain, never after.
var (
	binaries stage.Binaries
	chromium *browser.Chromium
	axe      *browser.Axe
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := func() (code int, err error) {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // authgate's reports are written before it ends
		dir, err := os.MkdirTemp("", "authgate-browser-")
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		if axe, err = browser.LoadAxe(context.Background()); err != nil {
			return 1, err
		}
		if binaries, err = stage.Build(context.Background(), dir, true, os.Stderr); err != nil {
			return 1, err
		}
		if chromium, err = browser.Launch(); err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, chromium.Close()) }()
		return m.Run(), nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const settings = `
listen: LISTEN
adminListen: ADMIN
issuer: {url: ISSUER, clientID: authgate, clientSecret: not-shown}
session: {keys: {file: KEYS}}
policy: {files: [POLICY]}
audit: {output: none}
timeouts: {shutdownDelay: 0s, shutdown: 1s}
upstreams:
- {name: keeps, hosts: [keeps.localhost], url: "URL", keepFragment: true}
- {name: other, hosts: [other.localhost], url: "URL"}
`

// site is an authgate in front of a dashboard, and an issuer on another host.
type site struct {
	issuer *issuer.Server
	port   string
	scheme string // http, unless a test changes it

	mu   sync.Mutex
	sent []string // what the browser sent to the issuer's host: addresses and referrers
	got  []string // requests that reached the dashboard
	asks bool     // whether the issuer shows a page with a button

	handlers map[string]http.HandlerFunc // of the dashboard, by path; others show its page
}

// handle gives a path of the dashboard another answer.
func (s *site) handle(path string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[path] = h
}

func (s *site) handler(path string) http.HandlerFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handlers[path]
}

// dashboard shows what a script of it sees of the address.
const dashboard = `<!doctype html><title>dashboard</title><p id="dashboard">?</p>
<script>document.getElementById("dashboard").textContent = location.pathname + location.search + location.hash</script>`

// question is the issuer's page, whose scripts see the whole address, too.
var question = template.Must(template.New("").Parse(`<!doctype html><title>sign in</title><p id="seen">?</p>
<script>document.getElementById("seen").textContent = location.href</script><p><a id="signin" href="{{.}}">Sign in</a></p>`))

func newSite(t *testing.T, changes ...string) *site {
	t.Helper()
	people, err := issuer.Start("example-org:argo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(people.Close)
	s := &site{issuer: people, scheme: "http", handlers: make(map[string]http.HandlerFunc)}
	people.SetLoginPage(s.signIn)
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.got = append(s.got, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		if h := s.handler(r.URL.Path); h != nil {
			h(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(dashboard)) // the browser may have gone
	}))
	t.Cleanup(behind.Close)
	s.serve(t, behind.URL, changes)
	return s
}

func (s *site) serve(t *testing.T, upstream string, changes []string) {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	var ports [2]string
	for i := range ports {
		port, err := program.ReservePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = port.Release() })
		ports[i] = fmt.Sprintf("127.0.0.1:%d", port.Number)
	}
	keys, err := exec.CommandContext(t.Context(), binaries.Authgate, "keygen").Output()
	if err != nil {
		t.Fatalf("authgate keygen: %v", err)
	}
	yaml := strings.NewReplacer(changes...).Replace(settings)
	yaml = strings.NewReplacer("LISTEN", ports[0], "ADMIN", ports[1], "ISSUER", s.issuer.URL(), "KEYS", at("keys"),
		"POLICY", at("policy.csv"), "URL", upstream).Replace(yaml)
	for name, text := range map[string]string{
		"authgate.yaml": yaml, "policy.csv": "p, system:authenticated, *, /**, *, allow\n", "keys": string(keys),
	} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := program.Start(t.Context(), program.Command{
		Name: "authgate", Path: binaries.Authgate, Args: []string{"serve", "--config", at("authgate.yaml")}, Stdout: at("log"), Stderr: at("log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := p.Await(t.Context(), ready("http://"+ports[1]+"/readyz")); err != nil {
		t.Fatalf("%v\n%s", err, p.Tail(20))
	}
	_, s.port, _ = strings.Cut(ports[0], ":")
}

// ready asks whether authgate is.
func ready(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", res.StatusCode)
		}
		return nil
	}
}

func (s *site) at(host, rest string) string {
	return s.scheme + "://" + host + ".localhost:" + s.port + rest
}

// signIn is the issuer's login page: a button, or nothing at all for whom it knows.
func (s *site) signIn(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.sent = append(s.sent, r.URL.String(), r.Referer())
	asks := s.asks
	s.mu.Unlock()
	back := issuer.CallbackURL(r, "alice")
	if !asks {
		http.Redirect(w, r, back, http.StatusFound)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	_ = question.Execute(w, back) // the browser may have gone
}

func (s *site) ask(asks bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asks = asks
}

// reached are the requests that the dashboard got.
func (s *site) reached() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.got, "\n")
}

func (s *site) sentToIssuer() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.sent, "\n")
}
