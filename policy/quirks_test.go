package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/policytest"
	"github.com/example-org/authgate/target"
)

func loadQuirky(t *testing.T, csv string, quirks target.Quirks) (*policy.Snapshot, error) {
	t.Helper()
	return policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(csv)}}, []string{"plain", "quirky"}, map[string]target.Quirks{"quirky": quirks})
}

func TestRowsHoldQuirksOnlyOfTheirUpstream(t *testing.T) {
	t.Parallel()
	for path, needs := range map[string]target.Quirks{"/a//b": target.EmptySegments, "/a;b": target.Semicolon, "/a%3Bb": target.Semicolon, "/%2541": target.Percent} {
		for _, c := range []struct {
			upstream string
			has      target.Quirks
			loads    bool
		}{{"quirky", needs, true}, {"quirky", target.AllQuirks &^ needs, false}, {"plain", needs, false}, {"*", needs, true}, {"*", 0, false}} {
			_, err := loadQuirky(t, fmt.Sprintf("p, role:r, %s, %s, GET, allow\ng, a, role:r\n", c.upstream, path), c.has)
			if (err == nil) != c.loads {
				t.Errorf("%s:%s with %s: %v", c.upstream, path, c.has, err)
			}
			if err != nil && !strings.Contains(err.Error(), "pathQuirks: ["+needs.String()+"]") {
				t.Errorf("%s: %v", path, err)
			}
		}
		s := policytest.Load(t, "p, role:r, u, "+path+", GET, allow\ng, a, role:r\n") // without a configuration
		if s.Quirks("u") != needs || s.Quirks("v") != 0 {
			t.Errorf("%s tells %s", path, s.Quirks("u"))
		}
	}
	for _, path := range []string{"/a/..;/b", "/.;x", "/a%252Fb", "/a//../b"} {
		if _, err := loadQuirky(t, "p, a, quirky, "+path+", GET, allow\n", target.AllQuirks); err == nil {
			t.Errorf("a row for %s loads", path)
		}
	}
}

// casbin and the index are held to each other, at load and for each question.
func TestCasbinAgreesOnEmptySegments(t *testing.T) {
	t.Parallel()
	s, err := loadQuirky(t, `
p, role:r, quirky, /a//b, GET, allow
p, role:r, quirky, /a/*/c, GET, allow
p, role:r, quirky, //x*, GET, allow
p, role:r, quirky, /d//**, GET, allow
p, role:r, quirky, /d//secret, GET, deny
p, role:r, *, /e//, GET, allow
g, a, role:r
`, target.EmptySegments)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(); err != nil {
		t.Fatal(err)
	}
	roles := s.Resolve(policy.Identity{Groups: []string{"a"}})
	for raw, want := range map[string]bool{
		"/a//b": true, "/a/b": false, "/a///b": false, "/a//c": false, "/a/x/c": true, "//x": true, "//xy": true, "//": false, "/x": false, "/d//": true, "/d/": true, "/d": false,
		"/d//z//": true, "/d//secret": false, "/e//": true, "/e/": false,
	} {
		p, err := target.ParseWith(raw, target.EmptySegments)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Decide(policy.Request{Roles: roles, Upstream: "quirky", Path: p, Method: "GET"}).Allowed(); got != want {
			t.Errorf("%s: %v", raw, got)
		}
	}
}
