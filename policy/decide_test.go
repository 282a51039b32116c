package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/policytest"
	"github.com/example-org/authgate/target"
)

func TestTheDocumentedPolicyDecidesAsDocumented(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, policytest.Example)
	if s.RowCount() != 7 {
		t.Errorf("%d rows, want 7", s.RowCount())
	}
	argo := policy.Identity{Groups: []string{"example-org:argo"}, Email: "alice@example.com"}
	dev := policy.Identity{Groups: []string{"example-org:dev"}}
	anonymous := policy.Identity{Anonymous: true}
	for _, c := range []struct {
		who            policy.Identity
		question, want string
	}{
		{argo, "GET argocd:/api/v1/applications", "allow policy.csv:2"},
		{argo, "POST argocd:/api/v1/applications/shop/sync", "allow policy.csv:3"},
		{argo, "DELETE workflows:/anything", "allow policy.csv:3"},
		{dev, "GET argocd:/api/v1/applications/shop", "allow policy.csv:2"},
		{dev, "HEAD argocd:/api/v1/applications", "allow policy.csv:2"},
		{dev, "POST argocd:/api/v1/applications/shop/sync", "deny"},
		{dev, "GET workflows:/", "deny"},
		{dev, "POST argocd:/api/webhook", "deny"},
		{anonymous, "POST argocd:/api/webhook", "allow policy.csv:5"},
		{anonymous, "GET argocd:/api/v1/applications", "deny"},
		{policy.Identity{Roles: []string{"role:frozen"}}, "POST argocd:/api/v1/applications/shop/sync", "deny policy.csv:4"},
	} {
		if got := policytest.DecisionText(policytest.Ask(t, s, c.who, c.question)); got != c.want {
			t.Errorf("%+v: %s: %s, want %s", c.who, c.question, got, c.want)
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pattern, matches, misses string }{
		{"/", "/", "/a /a/"},
		{"/a", "/a", "/ /a/ /A /ab /a/b"},
		{"/a/", "/a/", "/a /a/b"},
		{"/*", "/a /* /%2A /a%2Fb", "/ /a/ /a/b"},
		{"/a/*", "/a/b", "/a /a/ /a/b/ /a/b/c"},
		{"/*/", "/a/", "/ /a /a/b"},
		{"/a/*/c", "/a/b/c", "/a/c /a/b/b/c /a/b/c/"},
		{"/**", "/ /a /a/ /a/b/c /a/b/", ""},
		{"/a/**", "/a /a/ /a/b /a/b/ /a/b/c", "/ /ab /b /A"},
		{"/a/*/**", "/a/b /a/b/ /a/b/c", "/a /a/"},
		{"/team-*", "/team- /team-a /team-a-b", "/team /team-/ /team-a/b /ateam-"},
		{"/*.js", "/.js /a.js /a.b.js /.js.js", "/js /a.jsx /a.js/"},
		{"/a*b*c", "/abc /axbxc /abbcc /abcbc", "/ac /acb /abcd /ab"},
		{"/*a*", "/a /bab", "/ /b"},
		{"/x%2Fy", "/x%2Fy", "/x/y"},
		{"/x*y", "/x%2Fy", "/x/y"},
		// An escape is one character: no part of it matches by itself.
		{"/*F", "/F /%3FF", "/%3F"},
		{"/*3*", "/3 /%3A3", "/%3A"},
		{"/*A*F", "/AF /%3AAF", "/%3AF /A%3F"},
		{"/job:*", "/job:stop", "/jobs /job%3Astop"},
		{"/c++", "/c++", "/c /cc"},
		{"/a.b", "/a.b", "/axb"},
	} {
		s := policytest.Load(t, "p, a, u, "+c.pattern+", GET, allow")
		for raw := range strings.FieldsSeq(c.matches) {
			if !policytest.Ask(t, s, policy.Identity{Groups: []string{"a"}}, "GET u:"+raw).Allowed() {
				t.Errorf("%s does not match %s", c.pattern, raw)
			}
		}
		for raw := range strings.FieldsSeq(c.misses) {
			if policytest.Ask(t, s, policy.Identity{Groups: []string{"a"}}, "GET u:"+raw).Allowed() {
				t.Errorf("%s matches %s", c.pattern, raw)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ methods, covered, others string }{
		{"GET", "GET HEAD", "get POST GET|POST * OPTIONS"},
		{"HEAD", "HEAD", "GET"},
		{"POST", "POST", "GET HEAD post"},
		{"PUT|GET|PATCH", "PUT GET HEAD PATCH", "POST PUT|GET DELETE"},
		{"*", "GET HEAD get * GET|POST M-SEARCH $$PUT", ""},
	} {
		s := policytest.Load(t, "p, a, u, /, "+c.methods+", allow")
		for method := range strings.FieldsSeq(c.covered) {
			if !policytest.Ask(t, s, policy.Identity{Groups: []string{"a"}}, method+" u:/").Allowed() {
				t.Errorf("%s does not cover %s", c.methods, method)
			}
		}
		for method := range strings.FieldsSeq(c.others) {
			if policytest.Ask(t, s, policy.Identity{Groups: []string{"a"}}, method+" u:/").Allowed() {
				t.Errorf("%s covers %s", c.methods, method)
			}
		}
	}
}

func TestDenyWinsWhereverItStands(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, `
p, example-org:ops, argocd, /**, *, allow
p, role:late, argocd, /x/**, *, allow
p, example-org:frozen, argocd, /x, GET, deny
p, role:late, *, /x, *, deny
p, role:late, argocd, /x, GET, deny
g, example-org:dev, role:late
`)
	for _, c := range []struct{ groups, question, want string }{
		{"ops", "GET argocd:/x", "allow policy.csv:2"},
		{"ops dev", "GET argocd:/x", "deny policy.csv:5"},
		{"dev ops frozen", "HEAD argocd:/x", "deny policy.csv:4"},
		{"dev", "PUT argocd:/x/y", "allow policy.csv:3"},
		{"dev ops", "PUT argocd:/x/y", "allow policy.csv:2"},
		{"dev", "PUT workflows:/x", "deny policy.csv:5"},
		{"dev", "PUT workflows:/y", "deny"},
	} {
		var identity policy.Identity
		for group := range strings.FieldsSeq(c.groups) {
			identity.Groups = append(identity.Groups, "example-org:"+group)
		}
		if got := policytest.DecisionText(policytest.Ask(t, s, identity, c.question)); got != c.want {
			t.Errorf("%s: %s: %s, want %s", c.groups, c.question, got, c.want)
		}
	}
}

// casbin's reader takes these rows for one, and drops the second: it compares
// fields joined by commas.
func TestRowsThatReadAlikeJoinedByCommasAllCount(t *testing.T) {
	t.Parallel()
	s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(`
p, a, u, "/x,u,/y", GET, deny
p, "a,u,/x", u, /y, GET, deny
p, system:authenticated, *, /**, GET, allow
`)}}, []string{"u"})
	if err != nil {
		t.Fatal(err)
	}
	if got := policytest.DecisionText(policytest.Ask(t, s, policy.Identity{Groups: []string{"a"}}, "GET u:/x,u,/y")); got != "deny policy.csv:2" {
		t.Errorf("first row: %s", got)
	}
	if got := policytest.DecisionText(policytest.Ask(t, s, policy.Identity{Groups: []string{"a,u,/x"}}, "GET u:/y")); got != "deny policy.csv:3" {
		t.Errorf("second row: %s", got)
	}
}

