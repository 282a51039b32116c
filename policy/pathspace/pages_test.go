package pathspace_test

import (
	"slices"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/pathspace"
	"github.com/example-org/authgate/target"
)

// mayOpen reports whether a role may GET one of the pages.
func mayOpen(t *testing.T, rows, home string, prefixes ...string) bool {
	t.Helper()
	s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(rows)}}, []string{"web", "other"})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := pathspace.PagesBelow(s, "web", home, prefixes)
	if err != nil {
		t.Fatal(err)
	}
	roles := s.Resolve(policy.Identity{Groups: []string{"org:dev"}})
	return slices.ContainsFunc(pages, func(path target.Path) bool {
		return s.Decide(policy.Request{Roles: roles, Upstream: "web", Path: path, Method: "GET"}).Allowed()
	})
}

func TestPagesBelowFindsWhatAUserMayOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows, home string
		prefixes   []string
		want       bool
	}{
		"everything":                  {"p, org:dev, web, /**, GET, allow", "/", nil, true},
		"a page deep below":           {"p, org:dev, web, /a/b/*/c, GET, allow", "/", nil, true},
		"every upstream":              {"p, org:dev, *, /a/**, *, allow", "/", nil, true},
		"home itself":                 {"p, org:dev, web, /apps, GET|POST, allow", "/apps", nil, true},
		"below home":                  {"p, org:dev, web, /apps/**, GET, allow", "/apps", nil, true},
		"home with a trailing slash":  {"p, org:dev, web, /apps/x, GET, allow", "/apps/", nil, true},
		"a pattern across home":       {"p, org:dev, web, /*/settings, GET, allow", "/apps", nil, true},
		"part of a segment":           {"p, org:dev, web, /ap*/x, GET, allow", "/apps", nil, true},
		"through a role":              {"p, role:a, web, /x, GET, allow\ng, org:dev, role:a", "/", nil, true},
		"nothing":                     {"p, org:ops, web, /**, GET, allow", "/", nil, false},
		"another upstream":            {"p, org:dev, other, /**, GET, allow", "/", nil, false},
		"another method":              {"p, org:dev, web, /**, POST|DELETE, allow", "/", nil, false},
		"HEAD only":                   {"p, org:dev, web, /**, HEAD, allow", "/", nil, false},
		"next to home":                {"p, org:dev, web, /apps-old/**, GET, allow", "/apps", nil, false},
		"above home":                  {"p, org:dev, web, /, GET, allow", "/apps", nil, false},
		"denied as a whole":           {"p, org:dev, web, /a/**, GET, allow\np, org:dev, web, /a/**, *, deny", "/", nil, false},
		"denied piece by piece":       {"p, org:dev, web, /a/*, GET, allow\np, org:dev, web, /a/**, GET, deny", "/", nil, false},
		"denied but for one segment":  {"p, org:dev, web, /a/*/b, GET, allow\np, org:dev, web, /a/x*/b, GET, deny", "/", nil, true},
		"denied through another role": {"p, org:dev, web, /a, GET, allow\np, role:f, web, /**, GET, deny\ng, org:dev, role:f", "/", nil, false},
		"denied for others":           {"p, org:dev, web, /a, GET, allow\np, role:f, web, /**, GET, deny\ng, org:ops, role:f", "/", nil, true},
		"of another upstream's path":  {"p, org:dev, web, /grafana/**, GET, allow", "/", []string{"/grafana"}, false},
		"next to that":                {"p, org:dev, web, /**, GET, allow", "/", []string{"/grafana", "/oauth2"}, true},
		"only authgate's own pages":   {"p, org:dev, web, /oauth2/*, GET, allow", "/", []string{"/oauth2"}, false},
	} {
		if got := mayOpen(t, c.rows+"\n", c.home, c.prefixes...); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
