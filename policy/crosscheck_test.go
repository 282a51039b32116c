package policy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/policytest"
)

const crossChecked = `
p, role:dev, argocd, /**, *, allow
p, role:dev, argocd, /secret/*, GET, deny
p, role:ops, argocd, /b/*/c, GET|POST, allow
g, example-org:dev, role:dev
g, example-org:also-dev, role:dev
`

// inBackground confirms until the test ends, and hands over what is reported.
func inBackground(t *testing.T, s *policy.Snapshot) <-chan policy.Disagreement {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	reports, ended := make(chan policy.Disagreement), make(chan struct{})
	begun := enableCrossCheck(s)
	go func() {
		defer close(ended)
		begun(ctx, func(d policy.Disagreement) {
			select {
			case reports <- d:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { stop(); <-ended })
	return reports
}

// nextReport waits for a disagreement.
func nextReport(t *testing.T, reports <-chan policy.Disagreement) policy.Disagreement {
	t.Helper()
	select {
	case d := <-reports:
		return d
	case <-time.After(10 * time.Second):
		t.Fatal("no disagreement was reported")
		return policy.Disagreement{}
	}
}

// enableCrossCheck lets a snapshot queue requests that are not checked yet.
func enableCrossCheck(s *policy.Snapshot) func(context.Context, func(policy.Disagreement)) {
	ended, stop := context.WithCancel(context.Background())
	stop()
	s.CrossCheck(ended, nil)
	return s.CrossCheck
}

func TestADisagreementIsReportedAndDeniesFromThenOn(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, crossChecked)
	s.LoseDenials()
	dev := policy.Identity{Groups: []string{"example-org:dev"}}
	reports := inBackground(t, s)
	if !policytest.Ask(t, s, dev, "GET argocd:/secret/x").Allowed() || s.Demoted() {
		t.Fatal("the index was not made to err, or casbin has reported it already")
	}
	d := nextReport(t, reports)
	if d.Request.Upstream != "argocd" || d.Request.Path.String() != "/secret/x" || d.Request.Method != "GET" ||
		strings.Join(d.Request.Roles.Names(), " ") != "role:dev" ||
		policytest.DecisionText(d.Index) != "allow policy.csv:2" || policytest.DecisionText(d.Casbin) != "deny policy.csv:3" || d.Err != nil {
		t.Errorf("reported: %+v", d)
	}
	if !s.Demoted() {
		t.Error("the snapshot is not demoted")
	}
	for question, want := range map[string]string{
		"GET argocd:/secret/x":  "deny",
		"GET argocd:/secret/y":  "deny", // of the same kind
		"POST argocd:/secret/x": "allow policy.csv:2",
		"GET argocd:/else":      "allow policy.csv:2",
		"GET other:/else":       "deny",
	} {
		if got := policytest.DecisionText(policytest.Ask(t, s, dev, question)); got != want {
			t.Errorf("demoted: %s: %s, want %s", question, got, want)
		}
	}
	if policytest.Ask(t, s, dev, "GET argocd:/secret/x").NoMatch() || policytest.Ask(t, s, dev, "GET argocd:/else").NoMatch() || !policytest.Ask(t, s, dev, "GET other:/else").NoMatch() {
		t.Error("a no for want of agreement passes for one for want of a row, or the reverse")
	}
	if got := admitted(s.Admitted("argocd", policytest.Path(t, "/else"), "GET")); got != nil {
		t.Errorf("demoted, and yet admits %q", got)
	}
}

func TestWhereCasbinFailsTheAnswerIsNo(t *testing.T) {
	t.Parallel()
	for _, panics := range []bool{false, true} {
		t.Run(fmt.Sprintf("panics=%t", panics), func(t *testing.T) {
			t.Parallel()
			s := policytest.Load(t, crossChecked)
			s.BreakCasbin("argocd", panics)
			dev := policy.Identity{Groups: []string{"example-org:dev"}}
			reports := inBackground(t, s)
			if !policytest.Ask(t, s, dev, "GET argocd:/").Allowed() {
				t.Fatal("denied before casbin was asked")
			}
			if d := nextReport(t, reports); d.Err == nil || !s.Demoted() {
				t.Errorf("reported %+v, demoted %t", d, s.Demoted())
			}
			for _, question := range []string{"GET argocd:/", "GET argocd:/secret/x"} {
				if d := policytest.Ask(t, s, dev, question); d.Allowed() || d.NoMatch() {
					t.Errorf("though casbin fails: %+v", d)
				}
			}
		})
	}
}

func TestCasbinIsAskedOnceForEachKindOfQuestion(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, crossChecked)
	enableCrossCheck(s)
	dev, also, none := policy.Identity{Groups: []string{"example-org:dev"}}, policy.Identity{Groups: []string{"example-org:also-dev", "x:y"}}, policy.Identity{}
	for _, c := range []struct {
		who      policy.Identity
		question string
		waiting  int
	}{
		{dev, "GET argocd:/a", 1},
		{dev, "GET argocd:/a", 1},
		{dev, "GET argocd:/z/z/z", 1}, // matches the same patterns
		{also, "GET argocd:/a", 1},    // is the same subjects, as far as rows name them
		{dev, "PUT argocd:/a", 2},
		{dev, "PATCH argocd:/a", 2}, // no row tells PUT from PATCH
		{dev, "POST argocd:/a", 3},
		{dev, "HEAD argocd:/a", 4},
		{none, "GET argocd:/a", 5},
		{dev, "GET argocd:/b/x/c", 6},
		{dev, "GET argocd:/b/y/c", 6},
		{dev, "GET other:/b/y/c", 7},
		{dev, "GET argocd:/secret/a", 8},
	} {
		policytest.Ask(t, s, c.who, c.question)
		if got := s.PendingChecks(); got != c.waiting {
			t.Errorf("%+v: %s: %d questions wait, want %d", c.who, c.question, got, c.waiting)
		}
	}
}

// manyKinds asks one question of each of n kinds.
func manyKinds(t *testing.T, s *policy.Snapshot, n int) {
	t.Helper()
	roles := s.Resolve(policy.Identity{Groups: []string{"a"}})
	for i := range n {
		q := policy.Request{Roles: roles, Upstream: "u", Path: policytest.Path(t, fmt.Sprintf("/%d", i)), Method: "GET"}
		if !s.Decide(q).Allowed() {
			t.Fatalf("%d is denied", i)
		}
	}
}

func policyOfKinds(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "p, a, u, /%d, GET, allow\n", i)
	}
	return text.String()
}

