package proxy_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/target"
)

// witnessed tells when the confirming of a snapshot begins and ends.
type witnessed struct{ begun, ended chan *policy.Snapshot }

func newWitnessed() witnessed {
	return witnessed{make(chan *policy.Snapshot, 16), make(chan *policy.Snapshot, 16)}
}

func (w witnessed) confirm(s *policy.Snapshot, ctx context.Context, _ func(policy.Disagreement)) {
	w.begun <- s
	<-ctx.Done()
	w.ended <- s
}

func next(t *testing.T, what string, c <-chan *policy.Snapshot) (s *policy.Snapshot) {
	t.Helper()
	select {
	case s = <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("waited in vain for %s", what)
	}
	return s
}

func TestConfirmingFollowsThePoliciesAndLeavesNoneBehind(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	w := newWitnessed()
	g.SetCrossCheck(w.confirm)
	first, second, shadow := load(t, rules), load(t, rules), load(t, candidate)
	g.SetPolicy(first)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { g.RunCrossCheck(ctx) })

	if got := next(t, "the first", w.begun); got != first {
		t.Error("it does not begin with the policy in force")
	}
	g.SetPolicy(second)
	if next(t, "the end of the first", w.ended) != first || next(t, "the second", w.begun) != second {
		t.Error("it does not turn to the next policy")
	}
	g.SetShadow(shadow)
	next(t, "the end of the second", w.ended)
	both := map[*policy.Snapshot]bool{next(t, "one", w.begun): true, next(t, "another", w.begun): true}
	if !both[second] || !both[shadow] {
		t.Error("the candidate is not confirmed in addition to the policy in force")
	}
	stop()
	running.Wait()
	if len(w.ended) != 2 || len(w.begun) != 0 {
		t.Errorf("%d ended, %d begun after the end", len(w.ended), len(w.begun))
	}
}

func TestDisagreementIsCountedAndBothSidesAreSaid(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	path, err := target.Parse("/api/v1/applications")
	if err != nil {
		t.Fatal(err)
	}
	s := load(t, rules)
	roles := s.Resolve(policy.Identity{Groups: []string{"example-org:dev"}})
	q := policy.Request{Roles: roles, Upstream: "argocd", Path: path, Method: "GET"}
	ours := s.Decide(q)
	g.wantMetrics("authgate_policy_disagreements_total 0")
	const many = 1000
	ctx, stop := context.WithCancel(t.Context())
	g.SetCrossCheck(func(_ *policy.Snapshot, ctx context.Context, report func(policy.Disagreement)) {
		for range many {
			report(policy.Disagreement{Request: q, Index: ours, Err: errors.New("casbin panicked")})
		}
		stop()
	})
	g.RunCrossCheck(ctx)
	g.wantMetrics("authgate_policy_disagreements_total 1000")
	var lines []string
	for line := range strings.Lines(g.log.String()) {
		if strings.Contains(line, "disagree") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 || len(lines) > 20 { // twice as many where a minute ends meanwhile
		t.Fatalf("%d lines of %d", len(lines), many)
	}
	for _, want := range []string{
		"level=ERROR", "policy in force", "upstream=argocd", "path=/api/v1/applications", "method=GET",
		"role:viewer", "example-org:dev", `index="allow policy.csv:3"`, "casbin=deny", "casbin panicked",
	} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("%s is missing in %s", want, lines[0])
		}
	}
}

func TestAlarmSaysLaterHowMuchItKeptToItself(t *testing.T) {
	t.Parallel()
	var a proxy.LogLimiter
	begun := time.Now()
	said := 0
	for range 35 {
		if _, say := proxy.AllowLog(&a, begun); say {
			said++
		}
	}
	if said != 10 {
		t.Errorf("%d lines in a minute", said)
	}
	if unsaid, say := proxy.AllowLog(&a, begun.Add(time.Minute)); !say || unsaid != 25 {
		t.Errorf("after a minute: %v, %d unsaid", say, unsaid)
	}
	if unsaid, say := proxy.AllowLog(&a, begun.Add(time.Minute)); !say || unsaid != 0 {
		t.Errorf("and again: %v, %d unsaid", say, unsaid)
	}
}
