package config

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// Bearer is an issuer whose tokens are accepted, beside those for Issuer.ClientID.
type Bearer struct {
	Issuer       string              `yaml:"issuer" is:"required"` // exactly as iss; that of Issuer.URL for a further audience of it
	Audience     string              `yaml:"audience" is:"required"`
	Require      map[string][]string `yaml:"require"` // claim → the values that will do
	SubjectClaim string              `yaml:"subjectClaim"`
	Groups       []Template          `yaml:"groups"`
	CAFile       string              `yaml:"caFile" is:"file"` // empty: that of the issuer's other items
}

func checkBearers(bearers []Bearer, own string, at place) {
	taken := make(map[[2]string]bool)  // issuer and audience
	trusted := make(map[string]string) // issuer → caFile
	for i, b := range bearers {
		here := at.item(i)
		b.check(here)
		if own != "" && b.Issuer == own {
			b.checkOwn(here)
		}
		pair := [2]string{b.Issuer, b.Audience}
		if b.Issuer != "" && b.Audience != "" && taken[pair] {
			here.key("audience").fault("another item has the same issuer and audience", "make one of the two; a list in require is any of its values")
		}
		taken[pair] = true
		if b.CAFile != "" {
			b.checkCAs(own, trusted, here.key("caFile"))
		}
	}
}

// checkCAs wants one file for an issuer: its keys are fetched once, for all of its items.
func (b Bearer) checkCAs(own string, trusted map[string]string, at place) {
	u, c := parseHTTP(b.Issuer, "")
	file := filepath.Clean(b.CAFile)
	before, named := trusted[b.Issuer]
	switch {
	case own != "" && b.Issuer == own:
		at.fault("is not for the issuer in issuer.url, which is trusted by issuer.caFile",
			"write the file in issuer.caFile, and leave caFile out here")
	case c.what == "" && u.Scheme != SchemeHTTPS:
		at.fault("is for https, and issuer begins with "+u.Scheme+":",
			"leave caFile out, or write https in issuer if its tokens have that as iss")
	case b.Issuer != "" && named && before != file:
		at.fault("is another file than an item above names for the same issuer",
			"name the same file in both, or leave caFile out of one of them")
	default:
		trusted[b.Issuer] = file
	}
}

func (b Bearer) check(at place) {
	if b.Issuer == "" {
		at.key("issuer").fault("is missing", "add what the tokens have as iss, such as https://token.actions.githubusercontent.com")
	} else if _, c := parseHTTP(b.Issuer, "https://token.actions.githubusercontent.com"); c.what != "" {
		at.key("issuer").complain(c) // a slash at its end is the issuer's affair: some are called so
	}
	if b.Audience == "" {
		at.key("audience").fault("is missing", "add what the tokens are asked for with, such as authgate")
	} else if strings.ContainsFunc(b.Audience, unicode.IsControl) {
		at.key("audience").fault("has a control character, and no token would do", "write the audience alone, on one line")
	}
	for name, values := range b.Require {
		here := at.key("require").key(name)
		here.complain(checkClaim(name))
		if len(values) == 0 {
			here.fault("has no values, and no token would do", "list the values that will, or remove the line")
		}
	}
	at.key("subjectClaim").complain(checkClaim(b.SubjectClaim))
}

// checkOwn is for a further audience of the issuer at which people log in: its
// tokens say who somebody is as those of a login do.
func (b Bearer) checkOwn(at place) {
	if len(b.Groups) > 0 {
		at.key("groups").fault("is not for the issuer in issuer.url, whose tokens name groups in issuer.groupsClaim", "leave groups out")
	}
	if b.SubjectClaim != defaultBearer().SubjectClaim {
		at.key("subjectClaim").fault("is not for the issuer in issuer.url, of which people are known by sub", "leave subjectClaim out")
	}
}

// checkClaim wants the name of a claim at the top level of a token. Names with dots
// exist, as URLs or behind a slash; others with a dot are thought to be paths.
func checkClaim(name string) complaint {
	switch {
	case name == "":
		return complaint{"names no claim", "write a claim of the token, such as sub"}
	case strings.ContainsFunc(name, unicode.IsControl):
		return complaint{"the claim " + quote(name) + " has control characters in it", "take them out"}
	case strings.TrimSpace(name) != name:
		return complaint{"the claim " + quote(name) + " has blanks around it", "write " + quote(strings.TrimSpace(name))}
	case strings.Contains(name, ".") && !strings.ContainsAny(name, "/:"):
		return complaint{
			quote(name) + " is a path into a claim, and only strings, numbers, true and false at the top level of a token are read",
			"write the name of such a claim; in a token of Kubernetes, sub says system:serviceaccount:NAMESPACE:NAME",
		}
	}
	return complaint{}
}

// Template is how a group is made of claims: its pieces, one behind the other.
type Template []Piece

// Piece is a text, and behind it the value of a claim; an empty Claim is none.
type Piece struct{ Text, Claim string }

// String is the template as it is written.
func (t Template) String() string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.Text)
		if p.Claim != "" {
			b.WriteString("{" + p.Claim + "}")
		}
	}
	return b.String()
}

// claims lists the claims that a template needs.
func (t Template) claims() []string {
	var names []string
	for _, p := range t {
		if p.Claim != "" {
			names = append(names, p.Claim)
		}
	}
	return names
}

func parseTemplate(s string) (Template, complaint) {
	switch {
	case s == "":
		return nil, complaint{"is empty", `write a group such as "ci:{repository}", or remove it`}
	case strings.ContainsFunc(s, unicode.IsControl):
		return nil, complaint{"has control characters in it, and tokens bring no such group", "take them out"}
	case strings.TrimSpace(s) != s:
		return nil, complaint{"has blanks around it", "write " + quote(strings.TrimSpace(s))}
	}
	var t Template
	for rest := s; rest != ""; {
		text, after, opened := strings.Cut(rest, "{")
		claim, next, closed := strings.Cut(after, "}")
		switch {
		case strings.Contains(text, "}"):
			return nil, complaint{"has a } without a {", `write {claim} for the value of a claim`}
		case opened && (!closed || strings.Contains(claim, "{")):
			return nil, complaint{"has a { without a }", `write {claim} for the value of a claim`}
		case opened:
			if c := checkClaim(claim); c.what != "" {
				return nil, c
			}
		}
		t = append(t, Piece{text, claim})
		rest = next
	}
	if word, _, colon := strings.Cut(t[0].Text, ":"); colon && slices.Contains([]string{"role", "user", "system"}, strings.ToLower(strings.TrimSpace(word))) {
		return nil, complaint{
			"begins with " + quote(word+":") + ", which is authgate's own: no token brings such a group",
			"write another word in front, such as ci:, and a g row in the policy that makes its holders members of a role",
		}
	}
	return t, complaint{}
}
