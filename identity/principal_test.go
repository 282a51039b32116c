package identity_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/example-org/authgate/identity"
)

// reader is a relying party that makes no requests, and what it dropped.
func reader(claim string) (*identity.RelyingParty, *[]string) {
	var mu sync.Mutex
	var dropped []string
	cfg := config("https://dex.example.com")
	cfg.GroupsClaim = claim
	cfg.GroupDropped = func(reason string) {
		mu.Lock()
		defer mu.Unlock()
		dropped = append(dropped, reason)
	}
	return identity.New(cfg, discard), &dropped
}

func TestGroupsAreReadAsTheIssuerWroteThem(t *testing.T) {
	t.Parallel()
	none := []string(nil)
	for name, row := range map[string]struct {
		groups  string // JSON; empty: no such claim
		want    []string
		dropped []string
		refused string
	}{
		"absent":             {"", none, nil, ""},
		"null":               {`null`, none, nil, ""},
		"empty list":         {`[]`, none, nil, ""},
		"list":               {`["example-org:argo","example-org:dev"]`, []string{"example-org:argo", "example-org:dev"}, nil, ""},
		"single string":      {`"example-org:argo"`, []string{"example-org:argo"}, nil, ""},
		"string with commas": {`"a,b c"`, []string{"a,b c"}, nil, ""},
		"blanks, upper case, beyond ASCII": {
			`["example-org:Argo Admins","example-org:Plattform-Büro","example-org:👩‍🚀"]`,
			[]string{"example-org:Argo Admins", "example-org:Plattform-Büro", "example-org:👩‍🚀"},
			nil, "",
		},
		"twice, as Dex sends name and slug": {`["b","a","b","A","a"]`, []string{"b", "a", "A"}, nil, ""},

		"reserved": {
			`["role:admin","example-org:argo","user:alice@example.com","system:authenticated"]`,
			[]string{"example-org:argo"},
			[]string{"reserved", "reserved", "reserved"},
			"",
		},
		"reserved, single string":     {`"role:admin"`, none, []string{"reserved"}, ""},
		"reserved, another case":      {`["Role:admin","SYSTEM:anonymous"]`, none, []string{"reserved", "reserved"}, ""},
		"reserved, behind blanks":     {`["  role:admin","\u00a0user:x","\u200bsystem:x","role :x"]`, none, []string{"reserved", "reserved", "reserved", "reserved"}, ""},
		"reserved, the prefix alone":  {`["role:"]`, none, []string{"reserved"}, ""},
		"only like a reserved one":    {`["role","roles:a","example:role:admin","user-role:x"]`, []string{"role", "roles:a", "example:role:admin", "user-role:x"}, nil, ""},
		"malformed":                   {`["","a\nb","a\u0000","a\u007f","a\u0085b","a\ud800","ok"]`, []string{"ok"}, []string{"malformed", "malformed", "malformed", "malformed", "malformed", "malformed"}, ""},
		"a number":                    {`5`, nil, nil, `its claim "groups" is neither a string nor a list of strings`},
		"an object":                   {`{"a":"b"}`, nil, nil, "neither a string nor a list"},
		"a truth":                     {`true`, nil, nil, "neither a string nor a list"},
		"a list with a number":        {`["a",5]`, nil, nil, "neither a string nor a list"},
		"a list with a null":          {`["a",null]`, nil, nil, "a null in its list"},
		"a list in a list":            {`[["a"]]`, nil, nil, "neither a string nor a list"},
		"a reserved one and a number": {`["role:admin",5]`, nil, nil, "neither a string nor a list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rp, dropped := reader("groups")
			payload := `{"iss":"https://dex.example.com","sub":"alice"}`
			if row.groups != "" {
				payload = `{"iss":"https://dex.example.com","sub":"alice","groups":` + row.groups + `}`
			}
			p, err := rp.PrincipalOf([]byte(payload))
			if row.refused != "" {
				wantRefused(t, err, row.refused)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(p.Groups, row.want) {
				t.Errorf("groups: %q, want %q", p.Groups, row.want)
			}
			if !slices.Equal(*dropped, row.dropped) {
				t.Errorf("dropped: %q, want %q", *dropped, row.dropped)
			}
		})
	}
}