func TestRequestsDoNotWaitForCasbin(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, policyOfKinds(1000))
	enableCrossCheck(s)
	manyKinds(t, s, 1000)
	full := s.PendingChecks()
	if full == 0 || full >= 1000 {
		t.Errorf("%d questions wait", full)
	}
}

func TestCrossCheckingTakesAFifthOfTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := policytest.Load(t, policyOfKinds(10))
		if err := s.Prepare(); err != nil {
			t.Fatal(err)
		}
		s.SlowCasbin("u", time.Millisecond)
		inBackground(t, s)
		manyKinds(t, s, 10)
		for begun := time.Now(); s.PendingChecks() > 0; synctest.Wait() {
			elapsed := time.Since(begun)
			if worked := 10 - s.PendingChecks(); time.Duration(worked-1)*5*time.Millisecond > elapsed {
				t.Fatalf("%d questions in %v, at a millisecond each", worked, elapsed)
			}
			if elapsed > time.Second {
				t.Fatalf("%d questions still wait after %v", s.PendingChecks(), elapsed)
			}
			<-time.After(time.Millisecond)
		}
	})
}

func TestPrepareFindsAnIndexThatErrs(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*policy.Snapshot){
		"a denial lost": (*policy.Snapshot).LoseDenials,
		"a grant lost":  (*policy.Snapshot).ForgetGrants,
		"casbin broken": func(s *policy.Snapshot) { s.BreakCasbin("argocd", false) },
	} {
		s := policytest.Load(t, crossChecked)
		if err := s.Prepare(); err != nil {
			t.Errorf("sound: %v", err)
		}
		spoil(s)
		if err := s.Prepare(); err == nil || !strings.Contains(err.Error(), "please report this") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Prepare uses all processors; with -race this also shows that what it does is safe.
func TestPrepareAsksTheEnforcerOfEachUpstream(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("p, role:any, *, /every, GET, allow\ng, example-org:dev, role:any\n")
	for i := range 40 {
		fmt.Fprintf(&text, "p, role:r%d, u%d, /%d/**, GET, allow\np, role:r%d, u%d, /%d/x, GET, deny\n", i, i, i, i, i, i)
		fmt.Fprintf(&text, "g, example-org:t%d, role:r%d\n", i, i)
	}
	for _, known := range [][]string{nil, upstreamNames(40)} {
		load := func() *policy.Snapshot {
			s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(text.String())}}, known)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if err := load().Prepare(); err != nil {
			t.Errorf("sound: %v", err)
		}
		for _, broken := range []string{"u0", "u23", "u39"} {
			for _, panics := range []bool{false, true} {
				s := load()
				s.BreakCasbin(broken, panics)
				if err := s.Prepare(); err == nil || !strings.Contains(err.Error(), "please report this") {
					t.Errorf("casbin broken for %s, panics %t: %v", broken, panics, err)
				}
			}
		}
	}
}

func upstreamNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("u%d", i)
	}
	return names
}

func TestVerifyHoldsOneAnswerAgainstCasbin(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, crossChecked)
	dev := s.Resolve(policy.Identity{Groups: []string{"example-org:dev"}})
	questions := []policy.Request{
		{Roles: dev, Upstream: "argocd", Path: policytest.Path(t, "/secret/x"), Method: "GET"},
		{Roles: dev, Upstream: "argocd", Path: policytest.Path(t, "/"), Method: "PUT"},
		{Roles: dev, Upstream: "other", Path: policytest.Path(t, "/"), Method: "PUT"},
		{Roles: dev, Upstream: "*", Path: policytest.Path(t, "/"), Method: "PUT"},
		{},
	}
	for _, q := range questions {
		if err := s.Verify(q); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
	s.ForgetGrants()
	half := questions[0]
	half.Roles = s.Resolve(policy.Identity{Groups: []string{"example-org:dev"}})
	if err := s.Verify(half); err == nil || !strings.Contains(err.Error(), "role:dev") {
		t.Errorf("a lost grant: %v", err)
	}
	s.LoseDenials()
	if err := s.Verify(questions[0]); err == nil || !strings.Contains(err.Error(), "deny policy.csv:3") {
		t.Errorf("a lost denial: %v", err)
	}
}
