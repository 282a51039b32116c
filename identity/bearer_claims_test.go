package identity_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/example-org/authgate/identity"
)

// offline accept tokens of https://ci.example.com with no network, and tell what
// groups were dropped for.
func offline(b identity.Bearer) (*identity.Bearers, *[]string) {
	b.Issuer, b.Audience = "https://ci.example.com", "authgate"
	if b.SubjectClaim == "" {
		b.SubjectClaim = "sub"
	}
	rp, dropped := reader("groups")
	return identity.NewBearers(rp, []identity.Bearer{b}, discard), dropped
}

func claimed(sets ...map[string]any) []byte {
	c := map[string]any{"iss": "https://ci.example.com"}
	for _, set := range sets {
		maps.Copy(c, set)
	}
	return must(json.Marshal(c))
}

func TestGroupsAreMadeOfClaims(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	none := []string(nil)
	for name, row := range map[string]struct {
		template string
		claims   m
		want     []string
		dropped  []string
	}{
		"one claim":                         {"ci:{repository}", nil, []string{"ci:example-org/app"}, nil},
		"no claim":                          {"ci", nil, []string{"ci"}, nil},
		"text behind a claim":               {"ci:{ref_type}es", nil, []string{"ci:branches"}, nil},
		"an environment that imitates refs": {"ci:{repository}:{environment}", m{"environment": "x:refs/heads/main"}, []string{"ci:example-org/app:x%3Arefs/heads/main"}, nil},
		"an escaped colon stays another":    {"ci:{environment}", m{"environment": "x%3Ay"}, []string{"ci:x%253Ay"}, nil},
		"blanks and commas":                 {"ci:{workflow}", m{"workflow": "Build, then test"}, []string{"ci:Build, then test"}, nil},
		"beyond ASCII":                      {"ci:{workflow}", m{"workflow": "Bücher"}, []string{"ci:Bücher"}, nil},
		"true":                              {"ci:{x}", m{"x": true}, []string{"ci:true"}, nil},
		"a number as it is written":         {"ci:{x}", m{"x": json.RawMessage("1.50")}, []string{"ci:1.50"}, nil},
		"a claim that is not there":         {"ci:{absent}", nil, none, nil},
		"a claim in another case":           {"ci:{Repository}", nil, none, nil},
		"null":                              {"ci:{x}", m{"x": nil}, none, nil},
		"empty":                             {"ci:{head_ref}", nil, none, nil},
		"a list":                            {"ci:{x}", m{"x": []string{"a"}}, none, []string{"malformed"}},
		"an object":                         {"ci:{x}", m{"x": m{"a": "b"}}, none, []string{"malformed"}},
		"a line break":                      {"ci:{x}", m{"x": "a\nb"}, none, []string{"malformed"}},
		"NUL":                               {"ci:{x}", m{"x": "a\x00b"}, none, []string{"malformed"}},
		"an invisible character":            {"ci:{x}", m{"x": "a\u200bb"}, none, []string{"malformed"}},
		"text turned round":                 {"ci:{x}", m{"x": "a\u202eb"}, none, []string{"malformed"}},
		"half a surrogate":                  {"ci:{x}", m{"x": json.RawMessage(`"\ud800"`)}, none, []string{"malformed"}},
		"a long value":                      {"ci:{x}", m{"x": strings.Repeat("a", 512)}, []string{"ci:" + strings.Repeat("a", 512)}, nil},
		"a value that is too long":          {"ci:{x}", m{"x": strings.Repeat("a", 513)}, none, []string{"malformed"}},
		"a group that is too long":          {"ci:{x}{x}{x}", m{"x": strings.Repeat("a", 400)}, none, []string{"malformed"}},
		"a role, by the template":           {"role:{ref_type}", nil, none, []string{"reserved"}},
		"a role, by a value":                {"{x}", m{"x": "role:admin"}, []string{"role%3Aadmin"}, nil},
		"a role, by both":                   {"{x}:admin", m{"x": "role"}, none, []string{"reserved"}},
		"a role, by blanks and case":        {"{x}:admin", m{"x": "  ROLE "}, none, []string{"reserved"}},
		"a user":                            {"{x}:{actor}", m{"x": "user"}, none, []string{"reserved"}},
		"the system":                        {"{x}:authenticated", m{"x": "system"}, none, []string{"reserved"}},
		"a ServiceAccount, whole":           {"{sub}", m{"sub": "system:serviceaccount:ci:builder"}, []string{"system%3Aserviceaccount%3Aci%3Abuilder"}, nil},
	} {
		b, dropped := offline(identity.Bearer{Groups: templates(row.template)})
		p, err := b.BearerOf("https://ci.example.com", claimed(actions(), row.claims))
		if err != nil || !slices.Equal(p.Groups, row.want) || !slices.Equal(*dropped, row.dropped) {
			t.Errorf("%s: groups %q, dropped %q, %v", name, p.Groups, *dropped, err)
		}
	}
}

func TestTheSameGroupIsThereOnce(t *testing.T) {
	t.Parallel()
	b, _ := offline(identity.Bearer{Groups: templates("ci:{ref_type}", "ci:branch", "ci:{repository}")})
	p, err := b.BearerOf("https://ci.example.com", claimed(actions()))
	if err != nil || !slices.Equal(p.Groups, []string{"ci:branch", "ci:example-org/app"}) {
		t.Errorf("%q, %v", p.Groups, err)
	}
}

