package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// sample is what one round of one contender came to.
type sample struct {
	contender   string
	connections int
	perSecond   float64
	p50, p99    float64 // µs
	cpu         float64 // µs of the proxy's for each request
	rss         int     // KiB, as the round ends
}

// checkAnswers sees that what will be measured is what it says: each contender
// passes the upstream's answer on, and authgate refuses requests without a session.
func (s *scene) checkAnswers(ctx context.Context) error {
	for _, c := range s.contenders {
		if status, body, err := s.ask(ctx, c, browserHeaders(s.cookies[0])); err != nil || status != http.StatusOK || !bytes.HasSuffix(answer, body) || len(body) != 1024 {
			return fmt.Errorf("%s does not pass the upstream's answer on: status %d, %d bytes, %w\n%s", c.name, status, len(body), err, c.process.Tail(5))
		}
		if c.admin == "" {
			continue
		}
		if status, _, err := s.ask(ctx, c, browserHeaders("")); err != nil || status != http.StatusUnauthorized {
			return fmt.Errorf("%s admits a request without a session: status %d, %w", c.name, status, err)
		}
	}
	return nil
}

func (s *scene) ask(ctx context.Context, c *contender, h http.Header) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+path, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header, req.Host = h, host
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	if err == nil && res.StatusCode == http.StatusOK && res.Header.Get("X-Upstream") != "bench" {
		err = errors.New("the answer did not come from the upstream")
	}
	return res.StatusCode, body, err
}

// measure lets the contenders run by turns: what else the machine does in the
// meantime hits all of them. Each round begins with another one.
func (s *scene) measure(ctx context.Context, o options, progress io.Writer) ([]sample, error) {
	script, err := s.writeScript(s.plain())
	if err != nil {
		return nil, err
	}
	var all []sample
	for _, connections := range o.connections {
		for _, c := range s.contenders { // warm: connections to the upstream, caches, memory
			if o.check {
				break
			}
			if _, err := s.round(ctx, c, connections, time.Second, script, s.plain()); err != nil {
				return nil, err
			}
		}
		for round := range o.rounds {
			for i := range s.contenders {
				c := s.contenders[(i+round)%len(s.contenders)]
				_, _ = fmt.Fprintf(progress, "\r%d connections, round %d of %d: %-16s", connections, round+1, o.rounds, c.name)
				got, err := s.round(ctx, c, connections, o.length, script, s.plain())
				if err != nil {
					return nil, err
				}
				all = append(all, got)
			}
		}
	}
	_, _ = fmt.Fprintf(progress, "\r%60s\r", "")
	return all, nil
}

// script prints what wrk found out in a form to be read again. A table of
// requests is made once: wrk would build each one again.
const script = `
local requests = {}
function init(args)
  for cookie in io.lines(%q) do
    wrk.headers["Cookie"] = cookie
    requests[#requests + 1] = wrk.format("GET", %q)
  end
end
local turn = 0
function request()
  turn = turn %% #requests + 1
  return requests[turn]
end
function done(summary, latency, each)
  local e = summary.errors
  io.write(string.format('{"requests": %%d, "micros": %%d, "failed": %%d, "p50": %%d, "p99": %%d}\n', summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
`

func (s *scene) writeScript(l load) (file string, err error) {
	cookies := filepath.Join(s.dir, "cookies")
	if err := os.WriteFile(cookies, []byte(l.cookieLines()), 0o600); err != nil {
		return "", err
	}
	file = filepath.Join(s.dir, "requests.lua")
	return file, os.WriteFile(file, fmt.Appendf(nil, script, cookies, l.path), 0o600)
}

// round runs wrk against one contender. One answer that is not a 2xx, or one
// connection that breaks, and the figures are worth nothing.
func (s *scene) round(ctx context.Context, c *contender, connections int, length time.Duration, script string, l load) (sample, error) {
	args := []string{"-t1", fmt.Sprint("-c", connections), fmt.Sprintf("-d%.0f", length.Seconds()), "-s", script}
	for name, values := range l.header() {
		args = append(args, "-H", name+": "+values[0])
	}
	before, err := c.cpu()
	if err != nil {
		return sample{}, err
	}
	wrk := exec.CommandContext(ctx, "wrk", append(args, l.url(c))...)
	out, err := wrk.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return sample{}, fmt.Errorf("wrk is missing; on Debian, as root: apt-get install --no-install-recommends wrk (%w)", err)
	}
	if err != nil {
		return sample{}, fmt.Errorf("wrk against %s: %w\n%s", c.name, err, out)
	}
	var found struct {
		Requests, Micros, Failed, P50, P99 int
	}
	last := out[bytes.LastIndexByte(bytes.TrimRight(out, "\n"), '\n')+1:]
	if err := json.Unmarshal(last, &found); err != nil {
		return sample{}, fmt.Errorf("wrk against %s says %q: %w", c.name, last, err)
	}
	if found.Failed > 0 || found.Requests == 0 {
		return sample{}, fmt.Errorf("%s with %d connections: %d of %d requests failed\n%s", c.name, connections, found.Failed, found.Requests, c.process.Tail(10))
	}
	after, err := c.cpu()
	if err != nil {
		return sample{}, err
	}
	if err := c.checkAudit(found.Requests); err != nil {
		return sample{}, err
	}
	rss, err := residentKiB(c.process.ID())
	return sample{
		contender: c.name, connections: connections, rss: rss,
		cpu:       (after - before) / float64(found.Requests),
		perSecond: float64(found.Requests) / float64(found.Micros) * 1e6, p50: float64(found.P50), p99: float64(found.P99),
	}, err
}

// checkAudit counts the records of a round, and empties the file for the next. Records are written
// together, a moment after the responses.
func (c *contender) checkAudit(requests int) error {
	if c.audit == "" {
		return nil
	}
	var text []byte
	lines := 0
	for range 100 {
		var err error
		if text, err = os.ReadFile(c.audit); err != nil {
			return err
		}
		if lines = bytes.Count(text, []byte("\n")); lines >= requests {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	var r struct{ Decision string }
	end := bytes.LastIndexByte(text, '\n')
	if end < 0 || lines < requests {
		return fmt.Errorf("%s answered %d requests and wrote %d records", c.name, requests, lines)
	}
	if err := json.Unmarshal(text[bytes.LastIndexByte(text[:end], '\n')+1:end], &r); err != nil || r.Decision != "allow" {
		return fmt.Errorf("%s wrote %s: %w", c.name, text[bytes.LastIndexByte(text[:end], '\n')+1:], err)
	}
	return os.Truncate(c.audit, 0)
}
