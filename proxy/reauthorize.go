package proxy

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/session"
)

// Why streams are cut.
const (
	cutDenied    = "denied"     // the policy in force now does not allow it
	cutExpired   = "expired"    // its session is over
	cutStale     = "stale"      // its groups are too old, or its session store does not answer
	cutSignedOut = "signed_out" // its session was ended
	cutShutdown  = "shutdown"
	cutStalled   = "stalled" // its client does not take what was sent
)

var cutReasons = []string{cutDenied, cutExpired, cutStale, cutSignedOut, cutShutdown, cutStalled}

const (
	reviewEvery  = time.Second
	stallTimeout = 60 * time.Second // a client that reads nothing for so long is gone, or wants the memory; listen waits longer
	closeTimeout = time.Second      // for a goodbye that the client may not take
)

// cutError is the cause of a cancelled request to an upstream.
type cutError struct{ reason string }

func (e *cutError) Error() string { return "the stream was cut: " + e.reason }

// ReviewStreams judges every open stream again when a policy comes into force, and
// every second looks whose session is over. What is no longer allowed is cut;
// nothing else is disturbed. It returns when ctx is done.
func (p *Proxy) ReviewStreams(ctx context.Context) {
	tick := time.NewTicker(reviewEvery)
	defer tick.Stop()
	var open []*stream
	for {
		open = p.streams.appendOpen(open[:0])
		st := p.state.Load() // after the list, or a stream could be judged by a policy that it has never been under
		for _, s := range open {
			p.review(s, st)
		}
		p.cutStalledStreams(open, st)
		clear(open) // or they would be kept from being freed
		select {
		case <-ctx.Done():
			return
		case <-st.replaced:
		case <-tick.C:
		}
	}
}

// review judges one stream again as a request like it would be judged now, and
// cuts it if that would be refused. Whoever watches a stream is there: their
// groups are read again as if they asked for something.
func (p *Proxy) review(s *stream, st *state) {
	x := s.x
	switch since := s.blockedSince.Load(); {
	case since != 0 && p.now().Sub(time.Unix(0, since)) > stallTimeout:
		p.cut(s, cutStalled, reviewResult{st, x.resolvedRoles, policy.Decision{}})
	case s.kind == sized:
	case x.usesBearer():
		// Tokens of CI last for minutes, and what they began may take hours.
		if p.now().Sub(x.startedAt) > time.Duration(p.config.Session.Lifetime) {
			p.cut(s, cutExpired, reviewResult{st, x.resolvedRoles, policy.Decision{}})
			return
		}
		if x.token != nil && p.isRevoked(x.token) {
			p.cut(s, cutSignedOut, reviewResult{st, x.resolvedRoles, policy.Decision{}})
			return
		}
		p.reauthorize(s, st, x.session)
	case x.signedIn() && !x.asAnonymous:
		now, err := p.sessions.Current(x.session)
		if err != nil {
			p.cut(s, cutReasonOf(err), reviewResult{st, x.resolvedRoles, policy.Decision{}})
			return
		}
		p.reauthorize(s, st, now)
	default:
		p.reauthorize(s, st, x.session)
	}
}

// Bounds for one client's answers that it does not take. Many clients may share an
// address that authgate sees; that so many of them stop reading at once is rare.
const (
	stallSuspectAfter = 10 * time.Second
	maxStalled        = 100
)

// cutStalledStreams cuts what a client has not taken for a while, before its time, where
// there is too much of it: each holds memory, and HTTP/2 makes it cheap to have many.
func (p *Proxy) cutStalledStreams(open []*stream, st *state) {
	var stalled map[netip.Addr][]*stream
	before := p.now().Add(-stallSuspectAfter).UnixNano()
	for _, s := range open {
		if since := s.blockedSince.Load(); since != 0 && since < before {
			if stalled == nil {
				stalled = make(map[netip.Addr][]*stream)
			}
			stalled[s.x.client.Addr] = append(stalled[s.x.client.Addr], s)
		}
	}
	for _, all := range stalled {
		slices.SortFunc(all, func(a, b *stream) int { return a.x.startedAt.Compare(b.x.startedAt) })
		for _, s := range all[:max(0, len(all)-maxStalled)] {
			p.cut(s, cutStalled, reviewResult{st, s.x.resolvedRoles, policy.Decision{}})
		}
	}
}

