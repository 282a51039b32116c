package suggest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/policytest"
	"github.com/example-org/authgate/policy/replay"
	"github.com/example-org/authgate/policy/suggest"
	"github.com/example-org/authgate/target"
)

// suggest makes a suggestion from lines such as "o:dev allow GET u:/a", each by
// a user in that group, or who holds these roles, or by an anonymous one ("-"), and with
// @3 after it if the log says that policy.csv:3 decided.
func suggested(t *testing.T, options suggest.Options, lines ...string) suggest.Report {
	t.Helper()
	if options.Distinct == 0 {
		options.Distinct = 3
	}
	s := suggest.New(options)
	for _, line := range lines {
		name, line, _ := strings.Cut(line, " ")
		line, row, recorded := strings.Cut(line, " @")
		identity := policytest.InGroups("p", strings.Split(name, "+")...)
		if strings.HasPrefix(name, "role:") {
			identity = policytest.InRoles("p", strings.Split(name, "+")...)
		} else if name == "-" {
			identity = replay.LoggedRequest{}
		}
		if recorded {
			identity.Policy, identity.Rule = "hash", "policy.csv:"+row
		}
		s.Add(policytest.LoggedRequest(t, identity, line))
	}
	report, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// changes gives a suggestion in short: + and = rows, then - rows.
func changes(r suggest.Report) []string {
	var rows []string
	for _, row := range r.Rows {
		sign := map[string]string{suggest.NewRow: "+", suggest.KeptRow: "="}[row.Change]
		rows = append(rows, fmt.Sprintf("%s %s %s:%s %s %d/%d", sign, row.Subject, row.Upstream, row.Path, row.Methods, row.Requests, row.Paths))
	}
	for _, row := range r.Remove {
		rows = append(rows, "- "+row.Rule+" "+row.Reason)
	}
	for _, left := range r.LeftOut {
		rows = append(rows, fmt.Sprintf("! %s%s %d", left.Reason, left.Rule, left.Requests))
	}
	return rows
}

func TestSuggestedRowsGeneralizeIDsAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, log, want string
	}{
		{"three values are an id", "GET u:/a/1; GET u:/a/2; GET u:/a/3", "/a/* GET 3/3"},
		{"two are not", "GET u:/a/1; GET u:/a/2", "/a/1 GET 1/1; /a/2 GET 1/1"},
		{"the same one often is not", "GET u:/a/1; GET u:/a/1; GET u:/a/1; GET u:/a/2", "/a/1 GET 3/1; /a/2 GET 1/1"},
		{"all else has to be the same", "GET u:/a/1/x; GET u:/a/2/x; GET u:/a/3/y", "/a/1/x GET 1/1; /a/2/x GET 1/1; /a/3/y GET 1/1"},
		{"the method, too", "GET u:/a/1; POST u:/a/2; PUT u:/a/3", "/a/1 GET 1/1; /a/2 POST 1/1; /a/3 PUT 1/1"},
		{"and the upstream", "GET u:/a/1; GET u:/a/2; GET v:/a/3", "/a/1 GET 1/1; /a/2 GET 1/1; /a/3 GET 1/1"},
		{"and the trailing slash", "GET u:/a/1; GET u:/a/2; GET u:/a/3/", "/a/1 GET 1/1; /a/2 GET 1/1; /a/3/ GET 1/1"},
		{"an empty segment is no value", "GET u:/a/; GET u:/a/1; GET u:/a/2", "/a/ GET 1/1; /a/1 GET 1/1; /a/2 GET 1/1"},
		{"the first segment stays", "GET u:/1; GET u:/2; GET u:/3", "/1 GET 1/1; /2 GET 1/1; /3 GET 1/1"},
		{"in the middle", "GET u:/a/1/x; GET u:/a/2/x; GET u:/a/3/x", "/a/*/x GET 3/3"},
		{"two ids", "GET u:/a/1/x/1; GET u:/a/1/x/2; GET u:/a/1/x/3; GET u:/a/2/x/1; GET u:/a/2/x/2; GET u:/a/2/x/3; " +
			"GET u:/a/3/x/1; GET u:/a/3/x/2; GET u:/a/3/x/3", "/a/*/x/* GET 9/9"},
		{"what a * covers needs no row", "GET u:/a/1/x/1; GET u:/a/1/x/2; GET u:/a/1/x/3; GET u:/a/2/x/1; GET u:/a/2/x/2; GET u:/a/2/x/3; " +
			"GET u:/a/3/x/1; GET u:/a/3/x/2; GET u:/a/3/x/3; GET u:/a/4/x/1; HEAD u:/a/4/x/4", "/a/*/x/* GET 11/11"},
		{"the last segment first", "GET u:/a/1/x/1; GET u:/a/2/x/1; GET u:/a/3/x/1; GET u:/a/1/x/2; GET u:/a/1/x/3", "/a/1/x/* GET 3/3; /a/2/x/1 GET 1/1; /a/3/x/1 GET 1/1"},
		{"methods of a path share a row", "GET u:/a/1; POST u:/a/1; DELETE u:/a/1", "/a/1 DELETE|GET|POST 3/1"},
		{"GET has HEAD in it", "HEAD u:/a/1; GET u:/a/1; HEAD u:/b", "/a/1 GET 2/1; /b HEAD 1/1"},
		{"and a folded GET, too", "HEAD u:/a/4; GET u:/a/1; GET u:/a/2; GET u:/a/3", "/a/* GET 4/4"},
		{
			"words lead on to different things", "GET u:/v/apps; GET u:/v/users; GET u:/v/logs; GET u:/v/apps/mine; GET u:/v/users/me",
			"/v/apps GET 1/1; /v/apps/mine GET 1/1; /v/logs GET 1/1; /v/users GET 1/1; /v/users/me GET 1/1",
		},
		{"ids lead on to the same", "GET u:/v/1; GET u:/v/2; GET u:/v/3; GET u:/v/1/log; GET u:/v/2/log", "/v/* GET 3/3; /v/1/log GET 1/1; /v/2/log GET 1/1"},
		{"one odd value hides no ids", "GET u:/v/1; GET u:/v/2; GET u:/v/3; GET u:/v/1/log", "/v/* GET 3/3; /v/1/log GET 1/1"},
		{"escapes stay", "GET u:/a/x%2Fy; GET u:/a/%C3%A9", "/a/%C3%A9 GET 1/1; /a/x%2Fy GET 1/1"},
	} {
		var log []string
		for line := range strings.SplitSeq(c.log, "; ") {
			log = append(log, "o:dev allow "+line)
		}
		got := strings.Join(changes(suggested(t, suggest.Options{}, log...)), "; ")
		got = strings.ReplaceAll(strings.ReplaceAll(got, "+ o:dev u:", ""), "+ o:dev v:", "")
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
		exact := suggested(t, suggest.Options{Exact: true}, log...)
		if strings.Contains(exact.Policy(), "*") {
			t.Errorf("%s: a * where none is wanted:\n%s", c.name, exact.Policy())
		}
	}
}