func TestUpstreamsOfTheConfigurationAreTheOnlyOnes(t *testing.T) {
	t.Parallel()
	text := []byte("p, a, *, /**, GET, allow\n")
	identity := policy.Identity{Groups: []string{"a"}}
	closed, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: text}}, []string{"argocd"})
	if err != nil {
		t.Fatal(err)
	}
	open := policytest.Load(t, string(text))
	for _, c := range []struct {
		s              *policy.Snapshot
		question, want string
	}{
		{closed, "GET argocd:/", "allow policy.csv:1"},
		{closed, "GET grafana:/", "deny"},
		{closed, "GET *:/", "deny"},
		{open, "GET grafana:/", "allow policy.csv:1"},
		{open, "GET *:/", "deny"},
		{open, "GET :/", "deny"},
	} {
		if got := policytest.DecisionText(policytest.Ask(t, c.s, identity, c.question)); got != c.want {
			t.Errorf("%s: %s, want %s", c.question, got, c.want)
		}
	}
}

func TestInDoubtTheAnswerIsNo(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, "p, system:authenticated, *, /**, *, allow\np, system:anonymous, *, /**, *, allow\n")
	roles := s.Resolve(policy.Identity{})
	sure := policy.Request{Roles: roles, Upstream: "u", Path: policytest.Path(t, "/"), Method: "GET"}
	if !s.Decide(sure).Allowed() {
		t.Fatal("the sound question is denied")
	}
	for name, change := range map[string]func(*policy.Request){
		"no roles":                  func(q *policy.Request) { q.Roles = policy.Roles{} },
		"no upstream":               func(q *policy.Request) { q.Upstream = "" },
		"no path":                   func(q *policy.Request) { q.Path = target.Path{} },
		"no method":                 func(q *policy.Request) { q.Method = "" },
		"roles of another snapshot": func(q *policy.Request) { q.Roles = policytest.Load(t, policytest.Example).Resolve(policy.Identity{}) },
	} {
		q := sure
		change(&q)
		if d := s.Decide(q); d != (policy.Decision{}) {
			t.Errorf("%s: %s", name, policytest.DecisionText(d))
		}
	}
	if (policy.Decision{}).Allowed() {
		t.Error("the zero Decision lets in")
	}
}

