package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/example-org/authgate/text"
)

// publicIssuer gives tokens to people of everywhere: the issuer alone says nothing
// about whose job or project it is.
type publicIssuer struct {
	url             string
	ownerIDClaims   []string // claims that say whose a token is, and are never given to another
	ownerNameClaims []string // claims that say it too, by a name that another user may get later
}

func publicIssuers() []publicIssuer {
	return []publicIssuer{
		{
			// An enterprise has an issuer of its own beneath this one, if it wants to.
			url:           "https://token.actions.githubusercontent.com",
			ownerIDClaims: []string{"repository_owner_id", "repository_id", "enterprise_id"},
			ownerNameClaims: []string{
				"repository_owner", "repository", "enterprise", "job_workflow_ref",
				"workflow_ref", "sub",
			},
		},
		{
			url:             "https://gitlab.com",
			ownerIDClaims:   []string{"namespace_id", "project_id"},
			ownerNameClaims: []string{"namespace_path", "project_path", "ci_config_ref_uri", "sub"},
		},
	}
}

// bearerWarnings is about tokens that say less than one would think.
func (c *Config) bearerWarnings() (warnings []string) {
	for i, b := range c.Bearer {
		if b.Issuer == c.Issuer.URL {
			continue // its people are those who log in
		}
		at := fmt.Sprintf("bearer[%d] (%s)", i, b.Issuer)
		for _, warning := range slices.Concat(b.ownerWarnings(), b.requireWarnings(), b.githubActionsWarnings(),
			b.nameWarnings()) {
			warnings = append(warnings, at+" "+warning)
		}
	}
	return append(warnings, c.sharedGroupWarnings()...)
}

func (b Bearer) ownerWarnings() []string {
	i := slices.IndexFunc(publicIssuers(),
		func(s publicIssuer) bool { return s.url == strings.TrimSuffix(b.Issuer, "/") })
	required := func(claim string) bool { return len(b.Require[claim]) > 0 }
	if i < 0 {
		if len(b.Require) > 0 {
			return nil
		}
		return []string{"has no require: every holder of a token from there, for an audience that anyone can " +
			"request, is admitted with its groups, " +
			"though not as system:authenticated; add require, with a claim that only tokens of yours have"}
	}
	s := publicIssuers()[i]
	switch {
	case slices.ContainsFunc(s.ownerIDClaims, required):
		return nil
	case slices.ContainsFunc(s.ownerNameClaims, required):
		return []string{"requires a name and no id: names are given to others, once their owner is renamed or gone; " +
			"add one of " + text.JoinOr(s.ownerIDClaims) + " to require"}
	}
	return []string{"has no condition on the owner: anyone in the world gets a token there, for any audience; " +
		"add one of " + text.JoinOr(s.ownerIDClaims) + " to require"}
}

func (b Bearer) requireWarnings() (warnings []string) {
	for _, claim := range slices.Sorted(maps.Keys(b.Require)) {
		if slices.ContainsFunc(b.Require[claim], func(v string) bool { return strings.Contains(v, "*") }) {
			warnings = append(warnings,
				"requires a "+claim+" with a *, which stands for itself alone: values are compared, they are no "+
					"patterns; write out the values, or require another claim")
		}
	}
	if strings.HasPrefix(b.Issuer, "http:") {
		warnings = append(warnings, "is http: an attacker on the network can replace the issuer's keys; write https")
	}
	return warnings
}

// githubActionsWarnings knows what of a token of GitHub Actions is chosen by whom.
func (b Bearer) githubActionsWarnings() (warnings []string) {
	if !isGitHubActions(b.Issuer) {
		return nil
	}
	uses := func(claim string) bool {
		return len(b.Require[claim]) > 0 ||
			slices.ContainsFunc(b.Groups, func(t GroupTemplate) bool { return slices.Contains(t.claims(), claim) })
	}
	if uses("sub") {
		warnings = append(warnings,
			"uses sub in require or groups: GitHub has no one form for it (renamed, moved and new repositories have "+
				"ids in it, and owners can change all of it); "+
				"use the claims that it is made of, such as repository_id, ref and environment")
	}
	if uses("ref") && !uses("event_name") && !uses("environment") {
		warnings = append(warnings,
			"uses ref and looks at neither event_name nor environment: jobs that outsiders set off "+
				"(pull_request_target, issue_comment, workflow_run) "+
				"and closed pull requests have the ref of the main branch too; add event_name: [push, "+
				"workflow_dispatch] to require")
	}
	return warnings
}

func isGitHubActions(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && (u.Hostname() == "token.actions.githubusercontent.com" ||
		strings.HasPrefix(u.Hostname(), "token.actions.") && strings.HasSuffix(u.Hostname(), ".ghe.com") ||
		strings.HasSuffix(u.Path, "/_services/token"))
}

// nameWarnings is about tokens that would look like people.
func (b Bearer) nameWarnings() (warnings []string) {
	for _, t := range b.Groups {
		if t[0].Text == "" {
			warnings = append(warnings,
				"makes the group "+text.Quote(t.String())+", which begins with what the token says: it may be a "+
					"group that people have; "+
					`begin it with a word of its own, such as "ci:`+t.String()+`"`)
		}
	}
	if slices.Contains([]string{"actor", "email", "name", "preferred_username", "user_email", "user_login", "nickname"},
		b.SubjectClaim) {
		warnings = append(warnings,
			"takes "+b.SubjectClaim+" for the holder: an upstream that reads X-Forwarded-User may mistake a job for "+
				"the user; write subjectClaim: sub")
	}
	return warnings
}

// sharedGroupWarnings is about groups that tokens of two issuers could both have.
func (c *Config) sharedGroupWarnings() (warnings []string) {
	first := make(map[string]string) // text in front of the first claim → issuer
	for i, b := range c.Bearer {
		for _, t := range b.Groups {
			prefix := t[0].Text
			other, seen := first[prefix]
			switch {
			case prefix == "": // which is reported above
			case !seen:
				first[prefix] = b.Issuer
			case other != b.Issuer:
				warnings = append(warnings,
					fmt.Sprintf("bearer[%d] (%s) makes groups that begin with %s, and so does %s: "+
						"a policy cannot tell the two apart; give each a word of its own", i, b.Issuer, text.Quote(prefix),
						other))
				first[prefix] = b.Issuer
			}
		}
	}
	return warnings
}
