package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/stage"
)

func TestEditedPolicyIsFollowedWithoutARestart(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	bob := signedIn(t, s, "bob")
	sync := func() int { return fetch(t, bob, http.MethodPost, s.ArgoCD+guestbook+"/sync").Status }
	before, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	if got := sync(); got != http.StatusForbidden {
		t.Fatalf("before: %d", got)
	}
	if err := s.Files.WritePolicy(before + "p, role:viewer, argocd, /api/v1/applications/*/sync, POST, allow\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the added row to allow", func() bool { return sync() == http.StatusOK })
	if err := s.Files.WritePolicy(strings.Replace(before, "g, example-org:dev, role:viewer\n", "", 1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removed role to be gone", func() bool {
		return fetch(t, bob, http.MethodGet, s.ArgoCD+"/api/v1/applications").Status == http.StatusForbidden
	})
}

// A folder that never falls silent, as one does into which the audit is written,
// must not put the reload off for ever.
func TestPolicyIsFollowedInABusyFolder(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: func(yaml string, f stage.Files) string {
		return yaml + "audit: {output: " + filepath.Join(f.Dir, "audit.jsonl") + "}\n"
	}})
	keepBusy(t, filepath.Join(s.Files.Dir, "busy"))
	bob := signedIn(t, s, "bob")
	before, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Files.WritePolicy(strings.Replace(before, "g, example-org:dev, role:viewer\n", "", 1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removed role to be gone", func() bool {
		return fetch(t, bob, http.MethodGet, s.ArgoCD+"/api/v1/applications").Status == http.StatusForbidden
	})
}

// keepBusy changes a file every few milliseconds until the test ends.
func keepBusy(t *testing.T, path string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				if err := os.WriteFile(path, []byte(now.String()), 0o600); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func TestBrokenPolicyIsReportedAndTheOldOneStays(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	bob := signedIn(t, s, "bob")
	before, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	broken := before + "p, role:viewer, argocd, /**, GET, Allow\n"
	if err := s.Files.WritePolicy(broken); err != nil {
		t.Fatal(err)
	}
	eventually(t, `authgate_policy_reloads_total{result="error"} to grow`, func() bool {
		n, err := s.Metric(t.Context(), "authgate_policy_reloads_total", "result", "error")
		return err == nil && n > 0
	})
	where := regexp.MustCompile(fmt.Sprintf(`policy\.csv:%d:\d+`, strings.Count(broken, "\n")))
	eventually(t, "the log to say where", func() bool {
		log, err := s.Files.ReadLog()
		return err == nil && where.MatchString(log)
	})
	if got := fetch(t, bob, http.MethodGet, s.ArgoCD+"/api/v1/applications").Status; got != http.StatusOK {
		t.Errorf("bob may no longer list: %d", got)
	}
	if err := s.Files.WritePolicy(before + "p, role:viewer, argocd, /settings, GET, allow\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the corrected policy", func() bool { // 404 is the dashboard's own answer
		return fetch(t, bob, http.MethodGet, s.ArgoCD+"/settings").Status == http.StatusNotFound
	})
}
