package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

// haproxyConfig retries nothing and keeps connections to authgate open: whatever
// authgate loses during shutdown, a client sees.
const haproxyConfig = `global
  maxconn 500
defaults
  mode http
  retries 0
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
frontend front
  bind 127.0.0.1:%s
  default_backend authgates
backend authgates
  option httpchk GET /readyz
  default-server check inter 100ms fastinter 50ms fall 1 rise 1
`

// TestAuthgateIsReplacedUnderLoadWithoutALostRequest rolls two replicas behind a
// real load balancer with health checks, while users read and write.
func TestAuthgateIsReplacedUnderLoadWithoutALostRequest(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{NoAuthgate: true, Config: func(yaml string, _ stage.Files) string {
		return strings.Replace(yaml, "shutdownDelay: 0s, shutdown: 1s", "shutdownDelay: 1s, shutdown: 10s", 1)
	}})
	replicas := []*replica{newReplica(t, s, "a"), newReplica(t, s, "b")}
	config := fmt.Sprintf(haproxyConfig, port(s.ArgoCD))
	for _, r := range replicas {
		r.start(t)
		config += "  server " + r.name + " " + r.address + "\n"
	}
	startBalancer(t, s, config)
	for _, r := range replicas {
		r.awaitReady(t)
	}
	eventually(t, "the balancer to find a replica", func() bool {
		a, err := visitor.Curl(t.Context(), http.MethodGet, s.ArgoCD+"/healthz")
		return err == nil && a.Status == http.StatusOK
	})

	alice := signedIn(t, s, "alice") // on one of them, and so on both: they share the keys
	load := startLoad(t, s, alice)
	for _, r := range replicas {
		load.awaitMore(t, 200)
		r.replace(t)
		load.awaitMore(t, 200)
	}
	if answered, failures := load.stop(); len(failures) > 0 {
		t.Errorf("%d of %d requests were lost, such as: %s", len(failures), answered, failures[0])
	}
}

// replica is one authgate of several.
type replica struct {
	name    string
	address string // host:port of its traffic
	admin   string // of its admin port, as an URL
	command program.Command
	process *program.Process
}

func newReplica(t *testing.T, s *stage.Stage, name string) *replica {
	t.Helper()
	reserve := func() string {
		p, err := program.ReservePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Release() }) // the test has ended
		return fmt.Sprintf("127.0.0.1:%d", p.Number)
	}
	r := &replica{name: name, address: reserve()}
	admin := reserve()
	r.admin = "http://" + admin
	text, err := os.ReadFile(s.Files.Config)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitN(string(text), "\n", 3) // listen and adminListen come first
	lines[0], lines[1] = `listen: "`+r.address+`"`, `adminListen: "`+admin+`"`
	config := filepath.Join(s.Files.Dir, "authgate-"+name+".yaml")
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	r.command = program.Command{
		Name: "authgate " + name, Path: binaries.Authgate, Args: []string{"serve", "--config", config}, Dir: s.Files.Dir,
		Stdout: s.Files.Audit, Stderr: s.Files.Log,
	}
	return r
}

func (r *replica) start(t *testing.T) {
	t.Helper()
	process, err := program.Start(t.Context(), r.command)
	if err != nil {
		t.Fatal(err)
	}
	r.process = process
	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func (r *replica) awaitReady(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := r.process.Await(ctx, func(ctx context.Context) error {
		a, err := visitor.Curl(ctx, http.MethodGet, r.admin+"/readyz")
		if err == nil && a.Status != http.StatusOK {
			err = fmt.Errorf("readiness answers %d", a.Status)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// replace is what a rolling update does to a pod.
func (r *replica) replace(t *testing.T) {
	t.Helper()
	if err := r.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if code, err := r.process.ExitCode(ctx); err != nil || code != 0 {
		t.Fatalf("authgate %s ended with %d, %v", r.name, code, err)
	}
	r.start(t)
	r.awaitReady(t)
}

func startBalancer(t *testing.T, s *stage.Stage, config string) {
	t.Helper()
	binary, err := exec.LookPath("haproxy")
	if err != nil {
		t.Fatalf("this test needs haproxy; `go run -C integration ./test` installs it: %v", err)
	}
	file := filepath.Join(s.Files.Dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(s.Files.Dir, "logs", "haproxy.log")
	process, err := program.Start(t.Context(), program.Command{
		Name: "haproxy", Path: binary, Args: []string{"-db", "-f", file}, Dir: s.Files.Dir, Stdout: log, Stderr: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// load is some users who never rest, on connections that stay open.
type load struct {
	quit     chan struct{}
	workers  sync.WaitGroup
	answered atomic.Int64

	mu       sync.Mutex
	failures []string
}

func startLoad(t *testing.T, s *stage.Stage, who *visitor.Visitor) *load {
	t.Helper()
	return startLoadOf(t, s, who, func(i int) (string, string) {
		if i%4 == 0 { // no balancer may repeat these
			return http.MethodPost, s.ArgoCD + guestbook + "/sync"
		}
		return http.MethodGet, s.ArgoCD + "/api/v1/applications"
	})
}

// startReading is a load of users who may only read.
func startReading(t *testing.T, s *stage.Stage, who *visitor.Visitor) *load {
	t.Helper()
	return startLoadOf(t, s, who, func(int) (string, string) { return http.MethodGet, s.ArgoCD + "/api/v1/applications" })
}

func startLoadOf(t *testing.T, s *stage.Stage, who *visitor.Visitor, does func(i int) (method, address string)) *load {
	t.Helper()
	cookies, err := who.Cookies(s.ArgoCD)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+port(s.ArgoCD))
	}}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	l := &load{quit: make(chan struct{})}
	for i := range 16 {
		method, address := does(i)
		l.workers.Go(func() { l.work(client, method, address, cookies) })
	}
	t.Cleanup(func() {
		l.stop()
		transport.CloseIdleConnections()
	})
	return l
}

func (l *load) work(client *http.Client, method, address string, cookies []*http.Cookie) {
	for {
		select {
		case <-l.quit:
			return
		default:
		}
		if why := ask(client, method, address, cookies); why != "" {
			l.mu.Lock()
			l.failures = append(l.failures, why)
			l.mu.Unlock()
		}
		l.answered.Add(1)
	}
}

// ask makes one request and says what went wrong with it.
func ask(client *http.Client, method, address string, cookies []*http.Cookie) string {
	req, err := http.NewRequest(method, address, nil)
	if err != nil {
		return err.Error()
	}
	for _, c := range cookies {
		req.AddCookie(c)
	}
	if method == http.MethodPost {
		req.Header.Set("Origin", "http://"+req.Host)
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close() // only read
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return fmt.Sprintf("%s %s: reading the answer: %v", method, address, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Sprintf("%s %s: %s", method, address, res.Status)
	}
	return ""
}

func (l *load) awaitMore(t *testing.T, requests int64) {
	t.Helper()
	until := l.answered.Load() + requests
	eventually(t, "requests to be answered", func() bool { return l.answered.Load() >= until })
}

// stop ends the load and tells what became of it. It may be called again.
func (l *load) stop() (answered int64, failures []string) {
	l.mu.Lock()
	select {
	case <-l.quit:
	default:
		close(l.quit)
	}
	l.mu.Unlock()
	l.workers.Wait()
	return l.answered.Load(), l.failures
}
