package identity_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/identity"
)

func TestTheGroupsClaimIsANameElseAPath(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		claim, token string
		want         []string
		overage      bool
	}{
		"a path":                    {claim: "realm_access.roles", token: `{"realm_access":{"roles":["a","b"]}}`, want: []string{"a", "b"}},
		"a deep path":               {claim: "resource_access.app.roles", token: `{"resource_access":{"app":{"roles":"a"}}}`, want: []string{"a"}},
		"the name first":            {claim: "a.b", token: `{"a.b":["name"],"a":{"b":["path"]}}`, want: []string{"name"}},
		"a null of that name":       {claim: "a.b", token: `{"a.b":null,"a":{"b":["path"]}}`, want: []string{"path"}},
		"an empty list of the name": {claim: "a.b", token: `{"a.b":[],"a":{"b":["path"]}}`},
		"a URL":                     {claim: "https://example.com/groups", token: `{"https://example.com/groups":["a"]}`, want: []string{"a"}},
		"through a string":          {claim: "a.b", token: `{"a":"b"}`},
		"through a list":            {claim: "a.0", token: `{"a":["b"]}`},
		"through a number":          {claim: "a.b.c", token: `{"a":{"b":1}}`},
		"another case":              {claim: "a.b", token: `{"A":{"B":["x"]},"a":{"B":["x"]}}`},
		"empty parts":               {claim: "a.", token: `{"a":{"":["x"]}}`},
		"_claim_names":              {claim: "groups", token: `{"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"https://example.com"}}}`, overage: true},
		"hasgroups":                 {claim: "groups", token: `{"hasgroups":true}`, overage: true},
		"of a path":                 {claim: "x.roles", token: `{"_claim_names":{"x":"src1"}}`, overage: true},
		"an empty list next to it":  {claim: "groups", token: `{"groups":[],"_claim_names":{"groups":"src1"}}`, overage: true},
		"of another claim":          {claim: "groups", token: `{"_claim_names":{"email":"src1"}}`},
		"_claim_names is no object": {claim: "groups", token: `{"_claim_names":"groups"}`},
		"hasgroups is false":        {claim: "groups", token: `{"hasgroups":false}`},
		"with groups":               {claim: "groups", token: `{"groups":["a"],"hasgroups":true}`, want: []string{"a"}},
	} {
		cfg := config("https://dex.example.com")
		cfg.GroupsClaim = row.claim
		claims := map[string]json.RawMessage{"sub": json.RawMessage(`"a"`)}
		if err := json.Unmarshal([]byte(row.token), &claims); err != nil {
			t.Fatal(err)
		}
		p, err := identity.New(cfg, discard).PrincipalOf(must(json.Marshal(claims)))
		if err != nil || !slices.Equal(p.Groups, row.want) || p.GroupsOverage != row.overage {
			t.Errorf("%s: %q, overage %v, %v", name, p.Groups, p.GroupsOverage, err)
		}
	}
}

func TestLoginsWithoutGroupsAreCountedAndLoggedOnce(t *testing.T) {
	t.Parallel()
	for reason, bend := range map[string]func(map[string]any){
		"no_claim": func(c map[string]any) { delete(c, "groups") },
		"overage": func(c map[string]any) {
			delete(c, "groups")
			c["_claim_names"] = map[string]string{"groups": "src1"}
			c["_claim_sources"] = map[string]any{"src1": map[string]string{"endpoint": "https://graph.example.com"}}
		},
	} {
		dex := serve(t)
		dex.bend(func(i *issuer) { i.claims = bend })
		var log bytes.Buffer
		dropped := map[string]int{}
		cfg := config(dex.url)
		cfg.GroupDropped = func(reason string) { dropped[reason]++ }
		rp := identity.New(cfg, slog.New(slog.NewJSONHandler(&log, nil)))
		rp.Look(t.Context())
		login := granted(t, dex, rp)
		next, err := rp.Refresh(t.Context(), login)
		if err != nil || next.Principal.GroupsOverage != (reason == "overage") {
			t.Errorf("%s: %v, %v", reason, next.Principal.GroupsOverage, err)
		}
		if dropped[reason] != 2 || len(dropped) != 1 {
			t.Errorf("%s: counted %v", reason, dropped)
		}
		if strings.Count(log.String(), `"WARN"`) != 1 || !strings.Contains(log.String(), `"claim":"groups","hint":`) {
			t.Errorf("%s: %s", reason, &log)
		}
		dex.bend(func(i *issuer) { i.claims = nil })
		if next, err = rp.Refresh(t.Context(), next); err != nil || next.Principal.GroupsOverage || len(next.Principal.Groups) != 1 {
			t.Errorf("%s, after the issuer sends them again: %+v, %v", reason, next.Principal, err)
		}
	}
}