func TestGroupsClaimIsAnExactTopLevelName(t *testing.T) {
	t.Parallel()
	const payload = `{"sub":"alice","Groups":["wrong case"],"groups":["groups"],"https://example.com/teams":["url"],"a.b":["dotted"],"a":{"b":["nested"]},"":["nameless"]}`
	for claim, want := range map[string][]string{
		"groups":                    {"groups"},
		"https://example.com/teams": {"url"},
		"a.b":                       {"dotted"},
		"GROUPS":                    nil,
		"":                          nil,
	} {
		rp, _ := reader(claim)
		p, err := rp.PrincipalOf([]byte(payload))
		if err != nil || !slices.Equal(p.Groups, want) {
			t.Errorf("claim %q: groups %q, %v; want %q", claim, p.Groups, err, want)
		}
	}
}

func TestEmailIsVerifiedOnlyWhereTheIssuerSaysSo(t *testing.T) {
	t.Parallel()
	for verified, want := range map[string]bool{
		`true`: true, `"true"`: true, `false`: false, `"false"`: false, `null`: false, `1`: false, `"yes"`: false, `"TRUE"`: false, `[true]`: false,
	} {
		rp, _ := reader("groups")
		p, err := rp.PrincipalOf([]byte(`{"sub":"a","email":"a@example.com","email_verified":` + verified + `}`))
		if err != nil || p.EmailVerified != want || p.Email != "a@example.com" {
			t.Errorf("email_verified %s: %+v, %v", verified, p, err)
		}
	}
	rp, _ := reader("groups")
	for _, email := range []string{`""`, `null`, `"a@example.com\r\nX: y"`, `"a\u0000@example.com"`} {
		p, err := rp.PrincipalOf([]byte(`{"sub":"a","email":` + email + `,"email_verified":true}`))
		if err != nil || p.EmailVerified || p.Email != "" {
			t.Errorf("email %s: %+v, %v", email, p, err)
		}
	}
	if _, err := rp.PrincipalOf([]byte(`{"sub":"a","email":["a@example.com"]}`)); err == nil {
		t.Error("a list of e-mails is taken for one")
	}
}

func TestPrincipalSurvivesItsJSON(t *testing.T) {
	t.Parallel()
	p := identity.Principal{
		Issuer: "https://dex.example.com", Subject: "alice", Email: "a@example.com", EmailVerified: true,
		Name: "Alice", Username: "alice", Groups: []string{"a", "b"}, Expiry: time.Unix(1772366400, 0).UTC(),
	}
	var again identity.Principal
	if err := json.Unmarshal(must(json.Marshal(p)), &again); err != nil || !reflect.DeepEqual(p, again) {
		t.Errorf("%+v, %v", again, err)
	}
}

func FuzzPrincipal(f *testing.F) {
	for _, seed := range []string{
		`{"sub":"alice","groups":["example-org:argo"],"exp":1772366400}`,
		`{"sub":"alice","groups":"role:admin","email":"a@b","email_verified":"true"}`,
		`{"sub":"alice","groups":[" role:admin","\u200bSYSTEM:x","user:\u0000"]}`,
		`{"sub":"a","exp":1e308,"groups":null}`, `{"sub":"\ud800"}`, `{"sub":5}`, `{}`, `[]`, `null`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		rp, _ := reader("groups")
		p, err := rp.PrincipalOf(payload)
		if err != nil {
			if p.Subject != "" || p.Groups != nil {
				t.Errorf("an error and a principal: %+v, %v", p, err)
			}
			return
		}
		if p.Subject == "" {
			t.Error("a principal without a subject")
		}
		if p.EmailVerified && p.Email == "" {
			t.Error("nothing is verified")
		}
		for i, g := range p.Groups {
			bare := strings.ToLower(strings.TrimSpace(g))
			if strings.HasPrefix(bare, "role:") || strings.HasPrefix(bare, "user:") || strings.HasPrefix(bare, "system:") {
				t.Errorf("group %q survived", g)
			}
			if slices.Contains(p.Groups[:i], g) {
				t.Errorf("group %q is there twice", g)
			}
			if g == "" || strings.ContainsFunc(g, unicode.IsControl) {
				t.Errorf("group %q would break a line", g)
			}
		}
		if _, err := json.Marshal(p); err != nil {
			t.Errorf("a session could not keep it: %v", err)
		}
	})
}
