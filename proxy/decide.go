package proxy

import (
	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// decide is step 4: the policy's decision, and what it means for the client.
func (p *Proxy) decide(c *caller) (*decided, *Refusal) {
	c.all.decided = decided{caller: c}
	x := &c.all.decided
	start := p.now()
	x.decision, x.asAnonymous = x.evaluate(x.route.Name, x.path, x.r.Method)
	p.metrics.decisionSeconds.Observe(p.now().Sub(start).Seconds())
	p.evaluateShadow(x)
	switch {
	case x.decision.Allowed():
		x.outcome = audit.Allow
		return x, nil
	case x.signedIn():
		x.outcome = audit.Deny
		detail := "No rule of the policy lets you do this."
		if x.session.Principal.GroupsOverage {
			detail += " The identity provider left out your groups because there are too many of them."
		}
		return nil, p.refuseDenied(x, detail)
	default:
		return nil, p.refuseUnauthenticated(c)
	}
}

// evaluateShadow asks the candidate the same question, writes down what it says and
// counts where it differs. Nothing of it reaches the answer.
func (p *Proxy) evaluateShadow(x *decided) {
	shadow := x.state.shadow
	if shadow == nil {
		return
	}
	q := policy.Request{Roles: x.shadowRoles, Upstream: x.route.Name, Path: x.path, Method: x.r.Method}
	d, _ := shadow.evaluate(q, x.signedIn())
	x.shadow = d.Effect.String()
	switch {
	case d.Allowed() == x.decision.Allowed():
	case d.Allowed():
		p.metrics.granted[x.route.Name].Inc()
	default:
		p.metrics.revoked[x.route.Name].Inc()
	}
}

// evaluate asks the policy in force about the caller.
func (x *caller) evaluate(upstream string, path target.Path, method string) (d policy.Decision, asAnonymous bool) {
	return x.state.policy.evaluate(policy.Request{Roles: x.roles, Upstream: upstream, Path: path, Method: method},
		x.signedIn())
}

// evaluate asks a policy. If no row matches a signed-in user, but an unauthenticated client would
// be allowed, the request is allowed as anonymous, without the session: signing in takes no
// access away, for example to the issuer's own pages on this host.
func (e *loadedPolicy) evaluate(q policy.Request, signedIn bool) (d policy.Decision, asAnonymous bool) {
	if d = e.Decide(q); !d.NoMatch() || !signedIn {
		return d, false
	}
	q.Roles = e.anonymous
	if anonymous := e.Decide(q); anonymous.Allowed() {
		return anonymous, true
	}
	return d, false
}
