package config

import (
	"cmp"
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// IdentityHeaders is which headers tell an upstream who asks. In the file it is
// true, false or the name of a family.
type IdentityHeaders string

// The families of identity headers.
const (
	HeadersBoth        IdentityHeaders = "true"         // both of the following
	HeadersNone        IdentityHeaders = "false"        // none
	HeadersForwarded   IdentityHeaders = "forwarded"    // X-Forwarded-User, -Email, -Groups, -Preferred-Username
	HeadersAuthRequest IdentityHeaders = "auth-request" // X-Auth-Request-User, and so on
)

// Families gives the prefixes of the headers that are sent.
func (h IdentityHeaders) Families() []string {
	const forwarded, authRequest = "X-Forwarded-", "X-Auth-Request-"
	switch h {
	case HeadersBoth:
		return []string{forwarded, authRequest}
	case HeadersForwarded:
		return []string{forwarded}
	case HeadersAuthRequest:
		return []string{authRequest}
	default:
		return nil
	}
}

// decodeIdentityHeaders reads a boolean or a word.
func decodeIdentityHeaders(at yamlfile.Node, into *IdentityHeaders) {
	if on, ok := at.Bool(); ok {
		*into = HeadersNone
		if on {
			*into = HeadersBoth
		}
		return
	}
	words := []string{string(HeadersForwarded), string(HeadersAuthRequest)}
	s, ok := at.String("true, false, "+text.JoinOr(words), "")
	switch {
	case !ok:
	case slices.Contains(words, s):
		*into = IdentityHeaders(s)
	case s == string(HeadersBoth) || s == string(HeadersNone):
		at.Reject(text.Quote(s)+" is a string", "write "+s+" without quotes")
	default:
		at.Reject(text.Quote(s)+" is not known",
			cmp.Or(fault.DidYouMean(s, words), "write true, false, "+text.JoinOr(words)))
	}
}

// IdentityGroups is which of a person's groups an upstream gets.
type IdentityGroups string

// The choices.
const (
	GroupsAll    IdentityGroups = "all"
	GroupsPolicy IdentityGroups = "policy" // those that the policy names
)

func (IdentityGroups) values() []string { return []string{string(GroupsAll), string(GroupsPolicy)} }

// HeaderTemplate is the value of a header: its pieces, one after the other. The
// claim of a piece is one of sub, email, name and groups.
type HeaderTemplate []TemplatePart

// Expand makes a value of a template. It is incomplete if a field is empty.
func (t HeaderTemplate) Expand(fields map[string]string) (value string, complete bool) {
	var b strings.Builder
	for _, part := range t {
		b.WriteString(part.Text)
		if part.Claim == "" {
			continue
		}
		if fields[part.Claim] == "" {
			return "", false
		}
		b.WriteString(fields[part.Claim])
	}
	return b.String(), true
}

var headerFields = []string{"sub", "email", "name", "groups"}

func parseHeaderTemplate(s string) (HeaderTemplate, problem) {
	switch {
	case s == "":
		return nil, problem{"is empty", `write a value such as "{email}"; stripHeaders drops a header`}
	case strings.TrimSpace(s) != s:
		return nil, problem{"has spaces around it, which no header keeps", "write " + text.Quote(strings.TrimSpace(s))}
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }):
		return nil, problem{"has characters in it that are not printable ASCII", "take them out"}
	}
	var t HeaderTemplate
	for rest := s; rest != ""; {
		literal, after, opened := strings.Cut(rest, "{")
		field, next, closed := strings.Cut(after, "}")
		switch {
		case strings.Contains(literal, "}"):
			return nil, problem{"has a } without a {", "write " + headerFieldList()}
		case opened && !closed:
			return nil, problem{"has a { without a }", "write " + headerFieldList()}
		case opened && !slices.Contains(headerFields, field):
			return nil, problem{
				text.Quote("{"+field+"}") + " is not known",
				cmp.Or(fault.DidYouMean(field, headerFields), "write "+headerFieldList()),
			}
		}
		t = append(t, TemplatePart{literal, field})
		rest = next
	}
	return t, problem{}
}

func headerFieldList() string {
	var fields []string
	for _, f := range headerFields {
		fields = append(fields, "{"+f+"}")
	}
	return text.JoinOr(fields)
}

