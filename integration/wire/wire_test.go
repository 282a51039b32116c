// Package wire_test tests the bytes that the built authgate reads and writes: raw sockets
// and hand-written HTTP/2 frames in front, and an upstream that reads bytes and repairs
// nothing. No library is between a test and the wire, because libraries hide what attackers
// send.
//
// Each topic has a file with its table. The tables in testdata/*.golden list for each row
// what was sent, what was answered and what reached the upstream, so that a change by a new
// Go version is visible; `go test ./wire -update` rewrites them.
package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/example-org/authgate/integration/issuer"
	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/wait"
)

var (
	update = flag.Bool("update", false, "rewrite testdata/*.golden")

	// Set by TestMain, never after.
	binary string
	people *issuer.Server
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "authgate-wire-")
		if err == nil {
			defer os.RemoveAll(dir) // a temporary folder
			binary, err = program.Authgate(dir)
		}
		if err == nil {
			people, err = issuer.Start("example-org:argo")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer people.Close()
		return m.Run()
	}())
}

// Every client may do anything except below /private.
const rules = `p, system:anonymous, *, /**, *, allow
p, system:anonymous, *, /private/**, *, deny
p, system:authenticated, *, /**, *, allow
`

// settings is authgate.yaml. What waits for a client is short, for tests to see
// it end.
const settings = `
listen: LISTEN
adminListen: ADMIN
issuer: {url: ISSUER, clientID: authgate, clientSecret: not-shown}
session: {keys: {file: KEYS}}
policy: {files: [POLICY]}
audit: {output: AUDIT}
timeouts: {readHeader: 1s, idle: 2s, upstreamDial: 2s, upstreamHeader: 3s, shutdownDelay: 0s, shutdown: 1s}
upstreams:
- {name: raw, hosts: [raw.example], url: "URL"}
`

// gate is a running authgate in front of one upstream.
type gate struct {
	t        *testing.T
	upstream *upstream
	process  *program.Process
	address  string // of the traffic port
	admin    string
	audit    string // file
	probes   int    // that followed a request, to see its record
	log      string // file
	begun    cost   // before the first test byte
}

// changed is a gate's settings with parts replaced, in pairs of old and new.
type changed []string

// newGate starts one. At the end of the test it has to stop in order, and to
// account for what it let through.
func newGate(t *testing.T, u *upstream, changes changed, env ...string) *gate {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	g := &gate{t: t, upstream: u, audit: at("audit.jsonl"), log: at("authgate.log")}
	var ports [2]string
	for i := range ports {
		port, err := program.ReservePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := port.Release(); err != nil {
				t.Error(err)
			}
		})
		ports[i] = fmt.Sprintf("127.0.0.1:%d", port.Number)
	}
	g.address, g.admin = ports[0], ports[1]
	keys, err := exec.CommandContext(t.Context(), binary, "keygen").Output()
	if err != nil {
		t.Fatalf("authgate keygen: %v", err)
	}
	yaml := strings.NewReplacer(changes...).Replace(settings)
	yaml = strings.NewReplacer("LISTEN", g.address, "ADMIN", g.admin, "ISSUER", people.URL(), "KEYS", at("keys"),
		"POLICY", at("policy.csv"), "AUDIT", g.audit, "URL", "http://"+u.address).Replace(yaml)
	for name, text := range map[string]string{"authgate.yaml": yaml, "policy.csv": rules, "keys": string(keys)} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.process, err = program.Start(t.Context(), program.Command{
		Name: "authgate", Path: binary, Args: []string{"serve", "--config", at("authgate.yaml")},
		Env: env, Stdout: at("stdout"), Stderr: g.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.settle)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := g.process.Await(ctx, g.ready); err != nil {
		t.Fatal(err)
	}
	g.begun = g.cost()
	return g
}

func (g *gate) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.address+"/readyz", nil)
	if err != nil {
		return err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("status %d", res.StatusCode), err)
	}
	return nil
}