// isRevoked reports whether a token that was accepted is known now to be none. A
// store that does not answer says nothing new.
func (p *Proxy) isRevoked(t *identity.Token) bool {
	err := p.checkBearer(t)
	return errors.Is(err, session.ErrTokenRevoked) || errors.Is(err, session.ErrLoginToken)
}

// cutReasonOf tells a session that is over from one that cannot be vouched for now.
func cutReasonOf(err error) string {
	if errors.Is(err, session.ErrStale) || errors.Is(err, session.ErrStoreDown) {
		return cutStale
	}
	return cutExpired
}

// reauthorize asks the policy in force about the groups that its session has now.
func (p *Proxy) reauthorize(s *stream, st *state, of session.Session) {
	x, read := s.x, of.FetchedAt.UnixNano()
	if s.authorizedBy.Load() == st && s.groupsReadAt.Load() == read {
		return
	}
	resolved := st.anonymous
	if x.signedIn() {
		resolved = st.resolveRoles(of)
	}
	d, asAnonymous := st.policy.evaluate(policy.Request{Roles: resolved.roles, Upstream: x.route.name, Path: x.path, Method: x.r.Method}, x.signedIn())
	// Where they may now go only as nobody, the upstream has been told who they
	// are: such a stream is to be opened again, without.
	if d.Allowed() && (x.asAnonymous || !asAnonymous) {
		s.authorizedBy.Store(st)
		s.groupsReadAt.Store(read)
		return
	}
	p.cut(s, cutDenied, reviewResult{st, resolved, d})
}

// cutSessionStreams cuts the streams that a session has opened.
func (p *Proxy) cutSessionStreams(sessionID, reason string) {
	st := p.state.Load()
	for _, s := range p.streams.appendOpen(nil) {
		if x := s.x; sessionID != "" && x.session.ID == sessionID && !x.asAnonymous && s.kind != sized {
			p.cut(s, reason, reviewResult{st, x.resolvedRoles, policy.Decision{}})
		}
	}
}

// CutStreams ends all streams for a shutdown, spread over a time, so that their
// clients do not come back all at once. What is not a stream by nature may use
// all of that time to end by itself. It returns when none is left, or ctx is done.
func (p *Proxy) CutStreams(ctx context.Context, period time.Duration) {
	start := time.Now()
	due := make(map[*stream]time.Duration) // after begun
	tick := time.NewTicker(max(min(period/100, 100*time.Millisecond), time.Millisecond))
	defer tick.Stop()
	for {
		now, left, st := time.Since(start), 0, p.state.Load()
		for _, s := range p.streams.appendOpen(nil) {
			if s.kind == sized || s.kind == upload {
				continue // it has an end
			}
			left++
			at, known := due[s]
			if !known {
				if at = period; period > 0 && (s.kind == events || s.kind == webSocket) {
					at = rand.N(period)
				}
				due[s] = at
			}
			if now >= at {
				p.cut(s, cutShutdown, reviewResult{st, s.x.resolvedRoles, policy.Decision{}})
			}
		}
		if left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// reviewResult is what a stream was judged by at last.
type reviewResult struct {
	state    *state
	roles    resolvedRoles
	decision policy.Decision
}

// cut ends a stream, once, and writes down why. The record of the request itself
// follows when its handler has returned.
func (p *Proxy) cut(s *stream, reason string, v reviewResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.reason != "" {
		return
	}
	s.reason = reason
	p.metrics.cuts[reason].Inc()
	p.auditCut(s, v)
	s.cancel(&cutError{reason})
	s.interrupt()
}

func (p *Proxy) auditCut(s *stream, v reviewResult) {
	x, now := s.x, p.now()
	r := audit.Record{
		Time: now, Event: audit.StreamCut, ID: x.id, RequestID: x.requestID,
		Remote: x.client.Address(), Host: x.client.Host, Method: x.r.Method, Path: x.path.String(), Upstream: x.upstreamName(),
		Subject: x.session.Principal.Subject, Email: x.session.Principal.Email,
		Roles: v.roles.roles.Names(), Groups: v.roles.roles.Subjects(),
		Decision: audit.Refuse, Reason: s.reason,
		Policy: v.state.policy.Hash(), Generation: v.state.generation, Age: v.state.age(now),
		Millis: float64(now.Sub(x.startedAt).Microseconds()) / 1000,
	}
	if s.reason == cutDenied {
		r.Decision = audit.Deny
	}
	if v.decision.Row != nil {
		r.Rule = v.decision.Row.Where()
	}
	p.audit.Write(r)
}
