package cases_test

import (
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/cases"
	"github.com/example-org/authgate/policy/policytest"
)

func TestAnInvariantKnowsTheUsersOfADomain(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, "p, user:*@x.com, argocd, /a, GET, allow\np, user:b@x.com, argocd, /b, GET, allow\np, user:c@sub.x.com, argocd, /c, GET, allow\n")
	for question, want := range map[string]string{
		"GET argocd:/a": "",
		"GET argocd:/b": "",
		"GET argocd:/c": "not only these may: user:c@sub.x.com may GET argocd:/c",
	} {
		text := "cases:\n- only: ['user:*@x.com', 'user:b@X.com']\n  allow: ['" + question + "']\n- only: ['user:*@X.com']\n  allow: ['" + question + "']\n"
		outcomes, _ := cases.Run(s, readCases(t, "c.yaml", text))
		for _, o := range outcomes {
			if o.Case.Pattern != "" && o.Failure != want {
				t.Errorf("%s, only %s: %q, want %q", question, strings.Join(o.Case.Only, " and "), o.Failure, want)
			}
		}
	}
}

func TestADomainInChains(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, "p, role:r, u, /, GET, allow\ng, user:*@x.com, role:r\n")
	for subject, want := range map[string]int{"user:a@x.com": 1, "user:*@x.com": 1, "user:a@sub.x.com": 0, "user:a@y@x.com": 0, "x.com": 0} {
		if chain := s.Chain(subject, "role:r"); len(chain) != want || want > 0 && chain[0].Member != "user:*@x.com" {
			t.Errorf("%s: %v", subject, chain)
		}
	}
	if unknown := s.Unknown("user:a@x.com", "user:*@X.com"); len(unknown) > 0 {
		t.Errorf("unknown: %v", unknown)
	}
	if got := s.Resolve(policy.Identity{Email: "A@X.com"}).Subjects(); strings.Join(got, " ") != "user:*@x.com" {
		t.Errorf("subjects %q", got)
	}
}
