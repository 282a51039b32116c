package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

const (
	secureHost     = "secure.example.com" // of the upstream with TLS
	bearerAudience = "ci"
	anonymousPath  = "/assets/app.js"
	manySessions   = 10_000
	caseLoad       = 64 // connections
)

// measuredCase is a kind of request, which some proxies are compared by.
type measuredCase struct {
	name       string
	contenders []*contender
	load       load
	http2      bool
}

// load is what the clients of a round ask for.
type load struct {
	scheme, host, path string
	cookies            []string // NAME=VALUE, by turns; nil: none
	authorization      string
}

// plain is what the first table measures.
func (s *scene) plain() load { return load{scheme: "http", host: host, path: path, cookies: s.cookies} }

// setCases starts what the cases need in addition.
func (s *scene) setCases(ctx context.Context, a authgate, o options, progress io.Writer) error {
	s.binary = a.binary
	plain := s.contenders
	defer func() { s.contenders = plain }() // those of the first table
	find := func(name string) *contender {
		for _, c := range s.contenders {
			if c.name == name {
				return c
			}
		}
		return nil
	}
	gate, tuned := find("authgate"), find("tuned")
	a.tls, a.name = true, "authgate-tls"
	if err := s.startAuthgate(ctx, a); err != nil {
		return err
	}
	inFront := find(a.name)
	tunedInFront, err := s.startTuned(ctx, "http://"+a.upstream, s.dir)
	if err != nil {
		return err
	}
	tunedBehind, err := s.startTuned(ctx, "https://"+a.secure, "")
	if err != nil {
		return err
	}
	token, err := s.issuer.Token(bearerAudience, "", "job")
	if err != nil {
		return err
	}
	many := manySessions
	if o.check || o.length < 2*time.Second {
		many = 50
	}
	// Another process signs them in: it needs memory for it, and the first table has few sessions.
	a.tls, a.name = false, "authgate-logins"
	if err := s.startAuthgate(ctx, a); err != nil {
		return err
	}
	cookies, err := s.moreCookies(ctx, find(a.name), many)
	if err != nil {
		return err
	}
	with := func(change func(*load)) load {
		l := s.plain()
		change(&l)
		return l
	}
	s.cases = []*measuredCase{
		{name: "HTTPS in front", contenders: []*contender{tunedInFront, inFront}, load: with(func(l *load) { l.scheme = "https" })},
		{name: "HTTP/2 in front", contenders: []*contender{tunedInFront, inFront}, http2: true, load: with(func(l *load) { l.scheme = "https" })},
		{name: "HTTPS upstream", contenders: []*contender{tunedBehind, gate}, load: with(func(l *load) { l.host = secureHost })},
		{name: "bodies of 100 KiB", contenders: []*contender{tuned, gate}, load: with(func(l *load) { l.path = largePath })},
		{name: "bearer token, seen before", contenders: []*contender{tuned, gate}, load: with(func(l *load) { l.cookies, l.authorization = nil, "Bearer "+token })},
		{name: "anonymous", contenders: []*contender{tuned, gate}, load: with(func(l *load) { l.cookies, l.path = nil, anonymousPath })},
		{name: fmt.Sprintf("%d sessions by turns", many), contenders: []*contender{tuned, gate}, load: with(func(l *load) { l.cookies = cookies })},
	}
	return s.setForwardAuth(ctx, a.upstream, gate, tuned, o, progress)
}

func (s *scene) startTuned(ctx context.Context, upstream, certificate string) (*contender, error) {
	c := &contender{name: "tuned"}
	var err error
	c.address, c.process, err = s.startSelf(ctx, "tuned", upstream, certificate)
	return c, err
}

// moreCookies are the cookies of further users.
func (s *scene) moreCookies(ctx context.Context, c *contender, n int) ([]string, error) {
	first := s.cookies
	defer func() { s.cookies = first }()
	err := s.signInAll(ctx, c, n)
	return s.cookies, err
}

