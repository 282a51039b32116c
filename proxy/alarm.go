package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/example-org/authgate/policy"
)

// confirming is what Confirm of a snapshot does; tests, which cannot make casbin
// and the index disagree, have one of their own.
type confirming func(s *policy.Snapshot, ctx context.Context, report func(policy.Disagreement))

// ConfirmDecisions lets casbin confirm what the policy in force and the candidate
// decide, until ctx ends. Where one is replaced, it turns to the next.
func (p *Proxy) ConfirmDecisions(ctx context.Context) {
	for ctx.Err() == nil {
		p.confirm(ctx, p.state.Load())
	}
}

// confirm stays with one state until it is replaced.
func (p *Proxy) confirm(ctx context.Context, st *state) {
	ctx, stop := context.WithCancel(ctx)
	var confirming sync.WaitGroup
	defer confirming.Wait()
	defer stop()
	confirming.Go(func() {
		p.confirming(st.policy.Snapshot, ctx, func(d policy.Disagreement) { p.disagree("policy in force", st.policy, d) })
	})
	if st.shadow != nil {
		confirming.Go(func() {
			p.confirming(st.shadow.Snapshot, ctx, func(d policy.Disagreement) { p.disagree("candidate policy", st.shadow, d) })
		})
	}
	select {
	case <-ctx.Done():
	case <-st.replaced:
	}
}

// disagree counts a disagreement and says both sides of it.
func (p *Proxy) disagree(what string, e *edition, d policy.Disagreement) {
	p.metrics.disagreements.Inc()
	unsaid, say := p.alarm.ring(p.now())
	if !say {
		return
	}
	q := d.Request
	p.log.Error("the index and casbin disagree: from now on this policy asks casbin each time, and denies in doubt",
		"what", what, "hash", e.Hash(), "upstream", q.Upstream, "path", q.Path.String(), "method", q.Method,
		"roles", q.Roles.Names(), "groups", q.Roles.Subjects(), "index", d.Index.String(), "casbin", d.Casbin.String(),
		"error", d.Err, "unsaid", unsaid, "mend", "please report this line with the policy")
}

const (
	alarmWindow = time.Minute
	alarmLines  = 10
)

// alarm keeps a bug that many requests meet from flooding the log. The zero alarm
// is ready; it is safe for concurrent use.
type alarm struct {
	mu     sync.Mutex
	since  time.Time // when the window began
	rung   int       // in this window
	unsaid int       // since the last line
}

// ring reports whether a line may be written, and how many were not before it.
func (a *alarm) ring(now time.Time) (unsaid int, say bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.since) >= alarmWindow {
		a.since, a.rung = now, 0
	}
	if a.rung++; a.rung > alarmLines {
		a.unsaid++
		return 0, false
	}
	unsaid, a.unsaid = a.unsaid, 0
	return unsaid, true
}
