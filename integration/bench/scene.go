package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/example-org/authgate/integration/issuer"
	"github.com/example-org/authgate/integration/program"
)

const (
	host = "argo-cd.example.com"
	path = "/api/v1/applications/guestbook/resource-tree"

	rules  = 1000
	groups = 20
)

// scene is everything that runs, and the cookies that open authgate.
type scene struct {
	dir        string
	contenders []*contender
	issuer     *issuer.Server
	cookies    []string // NAME=VALUE, one for each of the users
	processes  []*program.Process
	ports      []*program.Port

	binary string // of authgate
	cases  []*measuredCase
}

// contender is a proxy that is measured.
type contender struct {
	name    string
	address string
	admin   string // authgate's
	audit   string // file; empty: none
	process *program.Process
	also    *program.Process // whose work counts as its own; nil: none
}

// cpu is how long it has computed, in microseconds.
func (c *contender) cpu() (float64, error) {
	own, err := cpuMicros(c.process.ID())
	if err != nil || c.also == nil {
		return own, err
	}
	others, err := cpuMicros(c.also.ID())
	return own + others, err
}

// setScene starts the upstream and all proxies.
func setScene(ctx context.Context, dir string, o options, progress io.Writer) (s *scene, err error) {
	s = &scene{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.strike())
		}
	}()
	raiseFileLimit()
	binary := o.authgate
	if binary == "" {
		if binary, err = build(ctx, dir, progress); err != nil {
			return s, err
		}
	}
	if s.issuer, err = issuer.Start(groupNames()...); err != nil {
		return s, err
	}
	role := "upstream"
	if o.websockets > 0 {
		role = "echo"
	}
	upstream, _, err := s.startSelf(ctx, role, "", "")
	if err != nil {
		return s, err
	}
	for _, name := range []string{"bare", "tuned"} {
		if name == "bare" && o.websockets > 0 {
			continue
		}
		c := &contender{name: name}
		if c.address, c.process, err = s.startSelf(ctx, name, "http://"+upstream, ""); err != nil {
			return s, err
		}
		s.contenders = append(s.contenders, c)
	}
	if err := s.writeCertificate(); err != nil {
		return s, err
	}
	secure := ""
	if o.websockets == 0 {
		if secure, _, err = s.startSelf(ctx, "upstream", "", s.dir); err != nil {
			return s, err
		}
	}
	a := authgate{binary: binary, upstream: upstream, secure: secure, name: "authgate", audit: "none"}
	if err := s.startAuthgate(ctx, a); err != nil {
		return s, err
	}
	if err := s.signInAll(ctx, s.contenders[len(s.contenders)-1], max(o.people, o.websockets/socketsEach)); err != nil || o.websockets > 0 {
		return s, err
	}
	records := filepath.Join(dir, "records") // of their own: authgate watches the folder of its policy
	if err := os.Mkdir(records, 0o700); err != nil {
		return s, err
	}
	withAudit := a
	withAudit.name, withAudit.audit = "authgate-audit", filepath.Join(records, "audit.jsonl")
	if err := s.startAuthgate(ctx, withAudit); err != nil {
		return s, err
	}
	if err := s.startNginx(ctx, upstream, progress); err != nil || !o.cases {
		return s, err
	}
	return s, s.setCases(ctx, a, o, progress)
}

// build compiles authgate as it is released.
func build(ctx context.Context, dir string, progress io.Writer) (binary string, err error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("asking go env GOMOD: %w", err)
	}
	module := filepath.Dir(strings.TrimSpace(string(mod)))
	if filepath.Base(module) != "integration" {
		return "", errors.New("not inside the integration module; run it with `go run -C integration ./bench`")
	}
	binary = filepath.Join(dir, "authgate")
	return binary, program.Build(ctx, program.Source{
		Name: "authgate", Dir: filepath.Dir(module), Package: "./cmd/authgate",
		Flags: []string{"-trimpath", "-ldflags=-s -w"}, Env: []string{"CGO_ENABLED=0"},
	}, binary, progress)
}