func TestDeniedPersonLearnsWhichGroupsWouldDo(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, `
p, role:sync, argocd, /sync, POST, allow
p, example-org:release, *, /sync, POST, allow
p, example-org:frozen, argocd, /sync, POST, deny
p, user:alice@example.com, argocd, /sync, POST, allow
p, other-org:*, argocd, /sync, POST, allow
p, other-org:guests, argocd, /sync, POST, deny
p, example-org:dev, argocd, /, GET, allow
g, example-org:argo, role:sync
g, example-org:frozen, role:sync
g, role:lead, role:sync
g, role:head, role:lead
g, example-org:zeta, role:head
g, role:root, role:head
p, role:root, argocd, /, *, allow
`)
	for _, c := range []struct{ question, want string }{
		{"POST argocd:/sync", "example-org:argo example-org:release example-org:zeta other-org:*"},
		{"POST workflows:/sync", "example-org:release"},
		{"HEAD argocd:/", "example-org:dev"},
		{"GET argocd:/nowhere", ""},
	} {
		method, rest, _ := strings.Cut(c.question, " ")
		upstream, raw, _ := strings.Cut(rest, ":")
		if got := strings.Join(admitted(s.Admitted(upstream, policytest.Path(t, raw), method)), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.question, got, c.want)
		}
	}
	if got := admitted(s.Admitted("argocd", target.Path{}, "GET")); got != nil {
		t.Errorf("no path: %q", got)
	}
	if got := admitted(s.Admitted("*", policytest.Path(t, "/sync"), "POST")); got != nil {
		t.Errorf("no upstream: %q", got)
	}
}

func TestADenialForAllAdmitsNoGroup(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, "p, example-org:dev, argocd, /**, *, allow\np, system:authenticated, argocd, /closed, *, deny\n")
	if got := admitted(s.Admitted("argocd", policytest.Path(t, "/closed"), "GET")); got != nil {
		t.Errorf("admitted %q", got)
	}
}

func TestOneSnapshotServesManyAtOnce(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, policytest.Example)
	p := policytest.Path(t, "/api/v1/applications/shop/sync")
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 50 {
				stranger := fmt.Sprintf("example-org:team-%d-%d", n, i%7)
				argo := s.Resolve(policy.Identity{Groups: []string{stranger, "example-org:argo"}})
				dev := s.Resolve(policy.Identity{Groups: []string{stranger}})
				if got := argo.Names(); !slices.Equal(got, []string{"role:admin", "role:viewer"}) {
					t.Errorf("roles %q", got)
				}
				for roles, want := range map[*policy.Roles]bool{&argo: true, &dev: false} {
					if got := s.Decide(policy.Request{Roles: *roles, Upstream: "argocd", Path: p, Method: "POST"}); got.Allowed() != want {
						t.Errorf("%q: %s", roles.Names(), policytest.DecisionText(got))
					}
				}
				if got := admitted(s.Admitted("argocd", p, "POST")); !slices.Equal(got, []string{"example-org:argo"}) {
					t.Errorf("admitted %q", got)
				}
			}
		})
	}
	wg.Wait()
}
