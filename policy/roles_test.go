package policy_test

import (
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
)

func TestWhoSomebodyIs(t *testing.T) {
	t.Parallel()
	s := load(t, everybody)
	for _, c := range []struct {
		name string
		who  policy.Who
		want string
	}{
		{"nobody", policy.Who{Anonymous: true}, "out"},
		{"nobody who says more", policy.Who{Anonymous: true, Email: "alice@example.com", Groups: []string{"example-org:argo"}, Roles: []string{"role:admin"}}, "out"},
		{"somebody without groups", policy.Who{}, "in"},
		{"a member of a team", policy.Who{Groups: []string{"example-org:argo"}}, "argo org in"},
		{"a member of another team", policy.Who{Groups: []string{"example-org:dev"}}, "org in"},
		{"a part of a team", policy.Who{Groups: []string{"example-org:argo:night"}}, "org sub in"},
		{"the organisation alone", policy.Who{Groups: []string{"example-org", "example-org:"}}, "in"},
		{"another organisation", policy.Who{Groups: []string{"example-organics:argo", "xexample-org:argo"}}, "in"},
		{"a role by organisation", policy.Who{Groups: []string{"other-org:x"}}, "viewer in"},
		{"groups are case-sensitive", policy.Who{Groups: []string{"Example-Org:argo", "example-org:Argo"}}, "org in"},
		{"an e-mail address", policy.Who{Email: "alice@example.com"}, "alice in"},
		{"an e-mail address in other letters", policy.Who{Email: "ALICE@Example.com"}, "alice in"},
		{"a row in other letters", policy.Who{Email: "bob@example.com"}, "admin viewer in"},
		{"letters beyond ASCII stay", policy.Who{Email: "alıce@example.com"}, "in"},
		{"a group like an address is no address", policy.Who{Email: "boss@example.com"}, "in"},
		{"an address as a group", policy.Who{Groups: []string{"boss@example.com"}}, "admin viewer in"},

		{"an address of a domain", policy.Who{Email: "eve@corp.example"}, "viewer corp in"},
		{"an address of a domain in other letters", policy.Who{Email: "Eve@CORP.Example"}, "viewer corp in"},
		{"a domain of a second script", policy.Who{Email: "eve@bücher.example"}, "idn in"},
		{"the same in its other form", policy.Who{Email: "eve@xn--bcher-kva.example"}, "in"},
		{"a subdomain", policy.Who{Email: "eve@sub.corp.example"}, "in"},
		{"a domain that ends alike", policy.Who{Email: "eve@evilcorp.example"}, "in"},
		{"a domain that begins alike", policy.Who{Email: "eve@corp.example.evil"}, "in"},
		{"a domain with a dot behind it", policy.Who{Email: "eve@corp.example."}, "in"},
		{"two domains", policy.Who{Email: "eve@evil.example@corp.example"}, "in"},
		{"two domains, quoted", policy.Who{Email: `"eve@evil.example"@corp.example`}, "in"},
		{"two domains, the other way round", policy.Who{Email: "eve@corp.example@evil.example"}, "in"},
		{"a domain without a name", policy.Who{Email: "@corp.example"}, "in"},
		{"a domain alone", policy.Who{Email: "corp.example"}, "in"},
		{"a domain with a blank", policy.Who{Email: "eve@corp.example "}, "in"},
		{"a second @ that is none", policy.Who{Email: "eve@evil.example＠corp.example"}, "in"},
		{"a group like a domain", policy.Who{Groups: []string{"user:*@corp.example", "*@corp.example", "eve@corp.example"}}, "in"},
		{"nobody with an address", policy.Who{Anonymous: true, Email: "eve@corp.example"}, "out"},
		{"an address of a domain, unvouched", policy.Who{Unvouched: true, Email: "eve@corp.example"}, "viewer corp"},

		{"a group like a role", policy.Who{Groups: []string{"role:admin"}}, "in"},
		{"a group like a user", policy.Who{Groups: []string{"user:alice@example.com"}}, "in"},
		{"a group like the system", policy.Who{Groups: []string{"system:anonymous"}}, "in"},
		{"an address like a role", policy.Who{Email: "role:admin"}, "in"},
		{"an address like a user", policy.Who{Email: "user:alice@example.com"}, "in"},
		{"no address", policy.Who{Email: "@"}, "in"},
		{"an empty group", policy.Who{Groups: []string{"", ":", ":x"}}, "in"},

		{"a role in a dry run", policy.Who{Roles: []string{"role:viewer"}}, "viewer"},
		{"a role that inherits", policy.Who{Roles: []string{"role:admin"}}, "admin viewer"},
		{"a role that is none", policy.Who{Roles: []string{"admin", "example-org:argo", "role:nobody", ""}}, ""},
		{"a role and a group", policy.Who{Roles: []string{"role:viewer"}, Groups: []string{"x"}}, "viewer in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var open []string
			for name := range strings.FieldsSeq("admin viewer argo org sub alice corp idn in out") {
				if ask(t, s, c.who, "GET u:/"+name).Allowed() {
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
	s := load(t, everybody)
	got := strings.Join(s.Resolve(policy.Who{Email: "bob@example.com", Groups: []string{"example-org:argo"}}).Names(), " ")
	if got != "role:admin role:viewer" {
		t.Errorf("got %q", got)
	}
	if got := (policy.Roles{}).Names(); got != nil {
		t.Errorf("nobody has roles %q", got)
	}
}

func TestAChainOfTenRolesHolds(t *testing.T) {
	t.Parallel()
	s := load(t, sound+chainOf(10))
	if got := told(ask(t, s, policy.Who{Groups: []string{"a"}}, "GET argocd:/")); got != "allow policy.csv:1" {
		t.Errorf("the end of the chain says %s", got)
	}
}

func TestARoleReachedOverTwoWaysIsNoCircle(t *testing.T) {
	t.Parallel()
	s := load(t, sound+"g, a, role:l\ng, a, role:r\ng, role:l, role:viewer\ng, role:r, role:viewer\n")
	if got := told(ask(t, s, policy.Who{Groups: []string{"a"}}, "GET argocd:/")); got != "allow policy.csv:1" {
		t.Errorf("got %s", got)
	}
}
