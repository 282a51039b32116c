package proxy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/policy"
)

// largePolicy has 10,000 rows of which bob's requests meet the last few: under
// "red" he may open /red and a row keeps him from /blue, under "blue" the reverse.
func largePolicy(t testing.TB, may, mayNot string) *policy.Snapshot {
	t.Helper()
	var csv strings.Builder
	for i := range 9_996 {
		fmt.Fprintf(&csv, "p, role:filler-%d, argocd, /api/v1/%s/%d/**, GET, allow\n", i%50, may, i)
	}
	fmt.Fprintf(&csv, "p, role:viewer, argocd, /**, GET, allow\np, role:viewer, argocd, /%s/**, *, deny\n", mayNot)
	fmt.Fprintf(&csv, "g, example-org:dev, role:viewer\np, system:anonymous, argocd, /%s/open, *, allow\n", may)
	return load(t, csv.String())
}

// Every answer, and what the candidate says to it, must be that of the policy
// whose hash the record bears, while both are replaced all the time.
func TestReloadsUnderLoadGiveNoWrongAnswer(t *testing.T) {
	t.Parallel()
	red, blue := largePolicy(t, "red", "blue"), largePolicy(t, "blue", "red")
	mayOpen := map[string]string{red.Hash(): "/red/", blue.Hash(): "/blue/"}
	candidates := []*policy.Snapshot{
		load(t, "p, role:all, *, /**, *, allow\ng, example-org:dev, role:all\n"),
		load(t, "p, system:authenticated, argocd, /**, *, allow\n"),
	}

	g := newGate(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	g.SetPolicy(red)
	g.SetShadow(candidates[0])
	begun := len(g.records())

	ctx, end := context.WithCancel(t.Context())
	var confirming sync.WaitGroup
	confirming.Go(func() { g.RunCrossCheck(ctx) })
	defer confirming.Wait()
	defer end()

	stop, answered := make(chan struct{}), make(chan struct{})
	var asking sync.WaitGroup
	for _, path := range []string{"/red/x", "/blue/y", "/red/z", "/blue/open"} {
		bob := g.as("bob")
		asking.Go(func() {
			for {
				r := httptest.NewRequest("GET", path, nil)
				r.RemoteAddr, r.Host = "127.0.0.1:1", "argo-cd.example.com"
				r.Header.Set("X-Forwarded-Proto", "https")
				r.Header.Set(bob[0], bob[1])
				g.ServeHTTP(httptest.NewRecorder(), r)
				select {
				case <-stop:
					return
				case answered <- struct{}{}:
				}
			}
		})
	}
	for i := range 200 {
		g.SetPolicy([]*policy.Snapshot{blue, red}[i%2])
		g.SetShadow(candidates[(i+1)%2])
		g.RejectPolicy(errTest("policy.csv: cut short"))
		for range 8 {
			<-answered
		}
	}
	close(stop)
	asking.Wait()

	answers := map[audit.Decision]int{}
	for _, r := range g.records()[begun:] {
		if r.Event != audit.Request {
			continue
		}
		want := audit.Deny
		if strings.HasPrefix(r.Path, mayOpen[r.Policy]) {
			want = audit.Allow
		}
		if r.Decision != want || r.Shadow != "allow" {
			t.Fatalf("%s under %s: %s by %q, shadow %q; want %s, shadow allow", r.Path, mayOpen[r.Policy], r.Decision, r.Rule, r.Shadow, want)
		}
		answers[r.Decision]++
	}
	g.wantMetrics("authgate_policy_disagreements_total 0")
	if answers[audit.Allow] < 100 || answers[audit.Deny] < 100 {
		t.Errorf("too few answers to tell: %v", answers)
	}
}

// A tool that spoils one column spoils it in each row. No one reads thousands of
// faults in a log line, and many a reader of logs would cut it or give up.
func TestThousandsOfFaultsAreToldInBrief(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("あ", 10_000)
	for name, text := range map[string]string{
		"many":      strings.Repeat("p, role:viewer, argocd, /a, GET, Allow\n", 10_000),
		"long ones": fmt.Sprintf("g, role:%s, role:x%[1]s\n", long),
	} {
		g := newGate(t, nil)
		_, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(text)}}, nil)
		if err == nil || len(err.Error()) < 20_000 {
			t.Fatalf("%s: %v", name, err)
		}
		g.RejectPolicy(err)
		all := g.records()
		reason := all[len(all)-1].Reason
		if len(reason) > 10_000 || strings.ContainsRune(reason, utf8.RuneError) {
			t.Errorf("%s: %d bytes in the audit", name, len(reason))
		}
		for _, want := range []string{"policy.csv:1:", "authgate config check"} {
			if !strings.Contains(reason, want) {
				t.Errorf("%s: the audit does not say %q: %.200s", name, want, reason)
			}
		}
		if name == "many" && !strings.Contains(reason, "and 9990 more") {
			t.Errorf("it does not say how many more: %.2000s", reason)
		}
		w := httptest.NewRecorder()
		g.admin.Port(g.registry).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		if w.Body.Len() > 20_000 || !strings.Contains(w.Body.String(), "policy.csv:1:") {
			t.Errorf("%s: %d bytes of /readyz", name, w.Body.Len())
		}
		if len(g.log.String()) > 50_000 {
			t.Errorf("%s: %d bytes of log", name, len(g.log.String()))
		}
		g.SetShadow(load(t, candidate))
		g.RejectShadow(err)
		if len(g.log.String()) > 80_000 {
			t.Errorf("%s: %d bytes of log with the candidate's", name, len(g.log.String()))
		}
	}
}