// startSelf starts this very program as something else (see runRole).
func (s *scene) startSelf(ctx context.Context, what, upstream, certificate string) (address string, p *program.Process, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	if address, err = s.freeAddress(ctx); err != nil {
		return "", nil, err
	}
	where := address + "," + upstream + "," + certificate
	name := fmt.Sprintf("%s-%d", what, len(s.processes))
	p, err = s.start(ctx, address, program.Command{Name: name, Path: self, Args: []string{"be", what, where}})
	return address, p, err
}

// authgate is what distinguishes one authgate of a scene from another.
type authgate struct {
	binary           string
	upstream, secure string // addresses; secure: with TLS
	name             string
	audit            string // audit.output
	tls              bool   // in front
	policy           string // empty: policy()
}

func (s *scene) startAuthgate(ctx context.Context, a authgate) error {
	address, err := s.freeAddress(ctx)
	if err != nil {
		return err
	}
	admin, err := s.freeAddress(ctx)
	if err != nil {
		return err
	}
	file, err := s.writeAuthgate(ctx, a, address, admin)
	if err != nil {
		return err
	}
	c := &contender{name: a.name, address: address, admin: admin}
	if a.audit != "none" {
		c.audit = a.audit
	}
	c.process, err = s.start(ctx, admin, program.Command{Name: a.name, Path: a.binary, Args: []string{"serve", "--config", file}})
	s.contenders = append(s.contenders, c)
	return err
}

// writeAuthgate writes the files of an authgate, and gives the configuration's.
func (s *scene) writeAuthgate(ctx context.Context, a authgate, address, admin string) (configFile string, err error) {
	file := func(name string) string { return filepath.Join(s.dir, name) }
	config := fmt.Sprintf(`listen: %q
adminListen: %q
trustedProxies: [127.0.0.1/32]
issuer: {url: %q, clientID: %s, clientSecret: %s}
bearer:
- {issuer: %q, audience: %s}
session: {keys: {file: %q}}
policy: {files: [%q]}
audit: {output: %q}
timeouts: {shutdownDelay: 0s, shutdown: 1s}
limits: {bodyBytes: 4294967296}
upstreams:
- {name: argocd, hosts: [%q], url: "http://%s", kind: argo-cd, identity: {headers: true}}
`, address, admin, s.issuer.URL(), issuer.ClientID, issuer.ClientSecret, s.issuer.URL(), bearerAudience,
		file("keys"), file(a.name+".csv"), a.audit, host, a.upstream)
	if a.secure != "" {
		config += fmt.Sprintf("- {name: secure, hosts: [%q], url: \"https://%s\", caFile: %q}\n", secureHost, a.secure, file(certFile))
	}
	if a.audit != "none" { // the one that is profiled
		token, err := s.writeAdminToken()
		if err != nil {
			return "", err
		}
		config += fmt.Sprintf("adminToken: {file: %q}\nadminProfile: true\n", token)
	}
	if a.tls {
		config += fmt.Sprintf("tls: {certFile: %q, keyFile: %q}\n", file(certFile), file(keyFile))
	}
	if _, err := os.Stat(file("keys")); errors.Is(err, fs.ErrNotExist) { // all take the sessions of the first
		keys, err := exec.CommandContext(ctx, a.binary, "keygen").Output()
		if err == nil {
			err = os.WriteFile(file("keys"), keys, 0o600)
		}
		if err != nil {
			return "", fmt.Errorf("making session keys: %w", err)
		}
	}
	rows := a.policy
	if rows == "" {
		rows = policy(rules, a.secure != "")
	}
	if err := os.WriteFile(file(a.name+".csv"), []byte(rows), 0o600); err != nil {
		return "", err
	}
	return file(a.name + ".yaml"), os.WriteFile(file(a.name+".yaml"), []byte(config), 0o600)
}