// checkHeaders holds the names in stripHeaders and setHeaders to what may be
// dropped and set.
func (u Upstream) checkHeaders(at yamlfile.Node) {
	for i, name := range u.StripHeaders {
		here := at.Key("stripHeaders").Item(i)
		switch c := checkHeaderName(name); {
		case c.message != "":
			c.addTo(here)
		case reservedHeaders[normalizeHeader(name)] && normalizeHeader(name) != "Cookie" &&
			normalizeHeader(name) != "Authorization":
			here.AddFault(text.Quote(name)+" is part of how a request is sent", "leave it out")
		case u.PassAuthorization && normalizeHeader(name) == "Authorization":
			here.AddFault("Authorization is dropped here and passed on by passAuthorization", "keep one of the two")
		case u.setsHeader(normalizeHeader(name)):
			here.AddFault(text.Quote(name)+" is written by authgate itself, and a client's own is dropped already",
				"leave it out; identity.headers turns off those about people")
		}
	}
	seen := make(map[string]string) // folded → as written
	for _, name := range slices.Sorted(maps.Keys(u.SetHeaders)) {
		here := at.Key("setHeaders").Key(name)
		folded := normalizeHeader(name)
		switch c := checkHeaderName(name); {
		case c.message != "":
			c.addTo(here)
		case reservedHeaders[folded]:
			here.AddFault(text.Quote(name)+" is not for setHeaders",
				cmp.Or(headerHints[folded], "name a header that only tells who asks"))
		case u.setsHeader(folded):
			here.AddFault(text.Quote(name)+" is written by authgate itself",
				cmp.Or(headerHints[folded], "name another header, or write identity.headers: false"))
		case seen[folded] != "":
			here.AddFault(text.Quote(name)+" and "+text.Quote(seen[folded])+" are one header to many servers",
				"keep one of the two")
		}
		seen[folded] = name
	}
}

// checkHeaderName wants a token (RFC 9110, 5.6.2). A star is one, and would be
// taken for a pattern.
func checkHeaderName(name string) problem {
	switch {
	case name == "":
		return problem{"is no name of a header", "write a name such as X-Tenant"}
	case strings.Contains(name, "*"):
		return problem{text.Quote(name) + " holds a *, and a name stands for one header", "name each header"}
	case strings.HasPrefix(name, ":") || strings.ContainsFunc(name, func(r rune) bool { return !isTokenRune(r) }):
		return problem{text.Quote(name) + " is no name of a header", "write letters, digits and hyphens"}
	}
	return problem{}
}

func isTokenRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		strings.ContainsRune("!#$%&'+-.^_`|~", r)
}

// normalizeHeader gives the name that servers see which make one variable of X-User,
// X_User and X.User.
func normalizeHeader(name string) string {
	return textproto.CanonicalMIMEHeaderKey(strings.NewReplacer("_", "-", ".", "-").Replace(name))
}

// setsHeader reports whether authgate writes a header of this upstream's requests itself.
func (u Upstream) setsHeader(name string) bool {
	if strings.HasPrefix(name, "X-Forwarded-") &&
		slices.Contains([]string{"For", "Proto", "Host", "Port", "Prefix"}, name[len("X-Forwarded-"):]) ||
		name == "X-Real-Ip" || name == "X-Request-Id" {
		return true
	}
	for _, family := range u.Identity.Headers.Families() {
		rest, ok := strings.CutPrefix(name, family)
		if ok && slices.Contains([]string{"User", "Email", "Groups", "Preferred-Username"}, rest) {
			return true
		}
	}
	return false
}

// reservedHeaders are about a message or the way it takes, not about people.
var reservedHeaders = map[string]bool{
	"Host": true, "Content-Length": true, "Content-Type": true, "Content-Encoding": true, "Transfer-Encoding": true,
	"Expect":     true,
	"Connection": true, "Proxy-Connection": true, "Keep-Alive": true, "Te": true, "Trailer": true, "Upgrade": true,
	"Http2-Settings":     true,
	"Proxy-Authenticate": true, "Proxy-Authorization": true, "Authorization": true, "Cookie": true, "Grpc-Timeout": true,
	"X-Http-Method-Override": true, "X-Http-Method": true, "X-Method-Override": true, "X-Original-Url": true,
	"X-Original-Uri":    true,
	"X-Original-Method": true, "X-Rewrite-Url": true,
}

// headerHints says which key does what was meant.
var headerHints = map[string]string{
	"Authorization":      "write identity.credential, or passAuthorization for the client's own",
	"Host":               "write hostHeader",
	"X-Forwarded-Prefix": "write stripPath",
}
