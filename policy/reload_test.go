package policy_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/policytest"
)

// inForce is a snapshot with what it must answer.
type inForce struct {
	*policy.Snapshot
	roles policy.Roles
	even  bool
}

// loadInForce loads 10,000 rows that allow the even numbers, or the odd ones, and
// deny the others.
func loadInForce(t *testing.T, even bool) *inForce {
	t.Helper()
	text := make([]byte, 0, 1<<20)
	for i := range 9_999 {
		effect := "deny"
		if (i%2 == 0) == even {
			effect = "allow"
		}
		text = fmt.Appendf(text, "p, role:r%d, u%d, /api/%d/*, GET, %s\n", i%10, i%50, i, effect)
	}
	text = append(text, "p, role:all, *, /api/**, HEAD, allow\n"...)
	for i := range 10 {
		text = fmt.Appendf(text, "g, role:all, role:r%d\n", i)
	}
	s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: text}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &inForce{s, s.Resolve(policy.Identity{Roles: []string{"role:all"}}), even}
}

func TestAReloadUnderLoadGivesNoWrongAnswer(t *testing.T) {
	t.Parallel()
	const deciders, reloads = 4, 6
	var questions []policy.Request
	for i := range 1000 {
		questions = append(questions, policy.Request{Upstream: fmt.Sprintf("u%d", i%50), Path: policytest.Path(t, fmt.Sprintf("/api/%d/x", i)), Method: "GET"})
	}
	var current atomic.Pointer[inForce]
	current.Store(loadInForce(t, true))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	confirm := func(s *inForce) {
		wg.Go(func() {
			s.CrossCheck(ctx, func(d policy.Disagreement) { t.Errorf("index and casbin disagree: %+v", d) })
		})
	}
	confirm(current.Load())
	var decided, even, odd atomic.Int64
	for d := range deciders {
		wg.Go(func() {
			for n := d; ctx.Err() == nil; n++ {
				s, q := current.Load(), questions[n%len(questions)]
				q.Roles = s.roles
				want := (n%len(questions)%2 == 0) == s.even
				if got := s.Decide(q); got.Allowed() != want || got.Row == nil {
					t.Errorf("%s: %s", q.Path, policytest.DecisionText(got))
					return
				}
				decided.Add(1)
				if s.even {
					even.Add(1)
				} else {
					odd.Add(1)
				}
			}
		})
	}
	for i := range reloads {
		next := loadInForce(t, i%2 == 1)
		confirm(next)
		current.Store(next)
		for before := decided.Load(); decided.Load() < before+10_000 && !t.Failed(); {
			runtime.Gosched()
		}
	}
	stop()
	wg.Wait()
	if even.Load() == 0 || odd.Load() == 0 {
		t.Errorf("%d decisions of the one policy, %d of the other", even.Load(), odd.Load())
	}
	t.Logf("%d decisions", decided.Load())
}
