package proxy

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/session"
)

// serveEndpoint answers authgate's own endpoints, and reports whether it did. They have no
// upstream and no policy, so that a login never depends on a policy row.
func (p *Proxy) serveEndpoint(x *routed) bool {
	if !p.endpoints.Has(x.path) {
		return false
	}
	respond.CloseIfUnread(x.w, x.r) // a form that is read has as long
	respond.SetHeaders(x.w.Header())
	if f := p.routeEndpoint(x); f != nil {
		p.answer(x.request, f)
	}
	return true
}

func (p *Proxy) routeEndpoint(x *routed) *Refusal {
	switch endpoint := strings.TrimPrefix(x.path.String(), p.prefix); endpoint {
	case "", "/":
		return p.portal(x)
	case "/userinfo":
		return p.userinfo(x)
	case "/refresh":
		return p.readGroupsAgain(x)
	default:
		return p.serveLogin(x, endpoint)
	}
}

// serveLogin answers the endpoints of the login.
func (p *Proxy) serveLogin(to *routed, endpoint string) *Refusal {
	q := to.respondTo()
	q.SameOrigin = to.sameOrigin()
	user, outcome, answer := p.login.Serve(q, endpoint)
	if answer == nil {
		return p.unknownEndpoint(to)
	}
	x := to.newCaller()
	x.resolvedRoles = resolvedRoles{}
	x.session, x.event, x.outcome, x.reason = user, outcome.Event, outcome.Decision, outcome.Reason
	switch {
	case x.signedIn():
		x.resolvedRoles = x.state.resolveRoles(&user)
	case user.Principal.Subject == "" && (outcome.Decision == audit.Allow || outcome.Event == audit.Logout):
		x.resolvedRoles = x.state.anonymous
	}
	return p.write(x.request, answer)
}

// unknownEndpoint answers a path below the prefix that is not an endpoint. Argo Workflows has
// pages of its own login there.
func (p *Proxy) unknownEndpoint(x *routed) *Refusal {
	if index, _ := Route(p.config.Upstreams, x.client.Hostname, x.path.String()); index >= 0 {
		if matched, ok := x.matchLoginPage(p.upstreams[index]); ok {
			return p.interceptLoginPage(x, matched, p.upstreams[index])
		}
	}
	return refuse(http.StatusNotFound, "unknown_endpoint", "There is nothing under this path.", nil)
}

// requireSession is step 3 for endpoints that only users may read.
func (p *Proxy) requireSession(to *routed) (*caller, *Refusal) {
	if !respond.IsRead(to.r.Method) {
		return nil, refuse(http.StatusMethodNotAllowed, "bad_method", "Use GET or HEAD.", nil)
	}
	x, f := p.authenticate(to)
	if f == nil && !x.signedIn() {
		f = p.refuseUnauthenticated(x)
	}
	if f != nil {
		return nil, f
	}
	x.outcome = audit.Allow
	return x, nil
}

// userinfo is what authgate knows about a signed-in user.
type userinfo struct {
	Issuer        string    `json:"issuer"`
	Subject       string    `json:"subject"`
	Email         string    `json:"email"`
	EmailVerified bool      `json:"email_verified"`
	Name          string    `json:"name"`
	Username      string    `json:"preferred_username"`
	Groups        []string  `json:"groups"`
	Roles         []string  `json:"roles"`
	Expires       time.Time `json:"expires"`
	Refreshed     time.Time `json:"refreshed,omitzero"` // when the groups were read; unknown with a bearer token

	// Set if the groups could not be refreshed and stay valid for session.refreshGrace.
	StaleSince  *time.Time `json:"stale_since,omitempty"`
	StaleReason string     `json:"stale_reason,omitempty"`

	// not in the session, which is too large; the policy mentions none of them
	DroppedGroups int `json:"groups_dropped,omitempty"`
}

func (p *Proxy) userinfo(to *routed) *Refusal {
	x, f := p.requireSession(to)
	if f != nil {
		return f
	}
	principal := x.session.Principal
	known := userinfo{
		Issuer: principal.Issuer, Subject: principal.Subject, Email: principal.Email, EmailVerified: principal.EmailVerified,
		Name: principal.Name, Username: principal.Username, Groups: orEmpty(principal.Groups),
		Roles:   orEmpty(x.roles.Names()),
		Expires: x.session.Expires.UTC(), Refreshed: x.session.FetchedAt.UTC(), DroppedGroups: x.session.DroppedGroups,
	}
	if since, cause := p.sessions.RefreshFailure(x.session); cause != nil {
		since = since.UTC()
		known.StaleSince, known.StaleReason = &since, staleReason(cause)
	}
	x.w.Header().Set("Content-Type", "application/json")
	text, _ := json.Marshal(known) // of strings, numbers and times
	respond.Send(x.w, http.StatusOK, append(text, '\n'))
	return nil
}

// staleReason describes the cause without internal addresses, which the log has.
func staleReason(cause error) string {
	var unreachable *identity.UnreachableError
	switch {
	case errors.Is(cause, session.ErrStoreDown):
		return "the session store is not responding"
	case errors.As(cause, &unreachable):
		return "the identity provider is unreachable"
	default:
		return "the response of the identity provider could not be used"
	}
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
