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
	reviewEvery = time.Second
	stalledFor  = 60 * time.Second // a client that reads nothing for so long is gone, or wants the memory; listen waits longer
	politeEnd   = time.Second      // for a goodbye that the client may not take
)

// cutError is the cause of a cancelled request to an upstream.
type cutError struct{ reason string }

func (e *cutError) Error() string { return "the stream was cut: " + e.reason }

// WatchStreams judges every open stream again when a policy comes into force, and
// every second looks whose session is over. What is no longer allowed is cut;
// nothing else is disturbed. It returns when ctx is done.
func (p *Proxy) WatchStreams(ctx context.Context) {
	tick := time.NewTicker(reviewEvery)
	defer tick.Stop()
	var open []*stream
	for {
		open = p.streams.list(open[:0])
		st := p.state.Load() // after the list, or a stream could be judged by a policy that it has never been under
		for _, s := range open {
			p.review(s, st)
		}
		p.boundStalled(open, st)
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
	switch since := s.since.Load(); {
	case since != 0 && p.now().Sub(time.Unix(0, since)) > stalledFor:
		p.cut(s, cutStalled, verdict{st, x.standing, policy.Decision{}})
	case s.kind == sized:
	case x.byBearer():
		// Tokens of CI last for minutes, and what they began may take hours.
		if p.now().Sub(x.begun) > time.Duration(p.config.Session.Lifetime) {
			p.cut(s, cutExpired, verdict{st, x.standing, policy.Decision{}})
			return
		}
		if x.token != nil && p.takenBack(x.token) {
			p.cut(s, cutSignedOut, verdict{st, x.standing, policy.Decision{}})
			return
		}
		p.judgeAgain(s, st, x.session)
	case x.signedIn() && !x.incognito:
		now, err := p.sessions.Current(x.session)
		if err != nil {
			p.cut(s, whyCut(err), verdict{st, x.standing, policy.Decision{}})
			return
		}
		p.judgeAgain(s, st, now)
	default:
		p.judgeAgain(s, st, x.session)
	}
}

// Bounds for one client's answers that it does not take. Many clients may share an
// address that authgate sees; that so many of them stop reading at once is rare.
const (
	suspectAfter = 10 * time.Second
	mostStalled  = 100
)

// boundStalled cuts what a client has not taken for a while, before its time, where
// there is too much of it: each holds memory, and HTTP/2 makes it cheap to have many.
func (p *Proxy) boundStalled(open []*stream, st *state) {
	var stalled map[netip.Addr][]*stream
	before := p.now().Add(-suspectAfter).UnixNano()
	for _, s := range open {
		if since := s.since.Load(); since != 0 && since < before {
			if stalled == nil {
				stalled = make(map[netip.Addr][]*stream)
			}
			stalled[s.x.client.addr] = append(stalled[s.x.client.addr], s)
		}
	}
	for _, all := range stalled {
		slices.SortFunc(all, func(a, b *stream) int { return a.x.begun.Compare(b.x.begun) })
		for _, s := range all[:max(0, len(all)-mostStalled)] {
			p.cut(s, cutStalled, verdict{st, s.x.standing, policy.Decision{}})
		}
	}
}

// takenBack reports whether a token that was accepted is known now to be none. A
// store that does not answer says nothing new.
func (p *Proxy) takenBack(t *identity.Token) bool {
	err := p.checkBearer(t)
	return errors.Is(err, session.ErrRevoked) || errors.Is(err, session.ErrLoginToken)
}

// whyCut tells a session that is over from one that cannot be vouched for now.
func whyCut(err error) string {
	if errors.Is(err, session.ErrStale) || errors.Is(err, session.ErrStoreDown) {
		return cutStale
	}
	return cutExpired
}

// judgeAgain asks the policy in force about the groups that its session has now.
func (p *Proxy) judgeAgain(s *stream, st *state, of session.Session) {
	x, read := s.x, of.Read.UnixNano()
	if s.judged.Load() == st && s.read.Load() == read {
		return
	}
	who := st.anonymous
	if x.signedIn() {
		who = st.standingOf(of)
	}
	d, incognito := st.policy.judge(policy.Request{Roles: who.roles, Upstream: x.route.name, Path: x.path, Method: x.r.Method}, x.signedIn())
	// Where they may now go only as nobody, the upstream has been told who they
	// are: such a stream is to be opened again, without.
	if d.Allowed() && (x.incognito || !incognito) {
		s.judged.Store(st)
		s.read.Store(read)
		return
	}
	p.cut(s, cutDenied, verdict{st, who, d})
}

// endStreams cuts the streams that a session has opened.
func (p *Proxy) endStreams(sessionID, reason string) {
	st := p.state.Load()
	for _, s := range p.streams.list(nil) {
		if x := s.x; sessionID != "" && x.session.ID == sessionID && !x.incognito && s.kind != sized {
			p.cut(s, reason, verdict{st, x.standing, policy.Decision{}})
		}
	}
}

// CutStreams ends all streams for a shutdown, spread over a time, so that their
// clients do not come back all at once. What is not a stream by nature may use
// all of that time to end by itself. It returns when none is left, or ctx is done.
func (p *Proxy) CutStreams(ctx context.Context, over time.Duration) {
	begun := time.Now()
	due := make(map[*stream]time.Duration) // after begun
	tick := time.NewTicker(max(min(over/100, 100*time.Millisecond), time.Millisecond))
	defer tick.Stop()
	for {
		now, left, st := time.Since(begun), 0, p.state.Load()
		for _, s := range p.streams.list(nil) {
			if s.kind == sized || s.kind == upload {
				continue // it has an end
			}
			left++
			at, known := due[s]
			if !known {
				if at = over; over > 0 && (s.kind == events || s.kind == webSocket) {
					at = rand.N(over)
				}
				due[s] = at
			}
			if now >= at {
				p.cut(s, cutShutdown, verdict{st, s.x.standing, policy.Decision{}})
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

// verdict is what a stream was judged by at last.
type verdict struct {
	state    *state
	standing standing
	decision policy.Decision
}

// cut ends a stream, once, and writes down why. The record of the request itself
// follows when its handler has returned.
func (p *Proxy) cut(s *stream, reason string, v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.reason != "" {
		return
	}
	s.reason = reason
	p.metrics.cuts[reason].Inc()
	p.auditCut(s, v)
	s.cancel(&cutError{reason})
	s.interrupt()
}

func (p *Proxy) auditCut(s *stream, v verdict) {
	x, now := s.x, p.now()
	r := audit.Record{
		Time: now, Event: audit.StreamCut, ID: x.id, RequestID: x.requestID,
		Remote: x.client.address(), Host: x.client.host, Method: x.r.Method, Path: x.path.String(), Upstream: x.upstreamName(),
		Subject: x.session.Principal.Subject, Email: x.session.Principal.Email,
		Roles: v.standing.roles.Names(), Groups: v.standing.roles.Subjects(),
		Decision: audit.Refuse, Reason: s.reason,
		Policy: v.state.policy.Hash(), Generation: v.state.generation, Age: v.state.age(now),
		Millis: float64(now.Sub(x.begun).Microseconds()) / 1000,
	}
	if s.reason == cutDenied {
		r.Decision = audit.Deny
	}
	if v.decision.Rule != nil {
		r.Rule = v.decision.Rule.Where()
	}
	p.audit.Write(r)
}
