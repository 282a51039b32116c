package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/stage"
)

const allowAll = "p, system:anonymous, *, /**, *, allow\n"

// readyDetail is what the admin port tells of a policy.
type readyDetail struct {
	Status         string
	Policy, Shadow struct {
		Hash       string
		Generation int
		AgeSeconds float64 `json:"age_seconds"`
		Refused    *struct{ Error, Since string }
	}
}

func ready(t *testing.T, s *stage.Stage) (d readyDetail) {
	t.Helper()
	if err := json.Unmarshal([]byte(curl(t, s.Admin+"/readyz").Body), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func logHolds(t *testing.T, s *stage.Stage, words ...string) bool {
	t.Helper()
	log, err := s.Files.ReadLog()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(log) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return true
		}
	}
	return false
}

func hangUp(t *testing.T, s *stage.Stage) {
	t.Helper()
	if err := s.Authgate.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

func TestChangedPolicyIsInForceWithinTwoSecondsWithoutASignal(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{NoDex: true})
	before, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	changed := time.Now()
	if err := s.Files.WritePolicy(before + allowAll); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the changed policy", func() bool { return ready(t, s).Policy.Generation == 2 })
	if took := time.Since(changed); took > 2*time.Second {
		t.Errorf("in force after %s", took)
	}
}

func TestHangUpLooksAtThePolicyAndNeverEndsTheProcess(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{NoDex: true, Config: func(yaml string, _ stage.Files) string {
		return strings.Replace(yaml, "shutdownDelay: 0s", "shutdownDelay: 1s", 1)
	}})
	hangUp(t, s)
	eventually(t, "the log to say that nothing changed", func() bool { return logHolds(t, s, "policy is unchanged", "policy.csv") })

	if err := s.Files.WritePolicy("p, role:viewer, argocd, /**, GET, Allow\n"); err != nil {
		t.Fatal(err)
	}
	hangUp(t, s)
	eventually(t, "the refusal", func() bool { return ready(t, s).Policy.Refused != nil })
	before, err := s.Metric(t.Context(), "authgate_policy_reloads_total", "result", "error")
	if err != nil {
		t.Fatal(err)
	}
	hangUp(t, s)
	eventually(t, "the complaint to be repeated for who asks", func() bool {
		n, err := s.Metric(t.Context(), "authgate_policy_reloads_total", "result", "error")
		return err == nil && n > before
	})

	if err := s.Authgate.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness to fail", func() bool { return curl(t, s.ArgoCD+"/readyz").Status == http.StatusServiceUnavailable })
	hangUp(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if code, err := s.Authgate.ExitCode(ctx); err != nil || code != 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestPolicyThatLostMostOfItsRowsIsRefusedUntilARestart(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{NoDex: true})
	before, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	first := ready(t, s).Policy
	if first.Hash == "" || first.Refused != nil {
		t.Fatalf("at the start: %+v", first)
	}
	if err := s.Files.WritePolicy(allowAll); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refusal", func() bool { return ready(t, s).Policy.Refused != nil })
	now := ready(t, s)
	if now.Policy.Hash != first.Hash || now.Policy.Generation != 1 || now.Status != "not ready" { // no Dex
		t.Errorf("the policy in force is %+v", now)
	}
	if why := now.Policy.Refused.Error; !strings.Contains(why, "only 1 of ") || !strings.Contains(why, "policy.allowShrink: true") {
		t.Errorf("refused with %q", why)
	}
	if since, err := time.Parse(time.RFC3339, now.Policy.Refused.Since); err != nil || time.Since(since) > time.Minute {
		t.Errorf("refused since %q", now.Policy.Refused.Since)
	}
	if a := curl(t, s.ArgoCD+"/api/v1/applications"); a.Status != http.StatusUnauthorized {
		t.Errorf("the small policy decides: %d", a.Status)
	}
	if !logHolds(t, s, "level=ERROR", "only 1 of ") {
		t.Error("the log does not say so")
	}
	if n, err := s.Metric(t.Context(), "authgate_policy_reloads_total", "result", "error"); err != nil || n != 1 {
		t.Errorf("reloads_total is %v, %v", n, err)
	}
	records, err := s.Files.ReadAudit()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(records, func(r map[string]any) bool {
		reason, _ := r["reason"].(string)
		return r["event"] == "policy" && r["decision"] == "refuse" && r["policy"] == first.Hash && strings.Contains(reason, "only 1 of ")
	}) {
		t.Errorf("the audit does not say so: %v", records)
	}

	grown := before
	for i := range 60 {
		grown += fmt.Sprintf("p, role:viewer, argocd, /more/%d, GET, allow\n", i)
	}
	if err := s.Files.WritePolicy(grown); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a good policy", func() bool { return ready(t, s).Policy.Generation == 2 })
	if again := ready(t, s).Policy; again.Refused != nil || again.Hash == first.Hash {
		t.Errorf("after it: %+v", again)
	}
	if err := s.Files.WritePolicy(before); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first to be too few now", func() bool { return ready(t, s).Policy.Refused != nil })
	if err := s.Files.WritePolicy(allowAll); err != nil {
		t.Fatal(err)
	}
	if err := s.Authgate.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.StartAuthgate(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the small policy after a restart", func() bool {
		return s.Healthy(t.Context()) == nil && curl(t, s.ArgoCD+"/api/version").Status == http.StatusOK
	})
}