// signInAll lets users sign in, a few at a time.
func (s *scene) signInAll(ctx context.Context, c *contender, people int) error {
	s.cookies = make([]string, people)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := c.process.Await(ctx, func(ctx context.Context) (err error) { // it may still be looking for its issuer
		s.cookies[0], err = issuer.SignIn(ctx, c.address, host, "person-0", balancer...)
		return err
	})
	if err != nil {
		return err
	}
	const atOnce = 4
	var workers sync.WaitGroup
	for worker := range atOnce {
		workers.Go(func() {
			for i := 1 + worker; i < people && ctx.Err() == nil; i += atOnce {
				var err error
				if s.cookies[i], err = issuer.SignIn(ctx, c.address, host, fmt.Sprint("person-", i), balancer...); err != nil {
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

func groupNames() []string {
	names := make([]string, groups)
	for i := range names {
		names[i] = fmt.Sprintf("example-org:platform-%02d", i)
	}
	return names
}

// policy admits users in one of the groups, by a rule among many.
func policy(rules int, secure bool) string {
	var csv strings.Builder
	for i := range rules {
		fmt.Fprintf(&csv, "p, role:team-%02d, argocd, /api/v1/projects/p%d/*/things, GET, allow\n", i%50, i)
	}
	for i, group := range groupNames() {
		fmt.Fprintf(&csv, "g, %s, role:team-%02d\n", group, i)
	}
	csv.WriteString("p, role:team-07, argocd, /api/v1/applications/**, GET|PUT, allow\np, role:team-07, argocd, /terminal, GET, allow\n")
	csv.WriteString("p, system:anonymous, argocd, " + anonymousPath + ", GET, allow\n")
	if secure {
		csv.WriteString("p, role:team-07, secure, /api/v1/applications/**, GET, allow\n")
	}
	return csv.String()
}

// start runs a process until it listens.
func (s *scene) start(ctx context.Context, address string, c program.Command) (*program.Process, error) {
	c.Stdout = filepath.Join(s.dir, c.Name+".out")
	c.Stderr = filepath.Join(s.dir, c.Name+".err")
	p, err := program.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	s.processes = append(s.processes, p)
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return p, p.Await(ctx, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// spawn starts a process that the caller stops.
func (s *scene) spawn(ctx context.Context, name, path string, args ...string) (*program.Process, error) {
	return program.Start(ctx, program.Command{
		Name: name, Path: path, Args: args, Stdout: filepath.Join(s.dir, name+".out"), Stderr: filepath.Join(s.dir, name+".err"),
	})
}

func (s *scene) freeAddress(ctx context.Context) (string, error) {
	port, err := program.ReservePort(ctx)
	if err != nil {
		return "", err
	}
	s.ports = append(s.ports, port)
	return fmt.Sprintf("127.0.0.1:%d", port.Number), nil
}

// balancer is what an ALB adds to a request: names, and values.
var balancer = []string{"X-Forwarded-For", "203.0.113.7", "X-Forwarded-Proto", "https", "X-Forwarded-Port", "443"}

// browserHeaders are sent by every client: those of a browser, and what an ALB
// adds.
func browserHeaders(cookie string) http.Header {
	h := http.Header{
		"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}, "Accept": {"*/*"},
		"Accept-Language": {"en-US,en;q=0.5"}, "Accept-Encoding": {"gzip, deflate, br"}, "Referer": {"https://" + host + "/applications"},
		"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"},
	}
	for i := 0; i < len(balancer); i += 2 {
		h.Set(balancer[i], balancer[i+1])
	}
	if cookie != "" {
		h.Set("Cookie", cookie)
	}
	return h
}

// strike ends what was started, the last first.
func (s *scene) strike() (err error) {
	for i := len(s.processes) - 1; i >= 0; i-- {
		err = errors.Join(err, s.processes[i].Stop())
	}
	if s.issuer != nil {
		s.issuer.Close()
	}
	for _, p := range s.ports {
		err = errors.Join(err, p.Release())
	}
	return err
}
