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

// reportCut counts and records a stream that was cut.
func (p *Proxy) reportCut(r *audit.Record) {
	p.metrics.cuts[r.Reason].Inc()
	p.audit.Write(*r)
}

// Info implements [stream.Opener].
func (x *exchange) Info() stream.Info {
	info := stream.Info{Upstream: x.upstreamName(), StartedAt: x.startedAt, Addr: x.client.Addr, Owner: stream.Owner{Addr: x.client.Addr}}
	if !x.signedIn() {
		return info
	}
	principal := &x.session.Principal
	info.Owner = stream.Owner{Issuer: principal.Issuer, Subject: principal.Subject}
	if !x.asAnonymous {
		info.Session = stream.Session{ID: x.session.ID, Issuer: principal.Issuer, Subject: principal.Subject, IssuerSession: x.session.SessionID}
	}
	return info
}

// Reauthorize implements [stream.Opener]: it decides as a request like this one would be
// decided now. A user who keeps a stream open is present, so their groups are refreshed as if
// they sent requests.
func (x *exchange) Reauthorize() *audit.Record {
	st, s := x.p.state.Load(), x.session
	switch {
	case x.usesBearer():
		// CI tokens are valid for minutes, and what they start may take hours.
		if x.p.now().Sub(x.startedAt) > time.Duration(x.p.config.Session.Lifetime) {
			return x.CutRecord(stream.Expired)
		}
		if x.token != nil && x.p.isRevoked(x.token) {
			return x.CutRecord(stream.SignedOut)
		}
	case x.signedIn() && !x.asAnonymous:
		var err error
		if s, err = x.p.sessions.Current(x.session); err != nil {
			return x.CutRecord(cutReasonOf(err))
		}
	}
	read := s.FetchedAt.UnixNano()
	by := x.authorized.Load()
	if by == nil {
		by = &authorization{x.state, x.session.FetchedAt.UnixNano()}
	}
	if *by == (authorization{st, read}) {
		return nil
	}
	resolved := st.anonymous
	if x.signedIn() {
		resolved = st.resolveRoles(s)
	}
	d, asAnonymous := st.policy.evaluate(policy.Request{Roles: resolved.roles, Upstream: x.route.Name, Path: x.path, Method: x.r.Method}, x.signedIn())
	// If the user may now continue only as anonymous, the upstream already knows who they are:
	// the client must open such a stream again, without an identity.
	if d.Allowed() && (x.asAnonymous || !asAnonymous) {
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
	return x.cutRecord(reason, x.p.state.Load(), x.resolvedRoles, policy.Decision{})
}

// cutRecord is the audit record of a stream that is cut: by what it was decided last, and why.
func (x *exchange) cutRecord(reason string, st *state, resolved resolvedRoles, d policy.Decision) *audit.Record {
	now := x.p.now()
	r := x.auditRecord(now, st, resolved.roles, d)
	r.Time, r.Event, r.Age = now, audit.StreamCut, st.age(now)
	r.Decision, r.Reason = audit.Refuse, reason
	if reason == stream.Denied {
		r.Decision = audit.Deny
	}
	return &r
}
