package proxy

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy/respond/page"
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

// refuseDenied refuses what the policy denies. It says who the user is, and who is admitted.
func (p *Proxy) refuseDenied(x *decided, detail string) *Refusal {
	f := refuse(http.StatusForbidden, codeDenied, detail, nil)
	principal, back := x.session.Principal, x.returnPath()
	f.Denied = &page.Denied{
		User: principal.DisplayName(), Groups: principal.Groups, Roles: x.roles.Names(), Overage: principal.GroupsOverage,
		ShowAdmitted: p.config.Pages.ShowGroups, Rule: x.state.policy.ruleOf(x.decision),
		Action: page.Text(x.route.Action(x.r.Method, x.path)), Product: x.route.Product(),
		Upstream: x.route.config.DisplayName(), Method: x.r.Method, Path: x.path.String(),
		SignOut: p.endpoints.SignOut(back), SwitchUser: p.endpoints.SwitchUser(back), Back: x.previousPage(),
	}
	if f.Denied.ShowAdmitted {
		f.Denied.Admitted, f.Denied.AdmittedMore = x.state.policy.Admitted(x.route.Name, x.path, x.r.Method)
	}
	if !x.usesBearer() {
		f.Denied.Refresh, f.Denied.ReturnTo = p.prefix+"/refresh", back
	}
	f.Denied.Request = p.requestAccessURL(x, f.Denied.Admitted)
	return f
}

// requestAccessURL is where the user asks for access; empty: the configuration has no such link.
func (p *Proxy) requestAccessURL(x *decided, admitted []string) string {
	link := p.config.Pages.RequestAccessURL
	if len(link) == 0 {
		return ""
	}
	principal := x.session.Principal
	values := map[string]string{
		"user": cmp.Or(principal.Username, principal.Email, principal.Subject), "email": principal.Email,
		"upstream": x.route.Name, "method": x.r.Method, "path": x.path.String(), "id": x.id,
	}
	if len(admitted) > 0 {
		values["group"] = admitted[0]
		values["role"] = x.state.policy.AdmittedRole(admitted[0], x.route.Name, x.path, x.r.Method)
	}
	return link.Expand(values)
}

// previousPage is the page of this origin from which the user came, or the start page of the
// upstream; empty: it is this page.
func (x *decided) previousPage() string {
	back := strings.TrimSuffix(x.route.config.Path, "/") + "/"
	if x.isSameOriginReferer() {
		back = x.refererPath()
	}
	if path, _, _ := strings.Cut(back, "?"); path == x.path.String() {
		return ""
	}
	return back
}
