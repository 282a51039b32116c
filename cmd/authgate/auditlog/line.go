package auditlog

import (
	"slices"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/replay"
	"github.com/example-org/authgate/target"
)

// auditLine is what is needed of an [audit.Record], and whether it is there.
type auditLine struct {
	Time     *time.Time      `json:"time"`
	Event    *audit.Event    `json:"event"`
	Method   string          `json:"method"`
	Path     string          `json:"path"`
	Upstream *string         `json:"upstream"`
	Subject  *string         `json:"sub"`
	Email    *string         `json:"email"`
	Roles    *[]string       `json:"roles"`
	Groups   *[]string       `json:"groups"`
	Decision *audit.Decision `json:"decision"`
	Rule     string          `json:"rule"`
	Policy   string          `json:"policy"`
}

// loggedRequest says what lacks, or gives the request.
func (l *auditLine) loggedRequest() (o replay.LoggedRequest, problem string) {
	switch {
	case l.Time == nil:
		return o, "has no time"
	case l.Method == "":
		return o, "has no method"
	case l.Path == "":
		return o, "has no path"
	case l.Subject == nil && l.Email == nil && l.Roles == nil && l.Groups == nil:
		return o, "does not say who asked (groups, roles, sub, email)"
	}
	path, err := target.ParseWith(l.Path, target.AllQuirks)
	if err != nil || path.String() != l.Path {
		return o, "has a path that is not canonical"
	}
	o = replay.LoggedRequest{
		Time: *l.Time, Upstream: *l.Upstream, Path: path, Method: l.Method, Rule: l.Rule,
		Policy: l.Policy,
	}
	switch *l.Decision {
	case audit.Allow:
		o.Effect = policy.Allow
	case audit.Deny, audit.LoginRequired:
	default:
		return o, "has a decision that is not known"
	}
	if l.Subject != nil {
		o.User = *l.Subject
	}
	if l.Email != nil {
		o.Email = *l.Email
	}
	if l.Roles != nil {
		o.Roles = *l.Roles
	}
	if l.Groups != nil {
		o.Groups = *l.Groups
	}
	isRole := func(name string) bool { return policy.ParseSubject(name).Kind == policy.KindRole }
	if slices.ContainsFunc(o.Roles, func(name string) bool { return !isRole(name) }) {
		return o, "has something else than role:NAME in its roles"
	}
	if slices.ContainsFunc(o.Groups, func(name string) bool { return name == "" || isRole(name) }) {
		return o, "has something else than a group in its groups"
	}
	return o, ""
}
