package proxy

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy/respond"
)

// headerBuilder knows what an upstream is told of the people who come: under which names,
// and how much.
type headerBuilder struct {
	families         []string // prefixes of User, Email, Preferred-Username and Groups
	policyGroupsOnly bool     // only groups that the policy names
	setHeaders       []setHeader
}

// setHeader is one of setHeaders.
type setHeader struct {
	name  string // canonical
	value config.HeaderTemplate
}

func newHeaderBuilder(c *config.Upstream) *headerBuilder {
	t := &headerBuilder{families: c.Identity.Headers.Families(), policyGroupsOnly: c.Identity.Groups == config.GroupsPolicy}
	for _, name := range slices.Sorted(maps.Keys(c.SetHeaders)) {
		t.setHeaders = append(t.setHeaders, setHeader{http.CanonicalHeaderKey(name), c.SetHeaders[name]})
	}
	return t
}

// strippedHeaders gives the request headers of a client that do not reach an upstream, beside
// those that reach none: canonical names. Names with _ or . never arrive.
func strippedHeaders(c *config.Upstream) []string {
	var names []string
	for _, name := range slices.Concat(c.StripHeaders, slices.Collect(maps.Keys(c.SetHeaders))) {
		names = append(names, http.CanonicalHeaderKey(foldHeaderName(name)))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// identityHeaders say who is asking. They are made once for a session: with 20
// groups they cost more than all else that is done to a header. Requests share the
// values, to which nobody writes.
type identityHeaders []headerLine

type headerLine struct {
	name   string // canonical
	values []string
}

func (lines identityHeaders) set(h http.Header) {
	for i := range lines {
		h[lines[i].name] = lines[i].values
	}
}

// build uses the names that oauth2-proxy made common: User is the subject, which no
// user can choose. An e-mail that the issuer has not verified is nobody's, and is not
// told. named reports whether the policy names a group.
func (t *headerBuilder) build(principal identity.Principal, named func(group string) bool) identityHeaders {
	known := t.fields(principal, named)
	var lines identityHeaders
	for _, field := range [...][2]string{
		{"User", known["sub"]}, {"Email", known["email"]}, {"Preferred-Username", respond.EncodeHeaderValue(principal.Username)}, {"Groups", known["groups"]},
	} {
		if field[1] == "" {
			continue
		}
		values := []string{field[1]}
		for _, family := range t.families {
			lines = append(lines, headerLine{family + field[0], values})
		}
	}
	for _, header := range t.setHeaders {
		if value, complete := expand(header.value, known); complete {
			lines = append(lines, headerLine{header.name, []string{value}})
		}
	}
	return lines
}

// fields gives what setHeaders may name, as header values.
func (t *headerBuilder) fields(principal identity.Principal, named func(group string) bool) map[string]string {
	var groups []string
	for _, g := range principal.Groups {
		if !t.policyGroupsOnly || named(g) {
			groups = append(groups, respond.EncodeHeaderValue(g))
		}
	}
	name := principal.Name
	if name == "" {
		name = principal.Username
	}
	known := map[string]string{"sub": respond.EncodeHeaderValue(principal.Subject), "name": respond.EncodeHeaderValue(name), "groups": strings.Join(groups, ",")}
	if principal.EmailVerified {
		known["email"] = respond.EncodeHeaderValue(principal.Email)
	}
	return known
}

// expand makes a value of a template. It is not whole where something is not known:
// user- without the e-mail behind it would be somebody else's.
func expand(t config.HeaderTemplate, known map[string]string) (value string, complete bool) {
	var b strings.Builder
	for _, piece := range t {
		b.WriteString(piece.Text)
		if piece.Claim == "" {
			continue
		}
		if known[piece.Claim] == "" {
			return "", false
		}
		b.WriteString(known[piece.Claim])
	}
	return b.String(), true
}

// userHeaders is what upstreams are told of one person, made when the first of them asks.
type userHeaders struct {
	principal   identity.Principal
	policyNames func(group string) bool
	byUpstream  []atomic.Pointer[identityHeaders] // by upstream.index
}

func (t *userHeaders) forUpstream(u *upstream) identityHeaders {
	if t == nil || u.index >= len(t.byUpstream) {
		return nil
	}
	if lines := t.byUpstream[u.index].Load(); lines != nil {
		return *lines
	}
	lines := u.headerBuilder.build(t.principal, t.policyNames)
	t.byUpstream[u.index].Store(&lines)
	return lines
}
