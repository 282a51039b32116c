package audit_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/example-org/authgate/audit"
)

// newRecent gives a writer that records nothing else.
func newRecent() (*audit.Writer, *audit.Recent) {
	w := audit.New(nil, slog.New(slog.DiscardHandler))
	w.Recent = new(audit.Recent)
	return w, w.Recent
}

func TestRecentKeepsRefusalsAndFailedLogins(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		record audit.Record
		kept   bool
	}{
		"allowed":                 {audit.Record{Event: audit.Request, Decision: audit.Allow, Status: 200}, false},
		"an upstream's own error": {audit.Record{Event: audit.Request, Decision: audit.Allow, Status: 500}, false},
		"denied":                  {audit.Record{Event: audit.Request, Decision: audit.Deny, Status: 403}, true},
		"refused":                 {audit.Record{Event: audit.Request, Decision: audit.Refuse, Status: 421}, true},
		"led to the login":        {audit.Record{Event: audit.Request, Decision: audit.LoginRequired, Status: 302}, false},
		"asked to sign in":        {audit.Record{Event: audit.Request, Decision: audit.LoginRequired, Status: 401}, true},
		"signed in":               {audit.Record{Event: audit.Login, Decision: audit.Allow, Status: 302}, false},
		"a login that failed":     {audit.Record{Event: audit.LoginFailed, Decision: audit.Refuse, Status: 400}, true},
		"groups not refreshed":    {audit.Record{Event: audit.Refresh, Decision: audit.Refuse, Reason: "revoked"}, true},
		"a stream that was cut":   {audit.Record{Event: audit.StreamCut, Decision: audit.Deny}, true},
		"a policy that is wrong":  {audit.Record{Event: audit.Policy, Decision: audit.Refuse, Reason: "policy.csv:1:1: no"}, false},
	} {
		w, recent := newRecent()
		w.Write(c.record)
		if kept := len(recent.Refusals()) == 1; kept != c.kept {
			t.Errorf("%s: kept is %t", what, kept)
		}
	}
}

func TestRecentShowsTheNewestFirstAndForgetsTheOldest(t *testing.T) {
	t.Parallel()
	w, recent := newRecent()
	for i := range audit.RecentSize + 50 {
		w.Write(audit.Record{Event: audit.Request, Decision: audit.Deny, Email: "bob@example.com", ID: fmt.Sprint(i)})
	}
	all := recent.Refusals()
	if len(all) != audit.RecentSize || all[0].ID != fmt.Sprint(audit.RecentSize+49) || all[len(all)-1].ID != "50" {
		t.Errorf("%d entries, from %s to %s", len(all), all[0].ID, all[len(all)-1].ID)
	}
}

func TestRequestsWithoutAUserDoNotPushOutThoseOfUsers(t *testing.T) {
	t.Parallel()
	w, recent := newRecent()
	w.Write(audit.Record{Event: audit.Request, Decision: audit.Deny, Subject: "sub-bob", ID: "bob"})
	for range 10 * audit.RecentSize {
		w.Write(audit.Record{Event: audit.Request, Decision: audit.Refuse, Reason: "unknown_host"})
	}
	all := recent.Refusals()
	if len(all) != audit.RecentSize+1 || all[len(all)-1].ID != "bob" {
		t.Errorf("%d entries, the last is %+v", len(all), all[len(all)-1])
	}
}

// The memory is fixed, and nothing but the e-mail address says who the user is.
func TestEntriesAreShortAndHaveNoGroups(t *testing.T) {
	t.Parallel()
	w, recent := newRecent()
	long := strings.Repeat("é", 50_000)
	w.Write(audit.Record{
		Event: audit.Request, Decision: audit.Deny, Host: long, Method: long, Path: "/" + long, Email: long, Reason: long,
		Rule: long, ID: long, Remote: long, Upstream: long, Groups: []string{"example-org:secret"}, Roles: []string{"role:secret"}, Subject: "sub-secret",
	})
	shown := fmt.Sprintf("%+v", recent.Refusals())
	if len(shown) > 4<<10 || strings.Contains(shown, "secret") || strings.Contains(shown, "\uFFFD") {
		t.Errorf("%d bytes: %.300s", len(shown), shown)
	}
}

func TestRecentKeepsWhatTheShadowPolicyWouldDecideDifferently(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		decision audit.Decision
		shadow   string
		kept     bool
	}{
		"both allow":                        {audit.Allow, "allow", false},
		"both deny":                         {audit.Deny, "deny", false},
		"granted":                           {audit.Deny, "allow", true},
		"revoked":                           {audit.Allow, "deny", true},
		"granted without login":             {audit.LoginRequired, "allow", true},
		"no shadow policy":                  {audit.Allow, "", false},
		"allowed, and the upstream is down": {audit.Refuse, "allow", false},
	} {
		w, recent := newRecent()
		w.Write(audit.Record{Event: audit.Request, Decision: c.decision, Shadow: c.shadow})
		if kept := len(recent.Differences()) == 1; kept != c.kept {
			t.Errorf("%s: kept is %t", what, kept)
		}
	}
}

func TestRecentIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	w, recent := newRecent()
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			for range 500 {
				w.Write(audit.Record{Event: audit.Request, Decision: audit.Deny, Email: fmt.Sprint(i)})
				recent.Refusals()
			}
		})
	}
	running.Wait()
	if n := len(recent.Refusals()); n != audit.RecentSize {
		t.Errorf("%d entries", n)
	}
}

func TestAnAllowedRequestCostsNothing(t *testing.T) {
	w, _ := newRecent()
	record := audit.Record{Event: audit.Request, Decision: audit.Allow, Shadow: "allow", Path: "/applications"}
	if n := testing.AllocsPerRun(100, func() { w.Write(record) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
