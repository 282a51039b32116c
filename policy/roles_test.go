package policy_test

import (
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/policytest"
)

func TestRolesOfAUser(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, policytest.EverySubject)
	for _, c := range []struct {
		name string
		who  policy.Identity
		want string
	}{
		{"anonymous", policy.Identity{Anonymous: true}, "out"},
		{"anonymous with other fields", policy.Identity{Anonymous: true, Email: "alice@example.com", Groups: []string{"example-org:argo"}, Roles: []string{"role:admin"}}, "out"},
		{"a user without groups", policy.Identity{}, "in"},
		{"a member of a team", policy.Identity{Groups: []string{"example-org:argo"}}, "argo org in"},
		{"a member of another team", policy.Identity{Groups: []string{"example-org:dev"}}, "org in"},
		{"a part of a team", policy.Identity{Groups: []string{"example-org:argo:night"}}, "org sub in"},
		{"the organisation alone", policy.Identity{Groups: []string{"example-org", "example-org:"}}, "in"},
		{"another organisation", policy.Identity{Groups: []string{"example-organics:argo", "xexample-org:argo"}}, "in"},
		{"a role by organisation", policy.Identity{Groups: []string{"other-org:x"}}, "viewer in"},
		{"groups are case-sensitive", policy.Identity{Groups: []string{"Example-Org:argo", "example-org:Argo"}}, "org in"},
		{"an e-mail address", policy.Identity{Email: "alice@example.com"}, "alice in"},
		{"an e-mail address in other letters", policy.Identity{Email: "ALICE@Example.com"}, "alice in"},
		{"a row in other letters", policy.Identity{Email: "bob@example.com"}, "admin viewer in"},
		{"letters beyond ASCII stay", policy.Identity{Email: "alıce@example.com"}, "in"},
		{"a group like an address is no address", policy.Identity{Email: "boss@example.com"}, "in"},
		{"an address as a group", policy.Identity{Groups: []string{"boss@example.com"}}, "admin viewer in"},

		{"an address of a domain", policy.Identity{Email: "eve@corp.example"}, "viewer corp in"},
		{"an address of a domain in other letters", policy.Identity{Email: "Eve@CORP.Example"}, "viewer corp in"},
		{"a domain of a second script", policy.Identity{Email: "eve@bücher.example"}, "idn in"},
		{"the same in its other form", policy.Identity{Email: "eve@xn--bcher-kva.example"}, "in"},
		{"a subdomain", policy.Identity{Email: "eve@sub.corp.example"}, "in"},
		{"a domain that ends alike", policy.Identity{Email: "eve@evilcorp.example"}, "in"},
		{"a domain that begins alike", policy.Identity{Email: "eve@corp.example.evil"}, "in"},
		{"a domain with a dot after it", policy.Identity{Email: "eve@corp.example."}, "in"},
		{"two domains", policy.Identity{Email: "eve@evil.example@corp.example"}, "in"},
		{"two domains, quoted", policy.Identity{Email: `"eve@evil.example"@corp.example`}, "in"},
		{"two domains, the other way round", policy.Identity{Email: "eve@corp.example@evil.example"}, "in"},
		{"a domain without a name", policy.Identity{Email: "@corp.example"}, "in"},
		{"a domain alone", policy.Identity{Email: "corp.example"}, "in"},
		{"a domain with a space", policy.Identity{Email: "eve@corp.example "}, "in"},
		{"a second @ that is none", policy.Identity{Email: "eve@evil.example＠corp.example"}, "in"},
		{"a group like a domain", policy.Identity{Groups: []string{"user:*@corp.example", "*@corp.example", "eve@corp.example"}}, "in"},
		{"anonymous with an address", policy.Identity{Anonymous: true, Email: "eve@corp.example"}, "out"},
		{"an address of a domain, unvouched", policy.Identity{Untrusted: true, Email: "eve@corp.example"}, "viewer corp"},

		{"a group like a role", policy.Identity{Groups: []string{"role:admin"}}, "in"},
		{"a group like a user", policy.Identity{Groups: []string{"user:alice@example.com"}}, "in"},
		{"a group like the system", policy.Identity{Groups: []string{"system:anonymous"}}, "in"},
		{"an address like a role", policy.Identity{Email: "role:admin"}, "in"},
		{"an address like a user", policy.Identity{Email: "user:alice@example.com"}, "in"},
		{"no address", policy.Identity{Email: "@"}, "in"},
		{"an empty group", policy.Identity{Groups: []string{"", ":", ":x"}}, "in"},

		{"a role in a dry run", policy.Identity{Roles: []string{"role:viewer"}}, "viewer"},
		{"a role that inherits", policy.Identity{Roles: []string{"role:admin"}}, "admin viewer"},
		{"a role that is none", policy.Identity{Roles: []string{"admin", "example-org:argo", "role:unknown", ""}}, ""},
		{"a role and a group", policy.Identity{Roles: []string{"role:viewer"}, Groups: []string{"x"}}, "viewer in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var open []string
			for name := range strings.FieldsSeq("admin viewer argo org sub alice corp idn in out") {
				if policytest.Ask(t, s, c.who, "GET u:/"+name).Allowed() {
					open = append(open, name)
				}
			}
			if got := strings.Join(open, " "); got != c.want {
				t.Errorf("%+v opens %q, want %q", c.who, got, c.want)
			}
		})
	}
}

func TestNamesAreRolesAndSorted(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, policytest.EverySubject)
	got := strings.Join(s.Resolve(policy.Identity{Email: "bob@example.com", Groups: []string{"example-org:argo"}}).Names(), " ")
	if got != "role:admin role:viewer" {
		t.Errorf("got %q", got)
	}
	if got := (policy.Roles{}).Names(); got != nil {
		t.Errorf("the zero Roles has roles %q", got)
	}
}

func TestAChainOfTenRolesHolds(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, sound+chainOf(10))
	if got := policytest.DecisionText(policytest.Ask(t, s, policy.Identity{Groups: []string{"a"}}, "GET argocd:/")); got != "allow policy.csv:1" {
		t.Errorf("the end of the chain says %s", got)
	}
}

func TestARoleReachedOverTwoWaysIsNoCircle(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, sound+"g, a, role:l\ng, a, role:r\ng, role:l, role:viewer\ng, role:r, role:viewer\n")
	if got := policytest.DecisionText(policytest.Ask(t, s, policy.Identity{Groups: []string{"a"}}, "GET argocd:/")); got != "allow policy.csv:1" {
		t.Errorf("got %s", got)
	}
}
