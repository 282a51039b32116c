package replay_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/policy/policytest"
	"github.com/example-org/authgate/policy/replay"
)

func TestPeopleOfALogAreWhoTheirLineSaysTheyAre(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, `
p, role:viewer, u, /viewer, GET, allow
p, role:admin, u, /admin, GET, allow
p, o:team, u, /team, GET, allow
p, o:*, u, /org, GET, allow
p, user:me@x, u, /me, GET, allow
p, user:*@y, u, /domain, GET, allow
p, user:!@y, u, /odd, GET, allow
p, system:authenticated, u, /signed-in, GET, allow
p, system:anonymous, u, /open, GET, allow
p, system:anonymous, u, /admin-only, GET, allow
p, role:viewer, u, /admin-only, GET, deny
g, o:team, role:viewer
`)
	withEmail := func(o replay.LoggedRequest) replay.LoggedRequest { o.Email = "Me@X"; return o }
	for _, c := range []struct {
		name string
		who  replay.LoggedRequest
		may  string
	}{
		{"groups go through the g rows of now, whatever roles were recorded", replay.LoggedRequest{User: "p", Groups: []string{"o:team"}, Roles: []string{"role:admin"}}, "/viewer /team /org /signed-in /open"},
		{"ORG:* is some team of it", policytest.InGroups("p", "o:*"), "/org /signed-in /open /admin-only"},
		{"user:EMAIL is among the groups", policytest.InGroups("p", "user:me@x"), "/me /signed-in /open /admin-only"},
		{"the e-mail address counts in addition to groups", withEmail(policytest.InGroups("p")), "/me /signed-in /open /admin-only"},
		{"user:*@DOMAIN is among the groups", policytest.InGroups("p", "user:*@y"), "/domain /signed-in /open /admin-only"},
		{"user:EMAIL tells more than its domain", policytest.InGroups("p", "user:!@y", "user:*@y"), "/domain /odd /signed-in /open /admin-only"},
		{"the address tells more than its domain", replay.LoggedRequest{User: "p", Email: "!@Y", Groups: []string{"user:*@y"}}, "/domain /odd /signed-in /open /admin-only"},
		{"the domain counts of an address", replay.LoggedRequest{User: "p", Email: "a@Y", Groups: []string{}}, "/domain /signed-in /open /admin-only"},
		{"no subdomain counts", replay.LoggedRequest{User: "p", Email: "a@z.y", Groups: []string{}}, "/signed-in /open /admin-only"},
		{"in no group is still a user", policytest.InGroups("p"), "/signed-in /open /admin-only"},
		{"roles are held where no groups are recorded", policytest.InRoles("p", "role:admin"), "/admin /signed-in /open /admin-only"},
		{"and with them the e-mail address", withEmail(policytest.InRoles("", "role:viewer")), "/viewer /me /signed-in /open"},
		{"roles of no person are just these", policytest.InRoles("", "role:viewer"), "/viewer /open"},
		{"anonymous", replay.LoggedRequest{}, "/open /admin-only"},
		{"anonymous, known by a group", policytest.InGroups("", "system:anonymous"), "/open /admin-only"},
		{"anonymous, whom the policy did not name", policytest.InGroups(""), "/open /admin-only"},
	} {
		var may []string
		for _, path := range []string{"/viewer", "/admin", "/team", "/org", "/me", "/domain", "/odd", "/signed-in", "/open", "/admin-only"} {
			r := replay.New(s)
			r.Add(policytest.LoggedRequest(t, c.who, "deny GET u:"+path))
			if policytest.Replayed(t, r).Granted == 1 {
				may = append(may, path)
			}
		}
		if got := strings.Join(may, " "); got != c.may {
			t.Errorf("%s: may %s, want %s", c.name, got, c.may)
		}
	}
}

