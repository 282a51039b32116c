package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/session"
)

// ReviewStreams has every open stream reauthorized when a policy is published, and every
// second. It returns when ctx is done.
func (p *Proxy) ReviewStreams(ctx context.Context) {
	p.streams.Review(ctx, func() <-chan struct{} { return p.state.Load().replaced })
}

// CutStreams ends all streams for a shutdown, spread over a period. It returns when none is
// left, or ctx is done.
func (p *Proxy) CutStreams(ctx context.Context, period time.Duration) { p.streams.CutAll(ctx, period) }

// OpenStreams gives the WebSockets, event streams and gRPC calls that are open.
func (p *Proxy) OpenStreams() []stream.Listed { return p.streams.List() }

// reportCut counts and records a stream that was cut.
func (p *Proxy) reportCut(r *audit.Record) {
	p.metrics.cuts[r.Reason].Inc()
	p.audit.Write(*r)
}

// Reauthorize implements [stream.Opener]: it decides as a request like this one would be
// decided now. A user who keeps a stream open is present, so their groups are refreshed as if
// they sent requests.
func (x *exchange) Reauthorize() *audit.Record {
	q, c := &x.request, &x.caller
	p, st, s := q.p, q.p.state.Load(), c.session
	switch {
	case c.usesBearer():
		// CI tokens are valid for minutes, and what they start may take hours.
		if p.now().Sub(q.startedAt) > time.Duration(p.config.Session.Lifetime) {
			return x.CutRecord(stream.Expired)
		}
		if c.token != nil && p.isRevoked(c.token) {
			return x.CutRecord(stream.SignedOut)
		}
	case c.signedIn() && !x.decided.asAnonymous:
		var err error
		if s, err = p.sessions.Current(c.session); err != nil {
			return x.CutRecord(cutReasonOf(err))
		}
	}
	read := s.FetchedAt.UnixNano()
	by := x.authorized.Load()
	if by == nil {
		by = &authorization{q.state, c.session.FetchedAt.UnixNano()}
	}
	if *by == (authorization{st, read}) {
		return nil
	}
	resolved := st.anonymous
	if c.signedIn() {
		resolved = st.resolveRoles(&s)
	}
	d, asAnonymous := st.policy.evaluate(policy.Request{
		Roles: resolved.roles, Upstream: c.route.Name, Path: c.path,
		Method: q.method,
	}, c.signedIn())
	// If the user may now continue only as anonymous, the upstream already knows who they are:
	// the client must open such a stream again, without an identity.
	if d.Allowed() && (x.decided.asAnonymous || !asAnonymous) {
		x.authorized.Store(&authorization{st, read})
		return nil
	}
	return x.cutRecord(stream.Denied, st, resolved, d)
}

// authorization is by what the streams of an exchange were authorized.
type authorization struct {
	policy       *state
	groupsReadAt int64 // Unix ns
}

// isRevoked reports whether a token that was accepted has been revoked since. An unavailable
// store reports nothing new.
func (p *Proxy) isRevoked(t *identity.Token) bool {
	err := p.checkBearer(t)
	return errors.Is(err, session.ErrTokenRevoked) || errors.Is(err, session.ErrLoginToken)
}

// cutReasonOf distinguishes a session that has expired from one that cannot be checked now.
func cutReasonOf(err error) string {
	if errors.Is(err, session.ErrStale) || errors.Is(err, session.ErrStoreDown) {
		return stream.Stale
	}
	return stream.Expired
}

// CutRecord implements [stream.Opener].
func (x *exchange) CutRecord(reason string) *audit.Record {
	return x.cutRecord(reason, x.request.p.state.Load(), x.caller.resolvedRoles, policy.Decision{})
}

// cutRecord is the audit record of a stream that is cut: by what it was decided last, and why.
func (x *exchange) cutRecord(reason string, st *state, resolved resolvedRoles, d policy.Decision) *audit.Record {
	now := x.request.p.now()
	r := x.auditRecord(now, st, resolved.roles, d)
	r.Time, r.Event, r.Age = now, audit.StreamCut, st.age(now)
	r.Decision, r.Reason = audit.Refuse, reason
	if reason == stream.Denied {
		r.Decision = audit.Deny
	}
	return &r
}
