package config

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// Bearer is an issuer whose tokens are accepted, in addition to those for Issuer.ClientID.
type Bearer struct {
	// exactly as iss; that of Issuer.URL for a further audience of it
	Issuer       string              `yaml:"issuer" is:"required"`
	Audience     string              `yaml:"audience" is:"required"`
	Require      map[string][]string `yaml:"require"` // claim → the values that will do
	SubjectClaim string              `yaml:"subjectClaim"`
	Groups       []GroupTemplate     `yaml:"groups"`
	CAFile       string              `yaml:"caFile" is:"file"` // empty: that of the issuer's other items
}

func checkBearers(bearers []Bearer, loginIssuer string, at yamlfile.Node) {
	seen := make(map[[2]string]bool)   // issuer and audience
	trusted := make(map[string]string) // issuer → caFile
	for i, b := range bearers {
		here := at.Item(i)
		b.check(here)
		if loginIssuer != "" && b.Issuer == loginIssuer {
			b.checkLoginIssuer(here)
		}
		pair := [2]string{b.Issuer, b.Audience}
		if b.Issuer != "" && b.Audience != "" && seen[pair] {
			here.Key("audience").AddFault("another item has the same issuer and audience",
				"make one of the two; a list in require is any of its values")
		}
		seen[pair] = true
		if b.CAFile != "" {
			b.checkCAs(loginIssuer, trusted, here.Key("caFile"))
		}
	}
}

// checkCAs wants one file for an issuer: its keys are fetched once, for all of its items.
func (b Bearer) checkCAs(own string, trusted map[string]string, at yamlfile.Node) {
	u, c := parseHTTPURL(b.Issuer, "")
	file := filepath.Clean(b.CAFile)
	before, named := trusted[b.Issuer]
	switch {
	case own != "" && b.Issuer == own:
		at.AddFault("is not for the issuer in issuer.url, which is trusted by issuer.caFile",
			"write the file in issuer.caFile, and leave caFile out here")
	case c.message == "" && u.Scheme != SchemeHTTPS:
		at.AddFault("is for https, and issuer begins with "+u.Scheme+":",
			"leave caFile out, or write https in issuer if its tokens have that as iss")
	case b.Issuer != "" && named && before != file:
		at.AddFault("is another file than an item above names for the same issuer",
			"name the same file in both, or leave caFile out of one of them")
	default:
		trusted[b.Issuer] = file
	}
}

func (b Bearer) check(at yamlfile.Node) {
	if b.Issuer == "" {
		at.Key("issuer").AddFault("is missing",
			"add what the tokens have as iss, such as https://token.actions.githubusercontent.com")
	} else if _, c := parseHTTPURL(b.Issuer, "https://token.actions.githubusercontent.com"); c.message != "" {
		c.addTo(at.Key("issuer")) // a trailing slash is part of some issuers' names
	}
	if b.Audience == "" {
		at.Key("audience").AddFault("is missing", "add what the tokens are asked for with, such as authgate")
	} else if strings.ContainsFunc(b.Audience, unicode.IsControl) {
		at.Key("audience").AddFault("has a control character, and no token would do",
			"write the audience alone, on one line")
	}
	for name, values := range b.Require {
		here := at.Key("require").Key(name)
		checkClaimName(name).addTo(here)
		if len(values) == 0 {
			here.AddFault("has no values, and no token would do", "list the values that will, or remove the line")
		}
	}
	checkClaimName(b.SubjectClaim).addTo(at.Key("subjectClaim"))
}

// checkLoginIssuer is for a further audience of the issuer at which people log in: its
// tokens identify a user as those of a login do.
func (b Bearer) checkLoginIssuer(at yamlfile.Node) {
	if len(b.Groups) > 0 {
		at.Key("groups").AddFault("is not for the issuer in issuer.url, whose tokens name groups in issuer.groupsClaim",
			"leave groups out")
	}
	if b.SubjectClaim != defaultSubjectClaim {
		at.Key("subjectClaim").AddFault("is not for the issuer in issuer.url, whose users are identified by sub",
			"leave subjectClaim out")
	}
}

// checkClaimName wants the name of a claim at the top level of a token. Names with dots
// exist, as URLs or after a slash; others with a dot are thought to be paths.
func checkClaimName(name string) problem {
	switch {
	case name == "":
		return problem{"names no claim", "write a claim of the token, such as sub"}
	case strings.ContainsFunc(name, unicode.IsControl):
		return problem{"the claim " + text.Quote(name) + " has control characters in it", "take them out"}
	case strings.TrimSpace(name) != name:
		return problem{
			"the claim " + text.Quote(name) + " has spaces around it",
			"write " + text.Quote(strings.TrimSpace(name)),
		}
	case strings.Contains(name, ".") && !strings.ContainsAny(name, "/:"):
		return problem{
			text.Quote(name) + " is a path into a claim, and only strings, numbers, true and false at the top level " +
				"of a token are read",
			"write the name of such a claim; in a token of Kubernetes, sub says system:serviceaccount:NAMESPACE:NAME",
		}
	}
	return problem{}
}

// GroupTemplate is how a group is made of claims: its pieces, one after the other.
type GroupTemplate []TemplatePart

// TemplatePart is a text, followed by the value of a claim; an empty Claim is none.
type TemplatePart struct{ Text, Claim string }

// String is the template as it is written.
func (t GroupTemplate) String() string {
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
func (t GroupTemplate) claims() []string {
	var names []string
	for _, p := range t {
		if p.Claim != "" {
			names = append(names, p.Claim)
		}
	}
	return names
}

func parseGroupTemplate(s string) (GroupTemplate, problem) {
	switch {
	case s == "":
		return nil, problem{"is empty", `write a group such as "ci:{repository}", or remove it`}
	case strings.ContainsFunc(s, unicode.IsControl):
		return nil, problem{"has control characters in it, and tokens bring no such group", "take them out"}
	case strings.TrimSpace(s) != s:
		return nil, problem{"has spaces around it", "write " + text.Quote(strings.TrimSpace(s))}
	}
	var t GroupTemplate
	for rest := s; rest != ""; {
		text, after, opened := strings.Cut(rest, "{")
		claim, next, closed := strings.Cut(after, "}")
		switch {
		case strings.Contains(text, "}"):
			return nil, problem{"has a } without a {", `write {claim} for the value of a claim`}
		case opened && (!closed || strings.Contains(claim, "{")):
			return nil, problem{"has a { without a }", `write {claim} for the value of a claim`}
		case opened:
			if c := checkClaimName(claim); c.message != "" {
				return nil, c
			}
		}
		t = append(t, TemplatePart{text, claim})
		rest = next
	}
	if word, _, colon := strings.Cut(t[0].Text, ":"); colon &&
		slices.Contains([]string{"role", "user", "system"}, strings.ToLower(strings.TrimSpace(word))) {
		return nil, problem{
			"begins with " + text.Quote(word+":") + ", which is authgate's own: no token brings such a group",
			"write another word in front, such as ci:, and a g row in the policy that makes its holders " +
				"members of a role",
		}
	}
	return t, problem{}
}
