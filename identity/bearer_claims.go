package identity

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/example-org/authgate/text"
)

// GroupTemplate makes a group from claims: the concatenation of its parts.
type GroupTemplate []TemplatePart

// TemplatePart is a text, followed by the value of a claim; an empty Claim adds none.
type TemplatePart struct {
	Text  string
	Claim string // at the top level of the token, by its exact name
}

// Why a template makes no group.
var (
	errMissingClaim = errors.New("a claim is missing") // expected: most claims are only in some tokens
	errInvalidValue = errors.New("a claim does not fit into a group")
)

const (
	maxClaimValue = 512  // bytes of one claim in a group: an Actions job_workflow_ref has up to some 450
	maxGroup      = 1024 // bytes of a group
)

// expand fills a template. It escapes colons and per cent signs in values, as GitHub does
// with colons in its sub: the colons of a group are those of the template, so that an
// environment named "x:refs/heads/main" is not a ref.
func (t GroupTemplate) expand(c claims) (string, error) {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.Text)
		if p.Claim == "" {
			continue
		}
		value, err := c.scalar(p.Claim)
		switch {
		case err != nil:
			return "", errInvalidValue
		case value == "":
			return "", errMissingClaim
		case len(value) > maxClaimValue || !printable(value):
			return "", errInvalidValue
		}
		writeEscaped(&b, value)
	}
	if b.Len() > maxGroup {
		return "", errInvalidValue
	}
	return b.String(), nil
}

func writeEscaped(b *strings.Builder, value string) {
	for i := range len(value) {
		switch c := value[i]; c {
		case ':':
			b.WriteString("%3A")
		case '%':
			b.WriteString("%25")
		default:
			b.WriteByte(c)
		}
	}
}

// printable reports whether a value shows all that is in it: no control and no invisible
// characters, no whitespace except the space, nothing that encoding/json replaced.
func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// scalar gives a claim as a string: numbers, true and false exactly as in the token, and
// empty if it is absent.
func (c claims) scalar(name string) (string, error) {
	if c.absent(name) {
		return "", nil
	}
	raw := c[name]
	switch raw[0] {
	case '{', '[':
		return "", refused("its claim %s is a list or an object; compared are strings, numbers, true and false "+
			"at the top level of a token, and no path leads into a claim", text.Quote(name))
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", refused("its claim %s is not a string", text.Quote(name))
		}
		return s, nil
	default:
		return string(raw), nil
	}
}

// checkRequired names the claim that does not match, and not the accepted value.
func (a *bearerConfig) checkRequired(c claims) error {
	for _, name := range a.required {
		value, err := c.scalar(name)
		switch {
		case err != nil:
			return err
		case c.absent(name):
			return refused("it has no claim %s, which is required of its issuer", text.Quote(name))
		case !slices.Contains(a.Require[name], value):
			return refused("its claim %s is %s, which is not accepted of its issuer", text.Quote(name), text.Quote(value))
		}
	}
	return nil
}

// principal makes the principal of a token. An additional issuer says nothing about e-mail
// addresses and names: only the login issuer does.
func (a *bearerConfig) principal(rp *RelyingParty, c claims) (Principal, error) {
	if a.isLoginIssuer {
		return rp.principal(c)
	}
	subject, err := c.subject(a.SubjectClaim)
	if err != nil {
		return Principal{}, err
	}
	expiry, _, err := c.numericDate("exp")
	if err != nil {
		return Principal{}, err
	}
	return Principal{
		Issuer: a.Issuer, Subject: subject, Expiry: expiry,
		Groups:    rp.filterGroups(a.groups(c, rp.cfg.GroupDropped)),
		Untrusted: len(a.Require) == 0,
	}, nil
}

func (a *bearerConfig) groups(c claims, dropped func(reason string)) []string {
	var groups []string
	for _, t := range a.Groups {
		switch group, err := t.expand(c); err {
		case nil:
			groups = append(groups, group)
		case errInvalidValue:
			dropped(droppedMalformed)
		}
	}
	return groups
}