func TestASuggestionNamesTheSubjectsThatFewestGainBy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, log, want string }{
		{"a role of its own", "role:a allow GET u:/x", "+ role:a u:/x GET 1/1"},
		{
			"what only people with a further role did is the further role's",
			"role:viewer allow GET u:/x; role:viewer allow GET u:/y; role:admin+role:viewer allow GET u:/x; role:admin+role:viewer allow DELETE u:/x",
			"+ role:admin u:/x DELETE 1/1; + role:viewer u:/x GET 2/1; + role:viewer u:/y GET 1/1",
		},
		{
			"what the users share who asked, and no other user is",
			"role:a+role:v allow GET u:/x; role:b+role:v allow GET u:/x", "+ role:v u:/x GET 2/1",
		},
		{
			"but not what others are, too, who did not ask",
			"role:a+role:v allow GET u:/x; role:b+role:v allow GET u:/x; role:v allow GET u:/y", "+ role:a u:/x GET 1/1; + role:b u:/x GET 1/1; + role:v u:/y GET 1/1",
		},
		{
			"no user to whom it was refused",
			"role:a+role:v allow GET u:/x; role:b+role:v allow GET u:/x; role:a deny GET u:/x; role:v deny GET u:/x; role:b+role:c allow PUT u:/x; role:b deny PUT u:/x",
			"+ role:a u:/x GET 1/1; + role:b u:/x GET 1/1; + role:c u:/x PUT 1/1",
		},
		{
			"what all are whom the same row let in",
			"role:v allow GET u:/x @3; role:a+role:v allow GET u:/y @3; role:a+role:v allow PUT u:/y @4", "+ role:a u:/y PUT 1/1; + role:v u:/x GET 1/1; + role:v u:/y GET 1/1",
		},
		{
			"a group, where that row let in people of different roles",
			"o:x+system:authenticated allow GET u:/x @3; system:authenticated allow GET u:/y @3", "+ system:authenticated u:/x GET 1/1; + system:authenticated u:/y GET 1/1",
		},
		{
			"but every user only where the groups of all are known",
			"role:a allow GET u:/x @3; role:b allow GET u:/y @3", "+ role:a u:/x GET 1/1; + role:b u:/y GET 1/1",
		},
		{"anonymous, where that row admitted anonymous requests", "- allow GET u:/x @3; role:a allow GET u:/y @3", "+ system:anonymous u:/x GET 1/1; + system:anonymous u:/y GET 1/1"},
		{
			"one that a * of theirs lets in anyway",
			"role:v allow GET u:/a/1; role:v allow GET u:/a/2; role:v allow GET u:/a/3; role:a+role:v allow GET u:/a/4; role:a+role:v allow HEAD u:/a/5; role:a+role:v allow PUT u:/a/4",
			"+ role:a u:/a/4 PUT 1/1; + role:v u:/a/* GET 5/5",
		},
		{
			"a * that a user asked for is none", "role:v allow GET u:/a/*; role:a+role:v allow GET u:/a/x",
			"+ role:a u:/a/x GET 1/1; ! the path holds a *, which stands for other paths, too, in a row 1",
		},
		{
			"groups where there are no roles", "o:dev+system:authenticated allow GET u:/x; system:authenticated allow GET u:/y",
			"+ o:dev u:/x GET 1/1; + system:authenticated u:/y GET 1/1",
		},
		{"a person whom a policy named", "user:me@x allow GET u:/x", "+ user:me@x u:/x GET 1/1"},
		{"a domain that a policy named", "user:*@x allow GET u:/x", "+ user:*@x u:/x GET 1/1"},
		{
			"a * reaches nothing that was refused to them, unless it was allowed, too",
			"o:a allow GET u:/a/1; o:a allow GET u:/a/2; o:a allow GET u:/a/3; o:a+o:c deny GET u:/a/9; o:b allow GET u:/a/1; o:b allow GET u:/a/2; o:b allow GET u:/a/3; o:b deny GET u:/a/3; o:b deny PUT u:/a/4",
			"+ o:a u:/a/1 GET 1/1; + o:a u:/a/2 GET 1/1; + o:a u:/a/3 GET 1/1; + o:b u:/a/* GET 3/3",
		},
		{
			"nor HEAD where GET has it in it, and no user where one was refused",
			"o:a allow GET u:/a/1; o:a allow GET u:/a/2; o:a allow GET u:/a/3; o:a deny HEAD u:/a/4; - allow GET u:/b/1; - allow GET u:/b/2; - allow GET u:/b/3; o:c deny GET u:/b/4",
			"+ o:a u:/a/1 GET 1/1; + o:a u:/a/2 GET 1/1; + o:a u:/a/3 GET 1/1; + system:anonymous u:/b/1 GET 1/1; + system:anonymous u:/b/2 GET 1/1; + system:anonymous u:/b/3 GET 1/1",
		},
		{"anonymous", "- allow GET u:/x", "+ system:anonymous u:/x GET 1/1"},
		{"what was refused is not suggested", "o:dev deny GET u:/x; - login GET u:/x", ""},
		{
			"what no row can say alone is not, either", "o:dev allow GET u:/a*b; o:dev allow get u:/; o:dev allow GET a/b:/; o:d* allow GET u:/; o:dev allow GET u:/ok",
			"+ o:dev u:/ok GET 1/1; ! no row can name this method 1; ! no row can name this subject 1; ! no row can name this upstream 1; " +
				"! the path holds a *, which stands for other paths, too, in a row 1",
		},
	} {
		got := strings.Join(changes(suggested(t, suggest.Options{}, strings.Split(c.log, "; ")...)), "; ")
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestTheSubjectThatTheFewestPeopleAreIsCountedByPeople(t *testing.T) {
	t.Parallel()
	s := suggest.New(suggest.Options{Distinct: 3})
	add := func(person, line string, roles ...string) {
		s.Add(policytest.LoggedRequest(t, policytest.InRoles(person, roles...), line))
	}
	add("alice", "allow GET u:/x", "role:a", "role:b")
	for range 9 {
		add("dave", "allow GET u:/a", "role:b")
	}
	add("erin", "deny GET u:/b", "role:a")
	add("fred", "deny GET u:/b", "role:a")
	report, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(changes(report), "; "), "+ role:b u:/a GET 9/1; + role:b u:/x GET 1/1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestARowOfAnotherPolicyVersionTellsNothing(t *testing.T) {
	t.Parallel()
	s := suggest.New(suggest.Options{Distinct: 3})
	for _, l := range []struct {
		hash, line string
		roles      []string
	}{
		{"old", "allow GET u:/x", []string{"role:v"}},
		{"new", "allow PUT u:/x", []string{"role:a", "role:v"}},
		{"", "allow GET u:/y", []string{"role:v"}},
		{"", "allow PUT u:/y", []string{"role:a", "role:v"}},
	} {
		o := policytest.InRoles("p", l.roles...)
		o.Policy, o.Rule = l.hash, "policy.csv:3"
		s.Add(policytest.LoggedRequest(t, o, l.line))
	}
	report, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(changes(report), "; "), "+ role:a u:/x PUT 1/1; + role:a u:/y PUT 1/1; + role:v u:/x GET 1/1; + role:v u:/y GET 1/1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestARoleThatIsHeldNoMoreGetsNoRow(t *testing.T) {
	t.Parallel()
	s := suggest.New(suggest.Options{Current: policytest.Load(t, "p, role:c, u, /c, GET, allow\ng, o:x, role:c"), Distinct: 3})
	for _, group := range []string{"o:x", "o:z"} {
		o := policytest.InGroups("p", group)
		o.Roles, o.Policy, o.Rule = []string{"role:t"}, "hash", "policy.csv:3"
		s.Add(policytest.LoggedRequest(t, o, "allow GET u:/"+group))
	}
	report, err := s.Report()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(changes(report), "; "), "+ o:z u:/o:z GET 1/1; + role:c u:/o:x GET 1/1; - policy.csv:1 unused"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestASuggestionCountsWhatItGuessed(t *testing.T) {
	t.Parallel()
	if r := suggested(t, suggest.Options{}, "role:a+role:b allow GET u:/x", "role:a+role:b allow GET u:/x", "role:a allow GET u:/y"); r.Guessed != 0 {
		t.Errorf("%d guessed, and role:b has fewer", r.Guessed)
	}
	if r := suggested(t, suggest.Options{}, "role:a+role:b allow GET u:/x", "role:a+role:b allow GET u:/x"); r.Guessed != 2 {
		t.Errorf("%d guessed, want 2", r.Guessed)
	}
	present := policytest.Load(t, "p, o:dev, u, /a, GET, allow")
	if r := suggested(t, suggest.Options{Current: present}, "o:dev allow GET u:/a", "o:dev allow GET u:/b"); r.NotAllowed != 1 {
		t.Errorf("%d not allowed as it is, want 1", r.NotAllowed)
	}
}

// TestAPathOfThousandsOfSegmentsSpoilsNoSuggestion since no policy could hold it.
func TestAPathOfThousandsOfSegmentsSpoilsNoSuggestion(t *testing.T) {
	t.Parallel()
	got := changes(suggested(t, suggest.Options{}, "o:dev allow GET u:"+strings.Repeat("/a", 3000), "o:dev allow GET u:/b"))
	if want := []string{"+ o:dev u:/b GET 1/1", "! the path has more segments than a policy takes 1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestASuggestionIsComparedWithTheCurrentPolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, present, log, want string }{
		{"a row that is used as it is stays", "p, o:dev, u, /a/*, POST|GET, allow", "o:dev allow GET u:/a/1; o:dev allow POST u:/a/2", "= o:dev u:/a/* POST|GET 2/2"},
		{"a wide one makes room", "p, o:dev, *, /**, *, allow", "o:dev allow GET u:/a", "+ o:dev u:/a GET 1/1; - policy.csv:1 wide"},
		{"methods that are not used go", "p, o:dev, u, /a/*, GET|PUT, allow", "o:dev allow GET u:/a/1", "+ o:dev u:/a/* GET 1/1; - policy.csv:1 wide"},
		{
			"the most basic role gets the row", "p, role:admin, u, /**, *, allow\np, role:viewer, u, /a, GET, allow\ng, role:admin, role:viewer\ng, o:dev, role:admin",
			"o:dev allow GET u:/a", "= role:viewer u:/a GET 1/1; - policy.csv:1 unused",
		},
		{
			"a role without rows is granted no more", "p, role:a, u, /a, GET, allow\np, role:b, u, /b, GET, allow\ng, o:dev, role:a\ng, o:dev, role:b\ng, role:c, role:b\ng, o:ops, role:c",
			"o:dev allow GET u:/a", "= role:a u:/a GET 1/1; - policy.csv:2 unused; - policy.csv:4 empty; - policy.csv:5 empty; - policy.csv:6 empty",
		},
		{
			"a role without members keeps its rows if it inherits", "p, role:a, u, /a, GET, allow\np, role:b, u, /b, GET, allow\ng, role:b, role:a",
			"role:a allow GET u:/a", "= role:a u:/a GET 1/1",
		},
		{
			"no * beyond the row that allows", "p, o:dev, u, /a/x1/**, GET, allow\np, o:dev, u, /a/x2/**, GET, allow\np, o:dev, u, /a/x3/**, GET, allow",
			"o:dev allow GET u:/a/x1/y; o:dev allow GET u:/a/x2/y; o:dev allow GET u:/a/x3/y",
			"+ o:dev u:/a/x1/y GET 1/1; + o:dev u:/a/x2/y GET 1/1; + o:dev u:/a/x3/y GET 1/1; - policy.csv:1 wide; - policy.csv:2 wide; - policy.csv:3 wide",
		},
		{
			"nor beyond a part of a segment", "p, o:dev, u, /a/x-*/**, GET, allow", "o:dev allow GET u:/a/x-1/y; o:dev allow GET u:/a/x-2/y; o:dev allow GET u:/a/x-3/y",
			"+ o:dev u:/a/x-1/y GET 1/1; + o:dev u:/a/x-2/y GET 1/1; + o:dev u:/a/x-3/y GET 1/1; - policy.csv:1 wide",
		},
		{
			"no * over what is denied", "p, o:dev, u, /**, *, allow\np, o:ops, *, /a/secret-*, GET, deny", "o:dev allow GET u:/a/1; o:dev allow GET u:/a/2; o:dev allow GET u:/a/3",
			"+ o:dev u:/a/1 GET 1/1; + o:dev u:/a/2 GET 1/1; + o:dev u:/a/3 GET 1/1; - policy.csv:1 wide",
		},
		{
			"but over what is denied elsewhere", "p, o:dev, u, /**, *, allow\np, o:ops, *, /a/*/secret, GET, deny\np, o:ops, *, /a/x, PUT, deny\np, o:ops, v, /a/x, *, deny",
			"o:dev allow GET u:/a/1; o:dev allow GET u:/a/2; o:dev allow GET u:/a/3", "+ o:dev u:/a/* GET 3/3; - policy.csv:1 wide",
		},
		{
			"what the policy denies now is said", "p, o:dev, u, /**, *, allow\np, o:dev, u, /a, *, deny", "o:dev allow GET u:/a",
			"- policy.csv:1 unused; ! the present policy denies itpolicy.csv:2 1",
		},
		{
			"what was refused then and is allowed now does not stand against a *", "p, o:dev, u, /a/**, GET, allow",
			"o:dev allow GET u:/a/1; o:dev allow GET u:/a/2; o:dev allow GET u:/a/3; o:dev deny GET u:/a/4", "+ o:dev u:/a/* GET 3/3; - policy.csv:1 wide",
		},
		{"what it does not allow now is added", "p, o:dev, u, /a, GET, allow", "o:dev allow GET u:/a; o:dev allow GET u:/b", "= o:dev u:/a GET 1/1; + o:dev u:/b GET 1/1"},
		{
			"a row of a mail domain that is used stays", "p, user:*@x, u, /a, GET, allow\np, user:*@y, u, /b, GET, allow",
			"user:me@x allow GET u:/a; user:you@x allow GET u:/a", "= user:*@x u:/a GET 2/1; - policy.csv:2 unused",
		},
		{
			"a user is treated as anonymous where anonymous requests may", "p, system:anonymous, u, /a, GET, allow\np, o:dev, u, /b, GET, allow", "o:dev allow GET u:/a",
			"= system:anonymous u:/a GET 1/1; - policy.csv:2 unused",
		},
	} {
		got := strings.Join(changes(suggested(t, suggest.Options{Current: policytest.Load(t, c.present)}, strings.Split(c.log, "; ")...)), "; ")
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestRefusedRequestsAreAddedToAPolicyAndTakeNothingAway(t *testing.T) {
	t.Parallel()
	got := changes(suggested(t, suggest.Options{Denied: true}, "o:dev deny GET u:/a/1", "o:dev deny GET u:/a/2", "o:dev deny GET u:/a/3", "o:dev allow GET u:/a/4"))
	if want := []string{"+ o:dev u:/a/* GET 3/3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	present := policytest.Load(t, "p, o:dev, u, /a, GET, allow\np, o:dev, u, /b, GET, allow\np, o:dev, u, /c, *, deny")
	report := suggested(t, suggest.Options{Current: present, Denied: true},
		"o:dev allow GET u:/a", "o:dev deny POST u:/a", "o:dev deny GET u:/b", "o:dev deny GET u:/c", "- login GET u:/d")
	want := []string{"+ o:dev u:/a POST 1/1", "! no user was signed in 1", "! the present policy allows it 1", "! the present policy denies itpolicy.csv:3 1"}
	if got := changes(report); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if report.Kept != 3 {
		t.Errorf("%d rows kept, want 3", report.Kept)
	}
}

// randomLog makes requests in a small world, so that segments vary and agree.
func randomLog(r *rand.Rand) []string {
	var lines []string
	for range 5 + r.IntN(150) {
		path := "/" + policytest.Pick(r, []string{"apps", "apps", "apps", "1"})
		for _, next := range [][]string{{"1", "2", "3", "4", "all"}, {"", "log", "x"}, {"1", "2", "3"}}[:r.IntN(4)] {
			path += "/" + policytest.Pick(r, next)
			if strings.HasSuffix(path, "/") {
				break
			}
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %s:%s", policytest.Pick(r, []string{"o:a", "o:b", "role:0", "role:1", "role:0+role:1", "-"}),
			policytest.Pick(r, []string{"allow", "allow", "deny"}), policytest.Pick(r, []string{"GET", "HEAD", "POST"}), policytest.Pick(r, []string{"u", "u", "u", "v"}), path))
	}
	return lines
}

// TestSuggestionsAllowWhatWasSeenAndDifferOnlyInFoldedSegments also asks for all
// other paths of the small world.
func TestSuggestionsAllowWhatWasLoggedAndDifferOnlyInGeneralizedSegments(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	folded, wider := 0, 0
	for range 60 {
		lines := randomLog(r)
		report := suggested(t, suggest.Options{Distinct: 2 + r.IntN(2)}, lines...)
		if report.Policy() == "" {
			continue
		}
		s := policytest.Load(t, report.Policy())
		allows := func(identity, question string) bool { return allowedIn(t, s, identity, question) }
		for _, line := range lines {
			if identity, rest, _ := strings.Cut(line, " "); strings.HasPrefix(rest, "allow ") && !allows(identity, strings.TrimPrefix(rest, "allow ")) {
				t.Fatalf("%s is not allowed by\n%s\nfrom\n%s", line, report.Policy(), strings.Join(lines, "\n"))
			}
		}
		for _, line := range lines {
			identity, question, denied := strings.Cut(line, " deny ")
			if !denied {
				continue
			}
			method, place, _ := strings.Cut(question, " ")
			upstream, path, _ := strings.Cut(place, ":")
			for _, row := range report.Rows {
				if slices.Contains(strings.Split(strings.Replace(identity, "-", "system:anonymous", 1), "+"), row.Subject) && row.Upstream == upstream &&
					strings.Contains(row.Path, "*") && policytest.NaiveMethod(row.Methods, method) && policytest.NaivePath(row.Path).MatchString(path) &&
					!slices.ContainsFunc(lines, func(other string) bool {
						_, allowed, ok := strings.Cut(other, " allow ")
						return ok && (allowed == question || method == "HEAD" && allowed == "GET "+place)
					}) {
					t.Fatalf("%s, and %s allows it\nfrom\n%s", line, row.Row, strings.Join(lines, "\n"))
				}
			}
		}
		for _, row := range report.Rows {
			if strings.Contains(row.Path, "**") || strings.HasPrefix(row.Path, "/*") {
				t.Fatalf("%s is too wide", row.Row)
			}
			if strings.Contains(row.Path, "*") {
				folded++
			}
		}
		for range 100 {
			line := randomLog(r)[0]
			identity, rest, _ := strings.Cut(line, " ")
			_, question, _ := strings.Cut(rest, " ")
			if !allows(identity, question) || seenAlready(lines, identity, question) {
				continue
			}
			wider++
			if !explained(report, lines, identity, question) {
				t.Fatalf("%s %s is allowed, and nothing like it was seen:\n%s\nfrom\n%s", identity, question, report.Policy(), strings.Join(lines, "\n"))
			}
		}
	}
	if folded < 100 || wider < 100 {
		t.Errorf("%d folded rows and %d questions beyond the log: too few to show anything", folded, wider)
	}
}

func allowedIn(t *testing.T, s *policy.Snapshot, identity, question string) bool {
	t.Helper()
	w := policy.Identity{Groups: strings.Split(identity, "+")}
	if strings.HasPrefix(identity, "role:") {
		w = policy.Identity{Roles: strings.Split(identity, "+")}
	} else if identity == "-" {
		w = policy.Identity{Anonymous: true}
	}
	return policytest.Ask(t, s, w, question).Allowed()
}

func seenAlready(lines []string, identity, question string) bool {
	return slices.Contains(lines, identity+" allow "+question)
}

// explained looks, naively, for a request that was allowed to one who is as much
// or more, with this method (or HEAD for GET), on a path that differs only where
// the row that covers both has a *.
func explained(report suggest.Report, lines []string, identity, question string) bool {
	method, place, _ := strings.Cut(question, " ")
	upstream, path, _ := strings.Cut(place, ":")
	for _, row := range report.Rows {
		subject := row.Subject
		if identity == "-" && subject != "system:anonymous" || identity != "-" && !slices.Contains(strings.Split(identity, "+"), subject) ||
			row.Upstream != upstream || !policytest.NaiveMethod(row.Methods, method) || !policytest.NaivePath(row.Path).MatchString(path) {
			continue
		}
		for _, line := range lines {
			seenWho, rest, _ := strings.Cut(line, " ")
			effect, seen, _ := strings.Cut(rest, " ")
			seenMethod, seenPlace, _ := strings.Cut(seen, " ")
			seenUpstream, seenPath, _ := strings.Cut(seenPlace, ":")
			sameSubject := seenWho == "-" && subject == "system:anonymous" || slices.Contains(strings.Split(seenWho, "+"), subject)
			sameMethod := seenMethod == method || method == "HEAD" && seenMethod == "GET"
			if effect == "allow" && sameSubject && sameMethod && seenUpstream == upstream && policytest.NaivePath(row.Path).MatchString(seenPath) {
				return true
			}
		}
	}
	return false
}

// TestASuggestionInAdditionToAPolicyAllowsNothingMore tries policies
// and people of all kinds.
func TestASuggestionInAdditionToAPolicyAllowsNothingMore(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	allowed, narrower := 0, 0
	for range 120 {
		text := policytest.RandomPolicy(r)
		present := policytest.Load(t, text)
		s := suggest.New(suggest.Options{Current: present, Distinct: 2, Exact: r.IntN(4) == 0})
		var seen []*replay.LoggedRequest
		question := func() (policy.Identity, policy.Request) {
			identity := policytest.RandomIdentity(r)
			path, err := target.Parse("/" + strings.TrimPrefix(policytest.RandomPath(r), "/"))
			if err != nil {
				t.Fatal(err)
			}
			return identity, policy.Request{Upstream: policytest.Pick(r, []string{"u", "v"}), Path: path, Method: policytest.Pick(r, []string{"GET", "HEAD", "POST", "PUT"})}
		}
		for range 40 {
			identity, q := question()
			o := &replay.LoggedRequest{Time: policytest.Noon, User: "p", Email: identity.Email, Groups: append([]string{}, identity.Groups...), Upstream: q.Upstream, Path: q.Path, Method: q.Method}
			if identity.Anonymous {
				o.User, o.Email, o.Groups = "", "", []string{"system:anonymous"}
			}
			q.Roles = present.Resolve(identity)
			if o.Effect = present.Decide(q).Effect; o.Effect == policy.Allow {
				seen = append(seen, o)
				s.Add(o)
			}
		}
		report, err := s.Report() // it has asked about all that was seen
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if report.Policy() == "" {
			continue
		}
		least := policytest.Load(t, report.Policy())
		replay := replay.New(least)
		for _, o := range seen {
			if strings.Contains(o.Path.String(), "*") {
				continue
			}
			replay.Add(o)
			allowed++
		}
		if got := policytest.Replayed(t, replay); got.Revoked != 0 {
			t.Fatalf("revoked %+v\n%s\nfrom\n%s", got.Differences, report.Policy(), text)
		}
		for range 100 {
			identity, q := question()
			q.Roles = least.Resolve(identity)
			after := least.Decide(q).Allowed()
			q.Roles = present.Resolve(identity)
			before := present.Decide(q).Allowed()
			if after && !before {
				t.Fatalf("%+v: %s %s:%s is allowed by\n%s\nand not by\n%s", identity, q.Method, q.Upstream, q.Path, report.Policy(), text)
			}
			if before && !after {
				narrower++
			}
		}
	}
	if allowed < 500 || narrower < 500 {
		t.Errorf("%d requests allowed, %d no more: too few to show anything", allowed, narrower)
	}
}