func TestPolicyMayLoseItsRowsWhereTheConfigurationSaysSo(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{NoDex: true, Config: func(yaml string, _ stage.Files) string {
		return strings.Replace(yaml, "policy:\n", "policy:\n  allowShrink: true\n", 1)
	}})
	if err := s.Files.WritePolicy(allowAll); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the small policy", func() bool { return curl(t, s.ArgoCD+"/api/version").Status == http.StatusOK })
	if err := s.Files.WritePolicy(""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the empty one to be refused all the same", func() bool { return ready(t, s).Policy.Refused != nil })
	if a := curl(t, s.ArgoCD+"/api/version"); a.Status != http.StatusOK {
		t.Errorf("the empty policy decides: %d", a.Status)
	}
}

func withCandidate(t *testing.T, text string) stage.Options {
	return stage.Options{Config: func(yaml string, f stage.Files) string {
		if err := os.WriteFile(candidateOf(f), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return strings.Replace(yaml, "policy:\n", "policy:\n  shadow: ["+candidateOf(f)+"]\n", 1)
	}}
}

func candidateOf(f stage.Files) string { return filepath.Join(f.Dir, "policy-next.csv") }

func TestShadowPolicyIsDecidedInAdditionToThePolicy(t *testing.T) {
	t.Parallel()
	const generous = "p, role:viewer, *, /**, *, allow\ng, example-org:*, role:viewer\n"
	s := set(t, withCandidate(t, generous))
	bob := signedIn(t, s, "bob")
	// shadowOf asks for a sync, which the policy in force denies to bob.
	asked := 0
	shadowOf := func() (shadow any) {
		asked++
		if got := fetch(t, bob, http.MethodPost, s.ArgoCD+guestbook+"/sync").Status; got != http.StatusForbidden {
			t.Fatalf("the candidate is enforced: %d", got)
		}
		eventually(t, "the audit", func() bool {
			records, err := s.Files.ReadAudit()
			if err != nil {
				t.Fatal(err)
			}
			seen := 0
			for _, r := range records {
				if r["path"] == guestbook+"/sync" && r["decision"] == "deny" {
					seen++
					shadow = r["shadow"]
				}
			}
			return seen == asked
		})
		return shadow
	}
	if got := shadowOf(); got != "allow" {
		t.Errorf("the candidate says %q", got)
	}
	if n, err := s.Metric(t.Context(), "authgate_shadow_differences_total", "upstream", "argocd", "change", "granted"); err != nil || n != 1 {
		t.Errorf("granted: %v, %v", n, err)
	}
	first := ready(t, s)

	if err := os.WriteFile(candidateOf(s.Files), []byte("p, role:viewer, argocd, /**, GET, allow\ng, example-org:*, role:viewer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the changed candidate", func() bool { return ready(t, s).Shadow.Hash != first.Shadow.Hash })
	if got := shadowOf(); got != "deny" {
		t.Errorf("the changed candidate says %q", got)
	}
	second := ready(t, s)

	if err := os.WriteFile(candidateOf(s.Files), []byte("p, role:viewer, argocd, /**, GET, Allow\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broken candidate to be refused", func() bool { return ready(t, s).Shadow.Refused != nil })
	third := ready(t, s)
	if third.Shadow.Hash != second.Shadow.Hash || !strings.Contains(third.Shadow.Refused.Error, "policy-next.csv:1:") {
		t.Errorf("candidate: %+v", third.Shadow)
	}
	if third.Policy.Hash != first.Policy.Hash || third.Policy.Generation != 1 || third.Policy.Refused != nil {
		t.Errorf("policy in force: %+v", third.Policy)
	}
	if !logHolds(t, s, "level=ERROR", "candidate", "policy-next.csv:1:") {
		t.Error("the log does not say so")
	}
	if got := shadowOf(); got != "deny" {
		t.Errorf("after a broken candidate, the last good one says %q", got)
	}
}

func TestCandidateThatDoesNotLoadEndsTheStartWithThree(t *testing.T) {
	t.Parallel()
	o := withCandidate(t, "p, role:viewer, argocd, /**, GET, Allow\n")
	o.NoDex, o.NoAuthgate = true, true
	s := set(t, o)
	if code, said := refusesToStart(t, s); code != 3 || !strings.Contains(said, "policy-next.csv:1:") {
		t.Errorf("exit code %d: %s", code, said)
	}
}
