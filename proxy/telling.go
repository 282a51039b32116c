package proxy

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
)

// teller knows what an upstream is told of the people who come: under which names,
// and how much.
type teller struct {
	families    []string // prefixes of User, Email, Preferred-Username and Groups
	ruledGroups bool     // only groups that the policy names
	set         []setHeader
}

// setHeader is one of setHeaders.
type setHeader struct {
	name  string // canonical
	value config.HeaderTemplate
}

func newTeller(c *config.Upstream) *teller {
	t := &teller{families: c.Identity.Headers.Families(), ruledGroups: c.Identity.Groups == config.GroupsPolicy}
	for _, name := range slices.Sorted(maps.Keys(c.SetHeaders)) {
		t.set = append(t.set, setHeader{http.CanonicalHeaderKey(name), c.SetHeaders[name]})
	}
	return t
}

// dropped gives the request headers of a client that do not reach an upstream, beside
// those that reach none: canonical names. Names with _ or . never arrive.
func dropped(c *config.Upstream) []string {
	var names []string
	for _, name := range slices.Concat(c.StripHeaders, slices.Collect(maps.Keys(c.SetHeaders))) {
		names = append(names, http.CanonicalHeaderKey(foldName(name)))
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

// tell uses the names that oauth2-proxy made common: User is the subject, which no
// user can choose. An e-mail that the issuer has not verified is nobody's, and is not
// told. named reports whether the policy names a group.
func (t *teller) tell(who identity.Principal, named func(group string) bool) identityHeaders {
	known := t.fields(who, named)
	var lines identityHeaders
	for _, field := range [...][2]string{
		{"User", known["sub"]}, {"Email", known["email"]}, {"Preferred-Username", headerValue(who.Username)}, {"Groups", known["groups"]},
	} {
		if field[1] == "" {
			continue
		}
		values := []string{field[1]}
		for _, family := range t.families {
			lines = append(lines, headerLine{family + field[0], values})
		}
	}
	for _, header := range t.set {
		if value, whole := expand(header.value, known); whole {
			lines = append(lines, headerLine{header.name, []string{value}})
		}
	}
	return lines
}

// fields gives what setHeaders may name, as header values.
func (t *teller) fields(who identity.Principal, named func(group string) bool) map[string]string {
	var groups []string
	for _, g := range who.Groups {
		if !t.ruledGroups || named(g) {
			groups = append(groups, headerValue(g))
		}
	}
	name := who.Name
	if name == "" {
		name = who.Username
	}
	known := map[string]string{"sub": headerValue(who.Subject), "name": headerValue(name), "groups": strings.Join(groups, ",")}
	if who.EmailVerified {
		known["email"] = headerValue(who.Email)
	}
	return known
}

// expand makes a value of a template. It is not whole where something is not known:
// user- without the e-mail behind it would be somebody else's.
func expand(t config.HeaderTemplate, known map[string]string) (value string, whole bool) {
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

// telling is what upstreams are told of one person, made when the first of them asks.
type telling struct {
	who   identity.Principal
	named func(group string) bool
	to    []atomic.Pointer[identityHeaders] // by upstream.index
}

func (t *telling) of(u *upstream) identityHeaders {
	if t == nil || u.index >= len(t.to) {
		return nil
	}
	if lines := t.to[u.index].Load(); lines != nil {
		return *lines
	}
	lines := u.teller.tell(t.who, t.named)
	t.to[u.index].Store(&lines)
	return lines
}