func TestAKubernetesTokenIsReadAtItsTopAlone(t *testing.T) {
	t.Parallel()
	b, dropped := offline(identity.Bearer{
		Require: map[string][]string{"sub": {"system:serviceaccount:ci:builder"}},
		Groups:  templates("sa:{sub}", "ns:{kubernetes.io}", "ns:{kubernetes.io.namespace}", "ns:{namespace}"),
	})
	p, err := b.BearerOf("https://ci.example.com", claimed(serviceAccount()))
	if err != nil || p.Subject != "system:serviceaccount:ci:builder" ||
		!slices.Equal(p.Groups, []string{"sa:system%3Aserviceaccount%3Aci%3Abuilder"}) || !slices.Equal(*dropped, []string{"malformed"}) {
		t.Errorf("%+v, dropped %q, %v", p, *dropped, err)
	}
	for claim, words := range map[string]string{
		"kubernetes.io":           `its claim "kubernetes.io" is a list or an object; compared are strings, numbers, true and false at the top level of a token, and no path leads into a claim`,
		"kubernetes.io.namespace": `it has no claim "kubernetes.io.namespace"`,
	} {
		b, _ := offline(identity.Bearer{Require: map[string][]string{claim: {"ci"}}})
		_, err := b.BearerOf("https://ci.example.com", claimed(serviceAccount()))
		wantRefused(t, err, words)
	}
}

func TestTheHolderMayBeAnotherClaim(t *testing.T) {
	t.Parallel()
	b, _ := offline(identity.Bearer{SubjectClaim: "repository"})
	if p, err := b.BearerOf("https://ci.example.com", claimed(actions())); err != nil || p.Subject != "example-org/app" {
		t.Errorf("%+v, %v", p, err)
	}
	for value, words := range map[any]string{nil: "no repository", 5: "its claim repository is not a string", strings.Repeat("a", 256): "its repository is longer than 255"} {
		_, err := b.BearerOf("https://ci.example.com", claimed(actions(), map[string]any{"repository": value}))
		wantRefused(t, err, words)
	}
}

func TestWhatWasVerifiedHasToBeOfTheIssuerWhoseKeysDidIt(t *testing.T) {
	t.Parallel()
	b, _ := offline(identity.Bearer{})
	_, err := b.BearerOf("https://ci.example.com", claimed(actions(), map[string]any{"iss": "https://dex.example.com"}))
	wantRefused(t, err, `it is of the issuer "https://dex.example.com", not of https://ci.example.com`)
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range [][3]string{
		{"ci:", "example-org/app", "refs/heads/main"},
		{"", "role", "admin"},
		{"", "x:refs/heads/main", ""},
		{"ci:", "a%3Ab", "\n"},
		{"Sys", "tem", ":"},
		{" ", "\u200brole", "\xff"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, text, one, two string) {
		template := identity.GroupTemplate{{Text: text, Claim: "one"}, {Text: ":", Claim: "two"}}
		payload := must(json.Marshal(map[string]string{"one": one, "two": two}))
		group, err := template.Expand(payload)
		if err != nil {
			if group != "" {
				t.Errorf("an error and a group: %q, %v", group, err)
			}
			return
		}
		if len(group) > 1024 {
			t.Errorf("%d bytes", len(group))
		}
		// The values can be read from the group, so no two pairs make one.
		rest, ok := strings.CutPrefix(group, text)
		first, second, colon := strings.Cut(rest, ":")
		if !ok || !colon || unescape(first) != one || unescape(second) != two || strings.Contains(second, ":") {
			t.Errorf("%q of %q and %q", group, one, two)
		}
	})
}

var unescaper = strings.NewReplacer("%3A", ":", "%25", "%")

func unescape(s string) string { return unescaper.Replace(s) }

func FuzzBearerClaims(f *testing.F) {
	for _, seed := range [][]byte{
		claimed(actions()), claimed(serviceAccount()), claimed(actions(), map[string]any{"ref": map[string]any{}}),
		[]byte(`{"iss":"https://ci.example.com","aud":"authgate","sub":"a","iat":0,"exp":1e11,"ref":5}`), []byte(`{}`), []byte(`null`),
	} {
		f.Add(seed)
	}
	b, _ := offline(identity.Bearer{
		Require: map[string][]string{"ref": {"refs/heads/main", "5"}},
		Groups:  templates("ci:{repository}:{ref}", "{ref_type}:x", "{workflow}"),
	})
	f.Fuzz(func(t *testing.T, payload []byte) {
		p, err := b.BearerOf("https://ci.example.com", payload)
		if err != nil {
			if p.Subject != "" || p.Groups != nil {
				t.Errorf("an error and a principal: %+v, %v", p, err)
			}
			return
		}
		var c map[string]any
		if json.Unmarshal(payload, &c) != nil || c["ref"] != "refs/heads/main" && c["ref"] != "5" && c["ref"] != 5.0 {
			t.Errorf("accepted with the ref %v", c["ref"])
		}
		if p.Issuer != "https://ci.example.com" || p.Subject == "" || p.Email != "" || p.Untrusted || p.Expiry.Before(time.Now().Add(-time.Minute)) {
			t.Errorf("%+v", p)
		}
		for _, g := range p.Groups {
			bare := strings.ToLower(strings.TrimSpace(g))
			if g == "" || strings.ContainsFunc(g, unicode.IsControl) ||
				strings.HasPrefix(bare, "role:") || strings.HasPrefix(bare, "user:") || strings.HasPrefix(bare, "system:") {
				t.Errorf("group %q", g)
			}
		}
	})
}