// settle stops authgate, which holds nothing any more for clients that have left,
// and compares what the upstream saw with what was audited: every request that
// came through was allowed by a record of its own.
func (g *gate) settle() {
	if g.begun != (cost{}) {
		g.returnsTo(g.begun)
	}
	if err := g.process.Stop(); err != nil {
		g.t.Error(err)
	}
	allowed := map[string]int{}
	for _, r := range g.records() {
		if r.Event == "request" && r.Decision == "allow" {
			allowed[r.Method+" "+r.Path]++
		}
	}
	for _, a := range g.upstream.arrivals() {
		if a.broken != "" {
			g.t.Errorf("what reached the upstream is no clean request: %s: %q", a.broken, a.head)
		}
		path, _, _ := strings.Cut(a.target(), "?")
		what := a.method() + " " + path
		if allowed[what]--; allowed[what] < 0 && !g.upstream.fickle {
			g.t.Errorf("the upstream saw %q, which has no record in the audit", what)
		}
		if strings.HasPrefix(path, "/private") {
			g.t.Errorf("the upstream saw %q, which the policy denies", what)
		}
	}
	log, err := os.ReadFile(g.log)
	if err != nil {
		g.t.Error(err)
	}
	for _, bad := range []string{"panic", "DATA RACE", "goroutine ", "not-shown"} {
		if bytes.Contains(log, []byte(bad)) {
			g.t.Errorf("authgate's log holds %q", bad)
		}
	}
	if g.t.Failed() {
		g.t.Logf("authgate's log ends with:\n%s", g.process.Tail(20))
	}
}

// record is what tests ask of the audit.
type record struct {
	Event, Method, Host, Path, Decision, Reason, Upstream string
	Status                                                int
	Bytes                                                 int64
}

func (r record) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %d %q %s %s", r.Decision, r.Method, r.Status, r.Host, shown(r.Path), r.Reason))
}

// records are the audit so far.
func (g *gate) records() []record {
	g.t.Helper()
	file, err := os.Open(g.audit)
	if err != nil {
		g.t.Fatal(err)
	}
	defer file.Close() // only read
	var all []record
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20) // paths may be long
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			g.t.Fatalf("audit line %q: %v", lines.Text(), err)
		}
		all = append(all, r)
	}
	if err := lines.Err(); err != nil {
		g.t.Fatal(err)
	}
	return all
}

// recordsFrom are the records from the given one on, without those of probes. The audit is
// written a little later, in the order of the requests: it waits for the record of one more.
func (g *gate) recordsFrom(first int) []record {
	g.t.Helper()
	g.probes++
	marker := probePath + "/" + strconv.Itoa(g.probes)
	g.ask("GET " + marker + " HTTP/1.1\r\nHost: raw.example\r\nConnection: close\r\n\r\n")
	g.awaitRecord(marker)
	return slices.DeleteFunc(g.records()[first:], func(r record) bool { return isProbe(r.Path) })
}

func isProbe(path string) bool { return strings.HasPrefix(path, probePath) }

// awaitRecord waits for the record of a request to this path.
func (g *gate) awaitRecord(path string) record {
	g.t.Helper()
	var found record
	wait.For(g.t, 5*time.Second, "an audit record of "+path, func() bool {
		for _, r := range g.records() {
			if r.Path == path {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

// metric reads a number without labels from the admin port.
func (g *gate) metric(name string) int {
	g.t.Helper()
	ctx := context.WithoutCancel(g.t.Context()) // it is asked after the test, too
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.admin+"/metrics", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close() // read to its end, or the test fails
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	family, ok := families[name]
	if !ok || len(family.GetMetric()) != 1 {
		g.t.Fatalf("there is no one metric %s", name)
	}
	return int(family.GetMetric()[0].GetGauge().GetValue())
}

// cost is what connections hold in authgate.
type cost struct{ goroutines, descriptors int }

func (g *gate) cost() cost {
	g.t.Helper()
	return cost{g.metric("go_goroutines"), g.metric("process_open_fds")}
}

// returnsTo waits until authgate holds no more than before, but for a few
// connections that are its own affair. Those that it keeps to the upstream are
// ended from there.
func (g *gate) returnsTo(before cost) {
	g.t.Helper()
	var now cost
	if !wait.Holds(g.t, 20*time.Second, func() bool {
		g.upstream.hangUp()
		now = g.cost()
		return now.goroutines <= before.goroutines+8 && now.descriptors <= before.descriptors+6
	}) {
		g.t.Errorf("authgate held %+v before, and holds %+v after", before, now)
	}
}

// signIn goes through a login and gives the session cookie, as NAME=VALUE.
func (g *gate) signIn() string {
	g.t.Helper()
	cookie, err := issuer.SignIn(g.t.Context(), g.address, "raw.example", "alice")
	if err != nil {
		g.t.Fatal(err)
	}
	return cookie
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() }) // the test has ended
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}
