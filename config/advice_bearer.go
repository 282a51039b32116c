package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// sharedIssuer gives tokens to people of everywhere: the issuer alone says nothing
// about whose job or project it is.
type sharedIssuer struct {
	url    string
	owners []string // claims that say whose a token is, and are never given to another
	names  []string // claims that say it too, by a name that somebody else may get later
}

func sharedIssuers() []sharedIssuer {
	return []sharedIssuer{
		{
			// An enterprise has an issuer of its own beneath this one, if it wants to.
			url:    "https://token.actions.githubusercontent.com",
			owners: []string{"repository_owner_id", "repository_id", "enterprise_id"},
			names:  []string{"repository_owner", "repository", "enterprise", "job_workflow_ref", "workflow_ref", "sub"},
		},
		{
			url:    "https://gitlab.com",
			owners: []string{"namespace_id", "project_id"},
			names:  []string{"namespace_path", "project_path", "ci_config_ref_uri", "sub"},
		},
	}
}

// adviceOnBearers is about tokens that say less than one would think.
func (c *Config) adviceOnBearers() (advice []string) {
	for i, b := range c.Bearer {
		if b.Issuer == c.Issuer.URL {
			continue // its people are those who log in
		}
		at := fmt.Sprintf("bearer[%d] (%s)", i, b.Issuer)
		for _, found := range slices.Concat(b.adviceOnOwner(), b.adviceOnRequire(), b.adviceOnActions(), b.adviceOnNames()) {
			advice = append(advice, at+" "+found)
		}
	}
	return append(advice, c.adviceOnSharedGroups()...)
}

func (b Bearer) adviceOnOwner() []string {
	i := slices.IndexFunc(sharedIssuers(), func(s sharedIssuer) bool { return s.url == strings.TrimSuffix(b.Issuer, "/") })
	required := func(claim string) bool { return len(b.Require[claim]) > 0 }
	if i < 0 {
		if len(b.Require) > 0 {
			return nil
		}
		return []string{"has no require: whoever gets a token there, for an audience that anybody can ask for, is let in with its groups, " +
			"though not as system:authenticated; add require, with a claim that only tokens of yours have"}
	}
	s := sharedIssuers()[i]
	switch {
	case slices.ContainsFunc(s.owners, required):
		return nil
	case slices.ContainsFunc(s.names, required):
		return []string{"requires a name and no id: names are given to others, once their owner is renamed or gone; add one of " + list(s.owners) + " to require"}
	}
	return []string{"has no condition on the owner: anybody in the world gets a token there, for any audience; add one of " + list(s.owners) + " to require"}
}

func (b Bearer) adviceOnRequire() (advice []string) {
	for _, claim := range slices.Sorted(maps.Keys(b.Require)) {
		if slices.ContainsFunc(b.Require[claim], func(v string) bool { return strings.Contains(v, "*") }) {
			advice = append(advice, "requires a "+claim+" with a *, which stands for itself alone: values are compared, they are no patterns; write out the values, or require another claim")
		}
	}
	if strings.HasPrefix(b.Issuer, "http:") {
		advice = append(advice, "is http: whoever is on the way to it can put keys of its own in place of the issuer's; write https")
	}
	return advice
}

// adviceOnActions knows what of a token of GitHub Actions is chosen by whom.
func (b Bearer) adviceOnActions() (advice []string) {
	if !isActions(b.Issuer) {
		return nil
	}
	uses := func(claim string) bool {
		return len(b.Require[claim]) > 0 || slices.ContainsFunc(b.Groups, func(t Template) bool { return slices.Contains(t.claims(), claim) })
	}
	if uses("sub") {
		advice = append(advice, "uses sub in require or groups: GitHub has no one form for it (renamed, moved and new repositories have ids in it, and owners can change all of it); "+
			"use the claims that it is made of, such as repository_id, ref and environment")
	}
	if uses("ref") && !uses("event_name") && !uses("environment") {
		advice = append(advice, "uses ref and looks at neither event_name nor environment: jobs that outsiders set off (pull_request_target, issue_comment, workflow_run) "+
			"and closed pull requests have the ref of the main branch too; add event_name: [push, workflow_dispatch] to require")
	}
	return advice
}

func isActions(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && (u.Hostname() == "token.actions.githubusercontent.com" ||
		strings.HasPrefix(u.Hostname(), "token.actions.") && strings.HasSuffix(u.Hostname(), ".ghe.com") ||
		strings.HasSuffix(u.Path, "/_services/token"))
}

// adviceOnNames is about tokens that would look like people.
func (b Bearer) adviceOnNames() (advice []string) {
	for _, t := range b.Groups {
		if t[0].Text == "" {
			advice = append(advice, "makes the group "+quote(t.String())+", which begins with what the token says: it may be a group that people have; "+
				`begin it with a word of its own, such as "ci:`+t.String()+`"`)
		}
	}
	if slices.Contains([]string{"actor", "email", "name", "preferred_username", "user_email", "user_login", "nickname"}, b.SubjectClaim) {
		advice = append(advice, "takes "+b.SubjectClaim+" for the holder: an upstream that is told X-Forwarded-User may take a job for the person; write subjectClaim: sub")
	}
	return advice
}

// adviceOnSharedGroups is about groups that tokens of two issuers could both have.
func (c *Config) adviceOnSharedGroups() (advice []string) {
	first := make(map[string]string) // text in front of the first claim → issuer
	for i, b := range c.Bearer {
		for _, t := range b.Groups {
			front := t[0].Text
			other, taken := first[front]
			switch {
			case front == "": // which is told above
			case !taken:
				first[front] = b.Issuer
			case other != b.Issuer:
				advice = append(advice, fmt.Sprintf("bearer[%d] (%s) makes groups that begin with %s, and so does %s: "+
					"a policy cannot tell the two apart; give each a word of its own", i, b.Issuer, quote(front), other))
				first[front] = b.Issuer
			}
		}
	}
	return advice
}