// caseRow is one contender in one case: medians of its rounds. Ratios are those of the same round.
type caseRow struct {
	Case       string  `json:"case"`
	Name       string  `json:"name"`
	PerSecond  float64 `json:"perSecond"`
	Unit       string  `json:"unit"`
	CPU        float64 `json:"cpuMicrosPerRequest,omitempty"`
	P50        float64 `json:"p50Micros,omitempty"`
	P99        float64 `json:"p99Micros,omitempty"`
	ToTuned    float64 `json:"toTuned"`
	CPUToTuned float64 `json:"cpuToTuned,omitempty"`
}

// measureCases measures the cases, the contenders of each by turns.
func (s *scene) measureCases(ctx context.Context, o options, progress io.Writer) (rows []caseRow, err error) {
	rounds := min(o.rounds, 3)
	for _, c := range s.cases {
		samples := make(map[*contender][]sample)
		for round := range rounds {
			for i := range c.contenders {
				who := c.contenders[(i+round)%len(c.contenders)]
				_, _ = fmt.Fprintf(progress, "\r%s, round %d of %d: %-20s", c.name, round+1, rounds, who.name)
				got, err := s.caseRound(ctx, c, who, min(o.length, 2*time.Second))
				if err != nil {
					return nil, fmt.Errorf("%s: %w", c.name, err)
				}
				samples[who] = append(samples[who], got)
			}
		}
		for _, who := range c.contenders {
			rows = append(rows, caseRowOf(c.name, who.name, samples[who], samples[c.contenders[0]]))
		}
	}
	transfers, err := s.measureTransfers(ctx, o, progress)
	if err != nil {
		return nil, err
	}
	starts, err := s.measureStarts(ctx, o, progress)
	_, _ = fmt.Fprintf(progress, "\r%80s\r", "")
	return append(append(rows, transfers...), starts...), err
}

func caseRowOf(name, contender string, mine, tuned []sample) caseRow {
	of := func(value func(i int) float64) float64 { return median(len(mine), value) }
	return caseRow{
		Case: name, Name: contender, Unit: "requests/s",
		PerSecond:  of(func(i int) float64 { return mine[i].perSecond }),
		CPU:        of(func(i int) float64 { return mine[i].cpu }),
		P50:        of(func(i int) float64 { return mine[i].p50 }),
		P99:        of(func(i int) float64 { return mine[i].p99 }),
		ToTuned:    of(func(i int) float64 { return mine[i].perSecond / tuned[i].perSecond }),
		CPUToTuned: of(func(i int) float64 { return mine[i].cpu / tuned[i].cpu }),
	}
}

func (s *scene) caseRound(ctx context.Context, c *measuredCase, who *contender, length time.Duration) (sample, error) {
	if c.http2 {
		return http2Round(ctx, who, c.load, length)
	}
	script, err := s.writeScript(c.load)
	if err != nil {
		return sample{}, err
	}
	return s.round(ctx, who, caseLoad, length, script, c.load)
}

// printCases writes the second table, of a document or of a terminal.
func (r *report) printCases(w io.Writer, markdown bool) {
	if len(r.Cases) == 0 {
		return
	}
	form, head := "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", "case\t\trate\tto tuned\tCPU µs\tCPU to tuned\tp50, p99 ms\t\n"
	if markdown {
		form = "| %s | %s | %s | %s | %s | %s | %s |\n"
		head = "\n| 64 connections | | rate | to tuned | CPU µs | CPU to tuned | p50, p99 ms |\n|---|---|---|---|---|---|---|\n"
	}
	_, _ = io.WriteString(w, head)
	for _, row := range r.Cases {
		cpu, ratio, times, toTuned := "", "", "", ""
		if row.ToTuned > 0 {
			toTuned = fmt.Sprintf("%.2f", row.ToTuned)
		}
		if row.CPU > 0 {
			cpu, ratio = fmt.Sprintf("%.1f", row.CPU), fmt.Sprintf("%.2f", row.CPUToTuned)
			times = fmt.Sprintf("%.2f, %.2f", row.P50/1000, row.P99/1000)
		}
		name := row.Name
		if title, ok := titles[name]; ok && markdown {
			name = title
		}
		_, _ = fmt.Fprintf(w, form, row.Case, name, fmt.Sprintf("%.0f %s", row.PerSecond, row.Unit), toTuned, cpu, ratio, times)
	}
}

