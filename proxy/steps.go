package proxy

import (
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

// Each step takes the result of the step before, and returns its own or a refusal. A result
// embeds the one before, so that a step can read what is known by then and nothing else:
//
//	request → targeted → routed → caller → decided

// request is a request that has begun.
type request struct {
	p         *Proxy
	all       *exchange
	w         *upstream.Recorder
	r         *http.Request // nil: the exchange is detached
	method    string
	state     *state // pinned: one policy for the whole request
	startedAt time.Time
	id        string // authgate's own: no client can choose it
	requestID string // the client's, or id
	client    client.Client

	// The outcome, for the audit and the metrics.
	event      audit.Event
	outcome    audit.Decision
	reason     string
	unrecorded bool // there is no room for its record, so it was not served
}

// targeted is a request whose path is canonical (step 1).
type targeted struct {
	*request
	path target.Path
}

// routed is a request whose host is known (step 2).
type routed struct {
	*targeted
	route *dashboard // nil: authgate's own endpoint, or no upstream has the path
}

// caller is a request whose user is known, or known to be unauthenticated (step 3).
type caller struct {
	*routed
	session    session.Session // zero: unauthenticated
	sessionErr error           // why there is no session
	forceLogin bool            // there is a session, and only another login helps

	token         *identity.Token // the bearer token that authenticates the user; nil: a session does, or there is no user
	presented     credential      // a credential in a header
	credentialErr error           // why it is not accepted; nil: it is, or there is none
	resolvedRoles
}

// decided is a request that the policy has decided (step 4).
type decided struct {
	*caller
	decision    policy.Decision
	asAnonymous bool   // a signed-in user who is allowed only as an unauthenticated client would be
	shadow      string // the decision of the shadow policy
}

// exchange has room for the results of all steps of a request, in one allocation. It is read
// as a whole only when the request ends, or while its streams are open.
type exchange struct {
	request  request
	recorder upstream.Recorder
	targeted targeted
	routed   routed
	caller   caller
	decided  decided

	detached   bool // it outlasts its handler
	forwarded  upstream.Result
	authorized atomic.Pointer[authorization] // of its open streams, the last; nil: that of the request
}

// begin begins a request, and pins the state by which it is decided.
func (p *Proxy) begin(w http.ResponseWriter, r *http.Request) *request {
	id := audit.NewID()
	all := &exchange{request: request{
		p: p, r: r, method: r.Method, state: p.state.Load(), startedAt: p.now(),
		id: id, requestID: client.RequestID(r.Header["X-Request-Id"], id), client: p.clientReader.Read(r),
		event: audit.Request, outcome: audit.Refuse, // until a step changes it
	}}
	x := &all.request
	all.recorder = upstream.MakeRecorder(w, r, x.requestID, p.streams, all)
	x.all, x.w = all, &all.recorder
	return x
}

// newCaller is the result of step 3 for an unauthenticated client.
func (to *routed) newCaller() *caller {
	to.all.caller = caller{routed: to, resolvedRoles: to.state.anonymous}
	return &to.all.caller
}

// signedIn reports whether the request has a user.
func (c *caller) signedIn() bool { return c.session.ID != "" }

// refuse makes a refusal.
func refuse(status int, code, detail string, cause error) *Refusal {
	return &Refusal{Status: status, Code: code, Detail: detail, Cause: cause}
}

// canonicalise is step 1: the path that is matched, logged and forwarded. It reads only the
// request line: r.URL.Path is decoded, and RawPath is empty whenever the default encoding
// happens to fit.
func (p *Proxy) canonicalise(x *request) (*targeted, *Refusal) {
	if !knownMethod(x.r.Method) {
		return nil, refuse(http.StatusMethodNotAllowed, "bad_method", "This method is not served here.", nil)
	}
	path, err := target.Parse(x.r.RequestURI)
	if err != nil && p.quirks != 0 {
		path, err = target.ParseWith(x.r.RequestURI, HostQuirks(p.config.Upstreams, x.client.Hostname))
	}
	if err != nil {
		return nil, refuseTarget(err)
	}
	x.all.targeted = targeted{x, path}
	return &x.all.targeted, nil
}

func refuseTarget(cause error) *Refusal {
	return refuse(http.StatusBadRequest, "bad_target", "The request was refused: "+cause.Error()+".", nil)
}

// knownMethod accepts upper-case words (RFC 9110, 9.1: methods are case-sensitive, so get is not
// GET) except CONNECT, a tunnel, and TRACE, an echo of headers.
func knownMethod(m string) bool {
	for i := range len(m) {
		if (m[i] < 'A' || m[i] > 'Z') && m[i] != '-' {
			return false
		}
	}
	return m != "" && len(m) <= 32 && m != http.MethodConnect && m != http.MethodTrace
}