func TestDifferencesAreGroupedAndTheMostFrequentComesFirst(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, `p, o:dev, u, /apps/*/sync, POST, allow
p, o:dev, u, /apps, GET, allow
p, o:dev, u, /secret/**, *, deny`)
	r := replay.New(s)
	add := func(identity replay.LoggedRequest, line string, after time.Duration, rule string) {
		identity.Time, identity.Rule = policytest.Noon.Add(after), rule
		r.Add(policytest.LoggedRequest(t, identity, line))
	}
	add(policytest.InGroups("ann", "o:dev"), "deny POST u:/apps/b/sync", time.Hour, "")
	add(policytest.InGroups("bob", "o:dev"), "deny POST u:/apps/a/sync", 0, "")
	add(policytest.InGroups("bob", "o:dev"), "deny POST u:/apps/c/sync", 2*time.Hour, "")
	add(policytest.InGroups("ann", "o:dev"), "allow GET u:/logs/1/x", 0, "old.csv:7")
	add(policytest.InGroups("ann", "o:dev"), "allow GET u:/logs/2/x", 0, "old.csv:7")
	add(policytest.InGroups("ann", "o:dev"), "allow GET u:/logs/2/x/y", 0, "old.csv:7")
	add(policytest.InGroups("ann", "o:dev"), "allow GET u:/secret/1", 0, "old.csv:8")
	add(policytest.InGroups("ann", "o:dev"), "allow GET u:/apps", 0, "old.csv:9")
	add(policytest.InGroups("ann", "o:dev"), "deny GET u:/elsewhere", 0, "")

	report := policytest.Replayed(t, r)
	if report.Requests != 9 || report.Granted != 3 || report.Revoked != 4 || report.People != 2 {
		t.Errorf("%+v", report)
	}
	var got []string
	for _, d := range report.Differences {
		got = append(got, fmt.Sprintf("%s %s %s:%s %v %s after %s: %d by %d, %s %s %s", d.Change, d.Method, d.Upstream, d.Path, d.Subjects, d.Rule,
			d.RuleBefore, d.Requests, d.People, d.First.Format("15h"), d.Last.Format("15h"), d.Example.Path))
	}
	want := []string{
		"granted POST u:/apps/*/sync [o:dev] policy.csv:1 after : 3 by 2, 12h 14h /apps/b/sync",
		"revoked GET u:/logs/*/x [o:dev]  after old.csv:7: 2 by 1, 12h 12h /logs/1/x",
		"revoked GET u:/logs/2/x/y [o:dev]  after old.csv:7: 1 by 1, 12h 12h /logs/2/x/y",
		"revoked GET u:/secret/** [o:dev] policy.csv:3 after old.csv:8: 1 by 1, 12h 12h /secret/1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAReplaySaysWhatItCouldNotSee(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, `p, role:a, u, /, GET, allow
p, o:seen, u, /, GET, allow
p, o:*, u, /, GET, allow
p, user:Me@x, u, /, GET, allow
g, q:*, role:a
g, o:new, role:a
g, user:you@x, role:a
g, user:*@X, role:a
g, user:*@y, role:a`)
	r := replay.New(s)
	identity := policytest.InGroups("p", "o:seen")
	identity.Email = "ME@x"
	r.Add(policytest.LoggedRequest(t, identity, "allow GET u:/"))
	r.Add(policytest.LoggedRequest(t, policytest.InRoles("p", "role:a"), "allow GET u:/"))
	report := policytest.Replayed(t, r)
	if want := []string{"o:new", "q:*", "user:*@y", "user:you@x"}; !slices.Equal(report.UnseenSubjects, want) {
		t.Errorf("unseen are %q, want %q", report.UnseenSubjects, want)
	}
	if report.ByRoles != 1 {
		t.Errorf("%d judged by roles, want 1", report.ByRoles)
	}
}

func TestWhatAReplayKeepsIsBounded(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, "p, o:dev, u, /, GET, allow")
	r := replay.New(s)
	const many = 10_300
	for i := range many {
		r.Add(policytest.LoggedRequest(t, policytest.InGroups(fmt.Sprint("p", i), "o:dev"), fmt.Sprintf("allow GET u%d:/x", i)))
	}
	for i := range 150 {
		r.Add(policytest.LoggedRequest(t, policytest.InGroups(fmt.Sprint("q", i), "o:dev"), "allow GET u0:/x"))
	}
	report := policytest.Replayed(t, r)
	if len(report.Differences) != 10_000 || report.Ungrouped != 300 || report.Revoked != many+150 {
		t.Errorf("%d differences, %d ungrouped, %d revoked", len(report.Differences), report.Ungrouped, report.Revoked)
	}
	if d := report.Differences[0]; d.People != 100 || !d.PeopleMore || d.Requests != 151 {
		t.Errorf("%d people, more: %v, of %d requests", d.People, d.PeopleMore, d.Requests)
	}
}
