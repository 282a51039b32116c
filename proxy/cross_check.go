package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/example-org/authgate/policy"
)

// crossCheckFunc is what Confirm of a snapshot does; tests, which cannot make casbin
// and the index disagree, have one of their own.
type crossCheckFunc func(s *policy.Snapshot, ctx context.Context, report func(policy.Disagreement))

// RunCrossCheck lets casbin confirm what the policy in force and the candidate
// decide, until ctx ends. Where one is replaced, it turns to the next.
func (p *Proxy) RunCrossCheck(ctx context.Context) {
	for ctx.Err() == nil {
		p.crossCheckState(ctx, p.state.Load())
	}
}

// crossCheckState stays with one state until it is replaced.
func (p *Proxy) crossCheckState(ctx context.Context, st *state) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		p.crossCheck(st.policy.Snapshot, ctx, func(d policy.Disagreement) {
			p.reportDisagreement("policy in force",
				st.policy, d)
		})
	})
	if st.shadow != nil {
		wg.Go(func() {
			p.crossCheck(st.shadow.Snapshot, ctx, func(d policy.Disagreement) {
				p.reportDisagreement("candidate policy",
					st.shadow, d)
			})
		})
	}
	select {
	case <-ctx.Done():
	case <-st.replaced:
	}
}

// reportDisagreement counts a disagreement and says both sides of it.
func (p *Proxy) reportDisagreement(what string, e *loadedPolicy, d policy.Disagreement) {
	p.metrics.disagreements.Inc()
	suppressed, allowed := p.disagreementLog.allow(p.now())
	if !allowed {
		return
	}
	q := d.Request
	p.log.Error("the index and casbin disagree: from now on this policy asks casbin each time, and denies in doubt",
		"what", what, "hash", e.Hash(), "upstream", q.Upstream, "path", q.Path.String(), "method", q.Method,
		"roles", q.Roles.Names(), "groups", q.Roles.Subjects(), "index", d.Index.String(), "casbin", d.Casbin.String(),
		"error", d.Err, "suppressed", suppressed, "hint", "please report this line with the policy")
}

const (
	logWindow   = time.Minute
	maxLogLines = 10
)

// logLimiter keeps a bug that many requests meet from flooding the log. The zero alarm
// is ready; it is safe for concurrent use.
type logLimiter struct {
	mu         sync.Mutex
	since      time.Time // when the window began
	logged     int       // in this window
	suppressed int       // since the last line
}

// allow reports whether a line may be written, and how many were not before it.
func (a *logLimiter) allow(now time.Time) (suppressed int, allowed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.since) >= logWindow {
		a.since, a.logged = now, 0
	}
	if a.logged++; a.logged > maxLogLines {
		a.suppressed++
		return 0, false
	}
	suppressed, a.suppressed = a.suppressed, 0
	return suppressed, true
}
