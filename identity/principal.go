// Package identity knows how to learn from an OpenID Connect issuer who is
// asking: it is the relying party of step 3 of the request path. [RelyingParty]
// finds the issuer, [RelyingParty.Begin] and [RelyingParty.Finish] are the two
// halves of a login, and what comes out is a [Principal].
//
// It declines to know cookies, roles, routes and files: who calls it keeps the
// [Login] between the halves, and hands it resolved values. It never asks the
// userinfo endpoint; the ID token alone speaks for a person.
//
// A RelyingParty is safe for any number of goroutines; [RelyingParty.Run] is
// called once. No error of this package holds a token, a code, a secret, a state
// or what an issuer wrote into a response.
package identity

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Principal is who somebody is, as the issuer says it. The zero Principal is
// nobody. Its JSON is what a session keeps.
type Principal struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"` // unique and stable at its issuer, and there alone

	Email         string `json:"email,omitempty"`
	EmailVerified bool   `json:"ev,omitempty"` // without it Email is a mere claim of the person
	Name          string `json:"name,omitempty"`
	Username      string `json:"user,omitempty"` // preferred_username: may change, may be given to another

	// Groups are as the issuer wrote them, each once, in its order; none begins
	// with a prefix that the policy keeps for itself.
	Groups []string `json:"groups,omitempty"`

	// GroupsOverage says that the issuer left the groups out because there are too many.
	GroupsOverage bool `json:"over,omitempty"`

	Expiry time.Time `json:"exp"` // of the ID token

	// Untrusted says that the issuer gives tokens to anybody, as far as is known
	// here (Bearer.Require is empty): such a principal has its groups, and does not
	// count as somebody who is signed in. Nobody who logged in is.
	Untrusted bool `json:"unvouched,omitempty"`
}

// The reasons that GroupDropped is told.
const (
	droppedReserved  = "reserved"
	droppedMalformed = "malformed"
)

// principal reads who the claims are about. Whether they may be believed is for
// check to say.
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
		if wellFormed(text) { // else as if it were not there: a mended name is another's name
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

// subject is what makes a principal: OpenID Connect Core 1.0, section 2, allows
// it 255 ASCII characters.
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

// filterGroups drops the groups that nobody may bring along, and repetitions: Dex with
// teamNameField "both" sends a team twice whose name is its slug.
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

// isReserved reports whether a group could be taken for a role, a user or a
// system subject. The policy compares exactly; blanks, invisible characters and
// case are allowed for here so that no later reader's leniency opens a door.
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

// wellFormed reports whether a text is safe in a header, a log line and a policy
// row: no control characters, and nothing that encoding/json had to replace.
func wellFormed(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}
