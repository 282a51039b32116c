package proxy

import (
	"net/http"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/policy"
)

// decide is step 4: the policy's answer, and what it means to whoever asks.
func (p *Proxy) decide(x *exchange) bool {
	begun := p.now()
	x.decision = x.ask(x.roles)
	if x.signedIn() && x.decision.Rule == nil {
		// No row speaks of this person here. Where nobody in particular may go,
		// the session is left out and they go as nobody: signing in closes no door,
		// such as the issuer's own pages behind this host.
		if open := x.ask(x.state.anonymous); open.Allowed() {
			x.decision, x.incognito = open, true
		}
	}
	p.metrics.decisionSeconds.Observe(p.now().Sub(begun).Seconds())
	switch {
	case x.decision.Allowed():
		x.outcome = audit.Allow
		return true
	case x.signedIn():
		x.outcome = audit.Deny
		return x.refuse(http.StatusForbidden, codeDenied, "No rule of the policy lets you do this.", nil)
	default:
		return x.refuseNobody()
	}
}

func (x *exchange) ask(roles policy.Roles) policy.Decision {
	return x.state.policy.Decide(policy.Request{Roles: roles, Upstream: x.route.name, Path: x.path, Method: x.r.Method})
}

// refuseNobody turns away a request that nobody in particular made.
func (x *exchange) refuseNobody() bool {
	if x.credential {
		return x.refuse(http.StatusUnauthorized, "credential_refused",
			"The Authorization header holds nothing that is accepted here. Sign in with a browser.", nil)
	}
	x.outcome = audit.ToLogin
	return x.refuse(http.StatusUnauthorized, codeLoginRequired, "Sign in to do this.", x.sessionErr)
}
