package upstream

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond"
)

// Template is the value of a header that setHeaders configures. It is incomplete if a field is
// empty: user- without the e-mail after it would be another user.
type Template interface {
	Expand(fields map[string]string) (value string, complete bool)
}

// setHeader is one of setHeaders.
type setHeader struct {
	name  string // canonical
	value Template
}

func sortedHeaders(set map[string]Template) []setHeader {
	var all []setHeader
	for _, name := range slices.Sorted(maps.Keys(set)) {
		all = append(all, setHeader{http.CanonicalHeaderKey(name), set[name]})
	}
	return all
}

// strippedHeaders gives the canonical names of the request headers that do not reach an
// upstream, in addition to those that reach none. Names with _ or . never arrive.
func strippedHeaders(o Options) []string {
	var names []string
	for _, name := range slices.Concat(o.StripHeaders, slices.Collect(maps.Keys(o.SetHeaders))) {
		names = append(names, http.CanonicalHeaderKey(FoldHeaderName(name)))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// IdentityHeaders identify the user to an upstream. They are made once per session: with 20
// groups they cost more than everything else that is done to a header. Requests share the
// values, which are never written to.
type IdentityHeaders []headerLine

type headerLine struct {
	name   string // canonical
	values []string
}

// Set sets the headers.
func (lines IdentityHeaders) Set(h http.Header) {
	for i := range lines {
		h[lines[i].name] = lines[i].values
	}
}

// identityHeaders uses the names that oauth2-proxy made common. User is the subject, which no
// user can choose. An e-mail that the issuer has not verified proves nothing, so it is not
// sent. mentioned reports whether the policy mentions a group.
func (u *Upstream) identityHeaders(principal identity.Principal, mentioned func(group string) bool) IdentityHeaders {
	fields := u.fields(principal, mentioned)
	var lines IdentityHeaders
	for _, field := range [...][2]string{
		{"User", fields["sub"]},
		{"Email", fields["email"]},
		{"Preferred-Username", respond.EncodeHeaderValue(principal.Username)},
		{"Groups", fields["groups"]},
	} {
		if field[1] == "" {
			continue
		}
		values := []string{field[1]}
		for _, prefix := range u.Options.IdentityHeaders {
			lines = append(lines, headerLine{prefix + field[0], values})
		}
	}
	for _, header := range u.setHeaders {
		if value, complete := header.value.Expand(fields); complete {
			lines = append(lines, headerLine{header.name, []string{value}})
		}
	}
	return lines
}

// fields gives what the templates of setHeaders may contain, as header values.
func (u *Upstream) fields(principal identity.Principal, mentioned func(group string) bool) map[string]string {
	var groups []string
	for _, g := range principal.Groups {
		if !u.PolicyGroupsOnly || mentioned(g) {
			groups = append(groups, respond.EncodeHeaderValue(g))
		}
	}
	fields := map[string]string{
		"sub":    respond.EncodeHeaderValue(principal.Subject),
		"name":   respond.EncodeHeaderValue(cmp.Or(principal.Name, principal.Username)),
		"groups": strings.Join(groups, ","),
	}
	if principal.EmailVerified {
		fields["email"] = respond.EncodeHeaderValue(principal.Email)
	}
	return fields
}

// UserHeaders are the identity headers of one user at all upstreams, each made with the first
// request to it.
type UserHeaders struct {
	principal  identity.Principal
	mentioned  func(group string) bool
	byUpstream []atomic.Pointer[IdentityHeaders] // by Upstream.index
}

// NewUserHeaders returns the headers of a user at so many upstreams. mentioned reports whether
// the policy mentions a group.
func NewUserHeaders(principal identity.Principal, mentioned func(group string) bool, upstreams int) *UserHeaders {
	return &UserHeaders{principal, mentioned, make([]atomic.Pointer[IdentityHeaders], upstreams)}
}

// For gives the headers for an upstream. Those of nil, an unauthenticated client, are empty.
func (t *UserHeaders) For(u *Upstream) IdentityHeaders {
	if t == nil || u.index >= len(t.byUpstream) {
		return nil
	}
	if lines := t.byUpstream[u.index].Load(); lines != nil {
		return *lines
	}
	lines := u.identityHeaders(t.principal, t.mentioned)
	t.byUpstream[u.index].Store(&lines)
	return lines
}
