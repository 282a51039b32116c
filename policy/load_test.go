package policy_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/policytest"
)

func TestRowsAreReadAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"p, role:viewer, argocd, /**, GET, allow":            "p, role:viewer, argocd, /**, GET, allow",
		"p,role:viewer,argocd,/**,GET,allow":                 "p, role:viewer, argocd, /**, GET, allow",
		"p, role:viewer,  *,\t  /**, *,   allow":             "p, role:viewer, *, /**, *, allow",
		"  p, role:viewer, argocd, /**, GET, deny \t":        "p, role:viewer, argocd, /**, GET, deny",
		"# first\n\n  # indented\np, a, b, /, GET|PUT, deny": "p, a, b, /, GET|PUT, deny",
		"p, user:Alice@Example.COM, a, /, M-SEARCH, allow":   "p, user:alice@example.com, a, /, M-SEARCH, allow",
		"p, example-org:Site Team, a, /, *, allow":           "p, example-org:Site Team, a, /, *, allow",
		"p, Équipe d'été, a, /caf%C3%A9, *, allow":           "p, Équipe d'été, a, /caf%C3%A9, *, allow",
		`p, "cn=dev,ou=""x""", a, "/a,b", *, allow`:          `p, "cn=dev,ou=""x""", a, "/a,b", *, allow`,
		`p, " blanks ", a, /, *, allow`:                      `p, " blanks ", a, /, *, allow`,
		`p, "team #1", a, /, *, allow`:                       `p, "team #1", a, /, *, allow`,
		"p, team#1, a, /, *, allow":                          "p, team#1, a, /, *, allow",
	} {
		s := policytest.Load(t, text)
		rows := s.Rows()
		if len(rows) != 1 || rows[0].String() != want {
			t.Errorf("%q is read as %v, want %s", text, rows, want)
			continue
		}
		if again := policytest.Load(t, rows[0].String()).Rows(); again[0].String() != want {
			t.Errorf("%s is read back as %v", want, again[0])
		}
	}
}

func TestADecisionNamesFileAndLine(t *testing.T) {
	t.Parallel()
	s, err := policy.Load([]policy.Source{
		{Name: "/etc/authgate/base.csv", Data: []byte("p, a, argocd, /x, GET, allow\n")},
		{Name: "team.csv", Data: []byte("# more\np, a, argocd, /y, GET, allow\n")},
	}, []string{"argocd"})
	if err != nil {
		t.Fatal(err)
	}
	identity := policy.Identity{Groups: []string{"a"}}
	for question, want := range map[string]string{
		"GET argocd:/x": "allow /etc/authgate/base.csv:1",
		"GET argocd:/y": "allow team.csv:2",
		"GET argocd:/z": "deny",
	} {
		if got := policytest.DecisionText(policytest.Ask(t, s, identity, question)); got != want {
			t.Errorf("%s: %s, want %s", question, got, want)
		}
	}
}

func TestHashIsThatOfTheFiles(t *testing.T) {
	t.Parallel()
	one, two := "p, a, argocd, /x, GET, allow\n", "p, b, argocd, /x, GET, allow\n"
	load := func(names []string, texts ...string) string {
		var sources []policy.Source
		for i, text := range texts {
			sources = append(sources, policy.Source{Name: names[i], Data: []byte(text)})
		}
		s, err := policy.Load(sources, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.Hash()
	}
	sum := sha256.Sum256([]byte(one + two))
	want := hex.EncodeToString(sum[:])[:12]
	if got := load([]string{"1", "2"}, one, two); got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
	if got := load([]string{"x", "y"}, one, two); got != want {
		t.Error("the names of files change the hash")
	}
	if got := load([]string{"1", "2"}, two, one); got == want {
		t.Error("the order of files does not change the hash")
	}
}

func TestReadFilesNamesEveryMissingFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	there, gone, lost := filepath.Join(dir, "policy.csv"), filepath.Join(dir, "gone.csv"), filepath.Join(dir, "lost.csv")
	if err := os.WriteFile(there, []byte(sound), 0o600); err != nil {
		t.Fatal(err)
	}
	sources, err := policy.ReadFiles(there)
	if err != nil || len(sources) != 1 || sources[0].Name != there || string(sources[0].Data) != sound {
		t.Errorf("read %v, %v", sources, err)
	}
	_, err = policy.ReadFiles(gone, there, lost)
	want := "policy file " + gone + ": no such file or directory\npolicy file " + lost + ": no such file or directory"
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
