package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/server/watch"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEmptyPoliciesAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n\n", "# all of it commented out\n#p, role:admin, argocd, /**, *, allow\n"} {
		files := []string{filepath.Join(t.TempDir(), "policy.csv")}
		write(t, files[0], text)
		var errs []error
		known := &Deps{Config: &config.Config{Upstreams: []config.Upstream{{Name: "argocd"}}}}
		w := watch.New(slog.New(slog.DiscardHandler))
		w.Add(&watch.Files{
			Name: "policy", Paths: files,
			Read: readPolicies(func() ([]policy.Source, error) { return policy.ReadFiles(files...) }),
			Apply: known.applyPolicy(func(*policy.Snapshot, []policy.Source) error {
				t.Errorf("%q is in force", text)
				return nil
			}),
			OnError: func(err error) { errs = append(errs, err) },
		}, contentsOf([]policy.Source{{Name: files[0], Data: []byte("p, role:admin, argocd, /**, *, allow\n")}}))
		w.Check()
		w.Check()
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), "policy.csv") {
			t.Errorf("%q: %v", text, errs)
		}
	}
}

func TestPolicyThatLostMoreThanHalfOfItsRowsIsSuspect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		had, has int
		suspect  bool
	}{
		{10, 10, false}, {10, 20, false}, {10, 5, false}, {10, 4, true}, {3, 1, true}, {2, 1, false}, {1, 1, false}, {11, 5, true},
	} {
		err := checkShrink(c.had, c.has)
		if (err != nil) != c.suspect {
			t.Errorf("%d of %d rows: %v", c.has, c.had, err)
		}
	}
	if err := checkShrink(10, 4); !strings.Contains(err.Error(), "4 of 10 rows") || !strings.Contains(err.Error(), "policy.allowShrink: true") {
		t.Error(err)
	}
}