// measureStarts measures the time from the start of the process until it is ready.
func (s *scene) measureStarts(ctx context.Context, o options, progress io.Writer) (rows []caseRow, err error) {
	for _, rules := range []int{1_000, 10_000} {
		_, _ = fmt.Fprintf(progress, "\rstart with %d rows %40s", rules, "")
		var took []float64
		for i := range min(o.rounds, 5) {
			d, err := s.startOnce(ctx, authgate{
				binary: s.binary, name: fmt.Sprintf("start-%d-%d", rules, i), audit: "none", upstream: "127.0.0.1:1", policy: policy(rules, false),
			})
			if err != nil {
				return nil, err
			}
			took = append(took, float64(d.Microseconds())/1000)
		}
		rows = append(rows, caseRow{
			Case: fmt.Sprintf("start until ready, %d rows", rules), Name: "authgate", Unit: "ms",
			PerSecond: median(len(took), func(i int) float64 { return took[i] }),
		})
	}
	return rows, nil
}

func (s *scene) startOnce(ctx context.Context, a authgate) (took time.Duration, err error) {
	address, err := s.freeAddress(ctx)
	if err != nil {
		return 0, err
	}
	admin, err := s.freeAddress(ctx)
	if err != nil {
		return 0, err
	}
	file, err := s.writeAuthgate(ctx, a, address, admin)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	p, err := s.spawn(ctx, a.name, a.binary, "serve", "--config", file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
		if err != nil {
			return 0, err
		}
		if res, err := client.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return time.Since(begun), nil
			}
		}
		if took = time.Since(begun); took > 20*time.Second || ctx.Err() != nil {
			return 0, fmt.Errorf("%s is not ready\n%s", a.name, p.Tail(5))
		}
		time.Sleep(time.Millisecond)
	}
}

// writeProfile profiles authgate under the load of the first table, with audit.
func (s *scene) writeProfile(ctx context.Context, o options) error {
	var gate *contender
	for _, c := range s.contenders {
		if c.name == "authgate-audit" {
			gate = c
		}
	}
	script, err := s.writeScript(s.plain())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	profiled := make(chan error, 1)
	go func() { profiled <- s.fetchProfile(ctx, gate, o.length, o.profile) }()
	for {
		if _, err := s.round(ctx, gate, caseLoad, time.Second, script, s.plain()); err != nil {
			return err
		}
		select {
		case err := <-profiled:
			return err
		default:
		}
	}
}

func (s *scene) fetchProfile(ctx context.Context, c *contender, length time.Duration, file string) error {
	address := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", c.admin, length.Seconds())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("no profile: %s", res.Status)
	}
	p, err := profile.Parse(res.Body)
	if err != nil {
		return fmt.Errorf("reading the profile: %w", err)
	}
	for _, m := range p.Mapping {
		m.File = "authgate" // not where this machine has it
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(p.Write(out), out.Close())
}

const adminToken = "bench-bench-bench-bench-bench-bench" // not a secret: it opens the bench's own process

func (s *scene) writeAdminToken() (file string, err error) {
	file = filepath.Join(s.dir, "admin-token")
	return file, os.WriteFile(file, []byte(adminToken), 0o600)
}

// header is what each request of a load has, but for its cookie.
func (l load) header() http.Header {
	h := browserHeaders("")
	h.Set("Host", l.host)
	if l.authorization != "" {
		h.Set("Authorization", l.authorization)
	}
	return h
}

func (l load) url(c *contender) string { return l.scheme + "://" + c.address + l.path }

func (l load) cookieLines() string {
	if l.cookies == nil {
		return "theme=dark\n"
	}
	return strings.Join(l.cookies, "\n") + "\n"
}
