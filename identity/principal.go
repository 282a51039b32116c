// Package identity learns from an OpenID Connect issuer who sent a request: it is the
// relying party of step 3 of the request path. [RelyingParty] finds the issuer,
// [RelyingParty.Begin] and [RelyingParty.Finish] are the two halves of a login, and the
// result is a [Principal].
//
// It knows no cookies, roles, routes or files: its callers keep the [Login] between the
// halves, and pass it resolved values. It never asks the userinfo endpoint; only the ID
// token counts.
//
// A RelyingParty is safe for concurrent use; [RelyingParty.Run] is called once. No error of
// this package has a token, a code, a secret, a state or the body of a response in it.
package identity

import (
	"cmp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
	"unique"
)

// Principal is a user, as the issuer describes them. The zero Principal is anonymous. Its
// JSON is stored in sessions.
type Principal struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"` // unique and stable at its issuer, and there alone

	Email         string `json:"email,omitempty"`
	EmailVerified bool   `json:"ev,omitempty"` // without it Email is a mere claim of the user
	Name          string `json:"name,omitempty"`
	Username      string `json:"user,omitempty"` // preferred_username: may change, may be given to another

	// Groups are as the issuer wrote them, without duplicates, in its order; none has a
	// prefix that is reserved for the policy.
	Groups []string `json:"groups,omitempty"`

	// GroupsOverage says that the issuer left the groups out because there are too many.
	GroupsOverage bool `json:"over,omitempty"`

	Expiry time.Time `json:"exp"` // of the ID token

	// Untrusted says that the issuer may give tokens to any client (Bearer.Require is
	// empty): such a principal has its groups, and does not count as a signed-in user.
	// Principals of logins are trusted.
	Untrusted bool `json:"unvouched,omitempty"`
}

// Share makes principals share the memory of the names that they have in common: the groups of
// a thousand users in one team are the same.
func (p *Principal) Share() {
	p.Issuer = unique.Make(p.Issuer).Value()
	if p.Groups == nil {
		return
	}
	groups := make([]string, len(p.Groups)) // without what reading them left over
	for i, group := range p.Groups {
		groups[i] = unique.Make(group).Value()
	}
	p.Groups = groups
}

// The reasons for GroupDropped.
const (
	droppedReserved  = "reserved"
	droppedMalformed = "malformed"
)

// principal reads the principal from claims. checkClaims decides whether they are trusted.
func (rp *RelyingParty) principal(c claims) (Principal, error) {
	subject, err := c.subject("sub")
	if err != nil {
		return Principal{}, err
	}
	expiry, _, err := c.numericDate("exp")
	if err != nil {
		return Principal{}, err
	}
	p := Principal{Subject: subject, Expiry: expiry}
	for _, claim := range []struct {
		name string
		to   *string
	}{
		{"iss", &p.Issuer},
		{"email", &p.Email},
		{"name", &p.Name},
		{"preferred_username", &p.Username},
	} {
		text, err := c.stringClaim(claim.name)
		if err != nil {
			return Principal{}, err
		}
		if wellFormed(text) { // else as if it were absent: a corrected name is another name
			*claim.to = text
		}
	}
	p.EmailVerified = p.Email != "" && c.isTrue("email_verified")

	in, at := c.findGroups(rp.cfg.GroupsClaim)
	groups, err := in.stringList(at)
	if err != nil {
		return Principal{}, err
	}
	p.Groups = rp.filterGroups(groups)
	p.GroupsOverage = len(groups) == 0 && c.hasGroupsOverage(rp.cfg.GroupsClaim)
	return p, nil
}

// subject identifies a principal: OpenID Connect Core 1.0, section 2, allows 255 ASCII
// characters.
func (c claims) subject(claim string) (string, error) {
	s, err := c.stringClaim(claim)
	switch {
	case err != nil:
		return "", err
	case s == "":
		return "", refused("it does not say who it is about (no %s)", claim)
	case len(s) > 255:
		return "", refused("its %s is longer than 255 characters", claim)
	}
	for _, r := range s {
		if r > unicode.MaxASCII || unicode.IsControl(r) {
			return "", refused("its %s holds characters other than printable ASCII", claim)
		}
	}
	return s, nil
}

// filterGroups drops reserved groups and duplicates: Dex with teamNameField "both" sends a
// team twice if its name is its slug.
func (rp *RelyingParty) filterGroups(groups []string) []string {
	seen := make(map[string]bool, len(groups))
	var accepted []string
	for _, g := range groups {
		switch {
		case g == "" || !wellFormed(g):
			rp.cfg.GroupDropped(droppedMalformed)
		case isReserved(g):
			rp.cfg.GroupDropped(droppedReserved)
		case !seen[g]:
			seen[g] = true
			accepted = append(accepted, g)
		}
	}
	return accepted
}

// isReserved reports whether a group could be read as a role, a user or a system subject.
// The policy compares exactly; whitespace, invisible characters and case are ignored here,
// so that no lenient reader accepts such a group later.
func isReserved(group string) bool {
	trimmed := strings.TrimLeftFunc(group, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r)
	})
	word, _, colon := strings.Cut(trimmed, ":")
	if !colon {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "role", "user", "system":
		return true
	}
	return false
}

// wellFormed reports whether a text is safe in a header, a log line and a policy row: no
// control characters, and nothing that encoding/json replaced.
func wellFormed(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// DisplayName is the name by which pages address a user.
func (p Principal) DisplayName() string {
	return cmp.Or(p.Email, p.Username, p.Name, p.Subject)
}
