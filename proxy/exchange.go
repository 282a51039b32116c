package proxy

import (
	"cmp"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy/client"
	"github.com/example-org/authgate/proxy/upstream"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/target"
)

// exchange is one request and what the steps have learned of it so far, a field
// for each.
type exchange struct {
	p         *Proxy
	w         *upstream.Recorder
	recorder  upstream.Recorder // w
	r         *http.Request
	state     *state // pinned: one policy for the whole request
	startedAt time.Time
	id        string // authgate's own: nobody else can choose it

	requestID string // what the client calls it, or id

	client client.Client // who connected, by which scheme and host
	path   target.Path
	route  *dashboard // nil: authgate itself, or nobody, serves this path

	session    session.Session // zero: nobody
	sessionErr error           // why nobody, for the log
	forceLogin bool            // there is a session, and only another login helps

	credentialErr error  // why what was brought is not accepted; nil: it is, or there is none
	upstreamToken string // the token that the upstream is shown; empty: none

	token         *identity.Token // that was accepted; nil: a session, or nobody
	presented     credential      // what came along to say who asks
	resolvedRoles                 // zero: not asked
	decision      policy.Decision
	asAnonymous   bool   // somebody, but let through as nobody
	shadow        string // what the candidate would have decided

	forwarded upstream.Result

	authorized atomic.Pointer[authorization] // of its open streams, the last; nil: that of the request

	unrecorded bool // there is no room for its record: it was not served

	refusal *Refusal
	event   audit.Event
	outcome audit.Decision
	reason  string
}

// begin opens the exchange of a request and pins the state it is judged by.
func (p *Proxy) begin(w http.ResponseWriter, r *http.Request) *exchange {
	id := audit.NewID()
	request := client.RequestID(r.Header["X-Request-Id"], id)
	x := &exchange{
		p:         p,
		r:         r,
		state:     p.state.Load(),
		startedAt: p.now(),
		id:        id,
		client:    p.clientReader.Read(r),

		requestID: request,

		event:   audit.Request,
		outcome: audit.Refuse, // until somebody says otherwise
	}
	x.recorder = upstream.MakeRecorder(w, r, request, p.streams, x)
	x.w = &x.recorder
	return x
}

// canonicalise is step 1: the path that everything else speaks of. Only the
// request line is read: r.URL.Path is decoded, and RawPath is empty whenever the
// default encoding happens to fit.
func (p *Proxy) canonicalise(x *exchange) bool {
	if !knownMethod(x.r.Method) {
		return x.refuse(http.StatusMethodNotAllowed, "bad_method", "This method is not served here.", nil)
	}
	path, err := target.Parse(x.r.RequestURI)
	if err != nil && p.quirks != 0 {
		path, err = target.ParseWith(x.r.RequestURI, HostQuirks(p.config.Upstreams, x.client.Hostname))
	}
	if err != nil {
		return x.refuseTarget(err)
	}
	x.path = path
	return true
}

func (x *exchange) refuseTarget(cause error) bool {
	return x.refuse(http.StatusBadRequest, "bad_target", "The request was refused: "+cause.Error()+".", nil)
}

// knownMethod admits upper-case words (RFC 9110, 9.1: methods are case-sensitive,
// so get is not GET) but for CONNECT, a tunnel, and TRACE, an echo of headers.
func knownMethod(m string) bool {
	for i := range len(m) {
		if (m[i] < 'A' || m[i] > 'Z') && m[i] != '-' {
			return false
		}
	}
	return m != "" && len(m) <= 32 && m != http.MethodConnect && m != http.MethodTrace
}

// signedIn reports whether somebody is behind the request.
func (x *exchange) signedIn() bool { return x.session.ID != "" }

// rule names the row that decided, as file:line; empty where none did.
func (x *exchange) rule() string {
	if x.decision.Row == nil {
		return ""
	}
	return x.decision.Row.Where()
}

// finish writes the audit record and the metrics of an exchange, also when an
// upstream breaks off and the reverse proxy panics with http.ErrAbortHandler.
func (p *Proxy) finish(x *exchange) {
	end := p.now()
	if reason := cmp.Or(x.w.CloseStream(), x.forwarded.Reason); reason != "" {
		x.reason = reason
	}
	if x.forwarded.Refused {
		x.outcome = audit.Refuse
	}
	upstream := x.upstreamName()
	p.metrics.observeRequest(upstream, x.outcome, x.w.Status(), x.duration(end))
	if p.excludedFromAudit(x) {
		return
	}
	r := x.auditRecord(end, x.state, x.roles, x.decision)
	r.Event, r.Decision, r.Reason, r.Shadow = x.event, x.outcome, x.reason, x.shadow
	r.Status, r.Bytes = x.w.Status(), x.w.Bytes()
	p.audit.Write(r)
}

// auditRecord has what the records of a request have in common.
func (x *exchange) auditRecord(now time.Time, st *state, roles policy.Roles, d policy.Decision) audit.Record {
	r := audit.Record{
		Time: x.startedAt, ID: x.id, RequestID: x.requestID,
		Remote: x.client.Address(), Host: x.client.Host, Method: x.r.Method, Path: x.path.String(), Upstream: x.upstreamName(),
		Subject: x.session.Principal.Subject, Email: x.session.Principal.Email,
		Roles: roles.Names(), Groups: roles.Subjects(),
		Policy: st.policy.Hash(), Generation: st.generation, Age: st.age(x.startedAt),
		Millis: float64(now.Sub(x.startedAt).Microseconds()) / 1000,
	}
	if d.Row != nil {
		r.Rule = d.Row.Where()
	}
	return r
}

// duration is how long a request took; for a long-lived stream, until it began.
func (x *exchange) duration(end time.Time) time.Duration {
	if at := x.forwarded.HeaderAt; x.w.LongLived() && !at.IsZero() {
		end = at
	}
	return end.Sub(x.startedAt)
}

// upstreamName is empty where authgate itself, or nobody, serves the path.
func (x *exchange) upstreamName() string {
	if x.route == nil {
		return ""
	}
	return x.route.Name
}
