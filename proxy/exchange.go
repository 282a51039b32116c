package proxy

import (
	"cmp"
	"net/http"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/target"
)

// finish writes the audit record and the metrics of a request, also when an upstream breaks off
// and the reverse proxy panics with http.ErrAbortHandler.
func (p *Proxy) finish(x *exchange) {
	q, end := &x.request, p.now()
	if reason := cmp.Or(q.w.CloseStream(), x.forwarded.Reason); reason != "" {
		q.reason = reason
	}
	if x.forwarded.Refused {
		q.outcome = audit.Refuse
	}
	p.metrics.observeRequest(x.upstreamName(), q.outcome, q.w.Status(), x.duration(end))
	if p.excludedFromAudit(x) {
		return
	}
	r := x.auditRecord(end, q.state, x.caller.roles, x.decided.decision)
	r.Event, r.Decision, r.Reason, r.Shadow = q.event, q.outcome, q.reason, x.decided.shadow
	r.Status, r.Bytes = q.w.Status(), q.w.Bytes()
	p.audit.Write(r)
}

// auditRecord has what the records of a request have in common.
func (x *exchange) auditRecord(now time.Time, st *state, roles policy.Roles, d policy.Decision) audit.Record {
	q, principal := &x.request, &x.caller.session.Principal
	return audit.Record{
		Time: q.startedAt, ID: q.id, RequestID: q.requestID,
		Remote: q.client.Address(), Host: q.client.Host, Method: q.method, Path: x.targeted.path.String(),
		Upstream: x.upstreamName(),
		Subject:  principal.Subject, Email: principal.Email,
		Roles: roles.Names(), Groups: roles.Subjects(), Rule: st.policy.ruleOf(d),
		Policy: st.policy.Hash(), Generation: st.generation, Age: st.age(q.startedAt),
		Millis: float64(now.Sub(q.startedAt).Microseconds()) / 1000,
	}
}

// duration is how long a request took; for a long-lived stream, until it began.
func (x *exchange) duration(end time.Time) time.Duration {
	if at := x.forwarded.HeaderAt; x.recorder.LongLived() && !at.IsZero() {
		end = at
	}
	return end.Sub(x.request.startedAt)
}

// upstreamName is empty for authgate's own endpoints and for paths that no upstream has.
func (x *exchange) upstreamName() string {
	if x.routed.route == nil {
		return ""
	}
	return x.routed.route.Name
}

// upstreamTitle is what users call it.
func (x *exchange) upstreamTitle() string {
	if x.routed.route == nil {
		return ""
	}
	return x.routed.route.config.DisplayName()
}

// excludedFromAudit reports whether a request gets no record. Requests that were denied, refused
// or led to a login have one, also below a path of audit.exclude.
func (p *Proxy) excludedFromAudit(x *exchange) bool {
	if x.request.unrecorded {
		return true
	}
	if x.request.outcome != audit.Allow || x.request.event != audit.Request {
		return false
	}
	for _, pattern := range p.config.Audit.Exclude {
		if target.MatchPattern(x.targeted.path.String(), pattern) {
			return true
		}
	}
	return false
}

// FinalizeHeader implements [upstream.Exchange].
func (x *exchange) FinalizeHeader(status int, _ http.Header) (closeConnection bool) {
	p := x.request.p
	// browsers store neither as a response
	if status != http.StatusSwitchingProtocols && status != http.StatusNotModified {
		p.writeSessionCookie(x)
	}
	// The client must come back on a new connection, to another process, and not use this one
	// just when it is closed. SetKeepAlivesEnabled(false) would close idle connections at once,
	// even when a request on one of them is on its way.
	return p.draining.Load() && status != http.StatusSwitchingProtocols
}

// Detach implements [upstream.Exchange]. The exchange keeps nothing of the client's request but what
// its record and its reauthorization read.
func (x *exchange) Detach() (end func()) {
	q := &x.request
	q.r = nil
	x.detached = true
	q.p.detached.Add(1)
	return func() {
		q.p.finish(x)
		q.p.detached.Add(-1)
	}
}

// Info implements [stream.Opener].
func (x *exchange) Info() stream.Info {
	q := &x.request
	info := stream.Info{
		Upstream: x.upstreamName(), StartedAt: q.startedAt, Addr: q.client.Addr,
		Owner:  stream.Owner{Addr: q.client.Addr},
		Method: q.method, Path: x.targeted.path.String(),
	}
	if !x.caller.signedIn() {
		return info
	}
	s := &x.caller.session
	info.Email = s.Principal.Email
	info.Owner = stream.Owner{Issuer: s.Principal.Issuer, Subject: s.Principal.Subject}
	if !x.decided.asAnonymous {
		info.Session = stream.Session{
			ID: s.ID, Issuer: s.Principal.Issuer, Subject: s.Principal.Subject,
			IssuerSession: s.SessionID,
		}
	}
	return info
}
