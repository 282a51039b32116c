package explain_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/explain"
	"github.com/example-org/authgate/policy/policytest"
	"github.com/example-org/authgate/target"
)

const dashboards = `g, example-org:argo, role:admin
g, example-org:dev, role:viewer
p, role:viewer, argocd, /api/v1/applications/*, GET, allow
p, role:viewer, argocd, /terminal, *, deny
p, role:admin, *, /**, *, allow
p, example-org:*, docs, /, GET, allow
p, system:authenticated, docs, /welcome, GET, allow
p, system:anonymous, argocd, /api/webhook, POST, allow
p, role:frozen, argocd, /**, POST|PUT, deny
g, example-org:interns, role:frozen
g, role:admin, role:viewer
`

func TestEachEditIsSmallAndSaysWhatItTakes(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, dashboards)
	dev := policy.Identity{Groups: []string{"example-org:dev"}}
	argo := policy.Identity{Groups: []string{"example-org:argo"}}
	intern := policy.Identity{Groups: []string{"example-org:argo", "example-org:interns"}}
	for _, c := range []struct {
		name     string
		who      policy.Identity
		question string
		want     []string
	}{
		{"the method is another one", dev, "POST argocd:/api/v1/applications/web", []string{
			"ask with GET instead of POST: allow policy.csv:3",
			"be in group example-org:argo: allow policy.csv:5",
			"have role:admin: allow policy.csv:5",
			"add: p, role:viewer, argocd, /api/v1/applications/web, POST, allow: allow",
			"widen policy.csv:3 to: p, role:viewer, argocd, /api/v1/applications/*, GET|POST, allow: allow policy.csv:3",
		}},
		{"the path goes on", dev, "GET argocd:/api/v1/applications/web/sync", []string{
			"be in group example-org:argo: allow policy.csv:5",
			"have role:admin: allow policy.csv:5",
			"add: p, role:viewer, argocd, /api/v1/applications/web/sync, GET, allow: allow",
			"widen policy.csv:3 to: p, role:viewer, argocd, /api/v1/applications/*/**, GET, allow: allow policy.csv:3",
		}},
		{"a slash too many", dev, "GET argocd:/api/v1/applications/web/", []string{
			"ask without the slash at the end: /api/v1/applications/web: allow policy.csv:3",
			"be in group example-org:argo: allow policy.csv:5",
			"have role:admin: allow policy.csv:5",
			"add: p, role:viewer, argocd, /api/v1/applications/web/, GET, allow: allow",
			"widen policy.csv:3 to: p, role:viewer, argocd, /api/v1/applications/*/**, GET, allow: allow policy.csv:3",
		}},
		{"a segment misspelt", dev, "GET argocd:/api/v1/aplications/web", []string{
			"ask for /api/v1/applications/web: allow policy.csv:3",
			"be in group example-org:argo: allow policy.csv:5",
			"have role:admin: allow policy.csv:5",
			"add: p, role:viewer, argocd, /api/v1/aplications/web, GET, allow: allow",
			"widen policy.csv:3 to: p, role:viewer, argocd, /api/v1/*/*, GET, allow: allow policy.csv:3",
		}},
		{"a denial that is inherited", argo, "GET argocd:/terminal", []string{
			"ask with a slash at the end: /terminal/: allow policy.csv:5",
			"remove policy.csv:4: allow policy.csv:5",
			"remove policy.csv:11 (g, role:admin, role:viewer): allow policy.csv:5",
		}},
		{"a denial without any allow", dev, "GET argocd:/terminal", []string{
			"remove policy.csv:4, and add: p, role:viewer, argocd, /terminal, GET, allow: allow",
		}},
		{"a denial by one of several groups", intern, "POST argocd:/x", []string{
			"ask with GET instead of POST: allow policy.csv:5",
			"be without group example-org:interns: allow policy.csv:5",
			"remove policy.csv:9; policy.csv:10 leads nowhere then, remove it, too: allow policy.csv:5",
			"remove policy.csv:10 (g, example-org:interns, role:frozen): allow policy.csv:5",
		}},
		{"two denials stand until both go", intern, "PUT argocd:/terminal", []string{
			"remove policy.csv:4, policy.csv:9 (each of them denies it); policy.csv:10 leads nowhere then, remove it, too: allow policy.csv:5",
		}},
		{"anonymous", policy.Identity{Anonymous: true}, "GET docs:/welcome", []string{
			"sign in: allow policy.csv:7",
			"sign in and be in group example-org:argo: allow policy.csv:5",
			"add: p, system:anonymous, docs, /welcome, GET, allow: allow",
		}},
		{"a user whom the policy does not know", policy.Identity{Email: "Me@example.com"}, "GET docs:/", []string{
			"be in any group of example-org: allow policy.csv:6",
			"be in group example-org:argo: allow policy.csv:5",
			"have role:admin: allow policy.csv:5",
			"add: p, user:me@example.com, docs, /, GET, allow: allow",
		}},
		{"a word misspelt is no reason to open every path", policy.Identity{}, "GET docs:/welcom", []string{
			"ask for /welcome: allow policy.csv:7",
			"be in group example-org:argo: allow policy.csv:5",
			"have role:admin: allow policy.csv:5",
			"add: p, system:authenticated, docs, /welcom, GET, allow: allow",
		}},
		{"a role by itself", policy.Identity{Roles: []string{"role:viewer"}}, "GET workflows:/", []string{
			"have role:admin: allow policy.csv:5",
			"add: p, role:viewer, workflows, /, GET, allow: allow",
		}},
		{"one row allows", argo, "POST argocd:/x", []string{
			"remove policy.csv:5 (only this row allows it): deny",
			"add: p, role:admin, argocd, /x, POST, deny: deny",
			"be without group example-org:argo: deny",
			"be in group example-org:interns: deny policy.csv:9",
			"have role:frozen: deny policy.csv:9",
		}},
		{"two rows allow", argo, "GET argocd:/api/v1/applications/web", []string{
			"remove policy.csv:3, policy.csv:5 (each of them allows it): deny",
			"add: p, role:admin, argocd, /api/v1/applications/web, GET, deny: deny",
			"be without group example-org:argo: deny",
		}},
		{"every signed-in user", policy.Identity{}, "GET docs:/welcome", []string{
			"remove policy.csv:7 (only this row allows it): deny",
			"add: p, system:authenticated, docs, /welcome, GET, deny: deny",
		}},
	} {
		e := explained(t, s, c.who, c.question)
		var got []string
		for _, edit := range e.Edits {
			got = append(got, edit.Text+": "+policytest.DecisionText(edit.Decision))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %s:\n  %s\nwant\n  %s", c.name, c.question, strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
		}
	}
}

func TestARowToAddReachesAsFewAsItCan(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, `g, o:a, role:viewer
g, o:a, role:admin
g, role:admin, role:viewer
g, system:authenticated, role:all
p, role:viewer, *, /, GET, allow
p, role:admin, *, /, GET, allow
p, role:all, *, /, GET, allow
`)
	for _, c := range []struct {
		who        policy.Identity
		path, want string
	}{
		{policy.Identity{Groups: []string{"o:a"}}, "/x", "p, role:admin, u, /x, GET, allow"}, // and not for all viewers
		{policy.Identity{Groups: []string{"o:b"}}, "/x", "p, o:b, u, /x, GET, allow"},
		{policy.Identity{Email: "Me@x"}, "/x", "p, user:me@x, u, /x, GET, allow"},
		{policy.Identity{Groups: []string{"role:admin", "a*b"}}, "/x", "p, role:all, u, /x, GET, allow"}, // neither can stand in a row
		{policy.Identity{}, "/x", "p, role:all, u, /x, GET, allow"},
		{policy.Identity{Roles: []string{"role:viewer", "role:new"}}, "/x", "p, role:viewer, u, /x, GET, allow"},
		{policy.Identity{Roles: []string{"role:new"}}, "/x", "p, role:new, u, /x, GET, allow"},
		{policy.Identity{Anonymous: true}, "/x", "p, system:anonymous, u, /x, GET, allow"},
		{policy.Identity{Groups: []string{"o:a"}}, "/a,b", `p, role:admin, u, "/a,b", GET, allow`},
		{policy.Identity{Groups: []string{"o:a"}}, "/**", ""}, // it would be everything
		{policy.Identity{Groups: []string{"o:a"}}, "/a*", ""},
	} {
		got := ""
		for _, edit := range explained(t, s, c.who, "GET u:"+c.path).Edits {
			if edit.Kind == explain.EditAdd {
				got += strings.Join(edit.Add, "\n")
			}
		}
		if got != c.want {
			t.Errorf("%+v: GET u:%s: %q, want %q", c.who, c.path, got, c.want)
		}
	}
}

func TestNoEditTakesAwayTheOnlyRoleOfADryRun(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, `p, role:a, *, /, GET, deny
p, system:authenticated, *, /, GET, allow
p, role:b, *, /, GET, allow
`)
	for roles, want := range map[string]bool{"role:a": false, "role:a role:b": true} {
		e := explained(t, s, policy.Identity{Roles: strings.Fields(roles)}, "GET u:/")
		if got := slices.ContainsFunc(e.Edits, func(e explain.Edit) bool { return e.Kind == explain.EditLeave }); got != want {
			t.Errorf("%s: leaving is proposed: %t, want %t", roles, got, want)
		}
	}
}

func explained(t testing.TB, s *policy.Snapshot, identity policy.Identity, question string) explain.Explanation {
	t.Helper()
	method, rest, _ := strings.Cut(question, " ")
	upstream, raw, _ := strings.Cut(rest, ":")
	return explain.Explain(s, identity, upstream, policytest.Path(t, raw), method)
}

func TestARowSaysWhatKeepsItFromTheQuestion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, pattern, why string
		near               bool
	}{
		{"/a/b", "/a/b", "", false},
		{"/a/b", "/a/**", "", false},
		{"/a", "/a/**", "", false},
		{"/api/v1/projects", "/api/v1/applications", "path differs at segment 3: row has applications, request has projects", true},
		{"/api/v1/projects/x", "/api/v1/applications/y", "path differs at segment 3: row has applications, request has projects", false},
		{"/api/v1/projects/x", "/api/v1/applications/*", "path differs at segment 3: row has applications, request has projects", true},
		{"/b/v1/projects", "/api/v1/applications", "path differs at segment 1: row has api, request has b", false},
		{"/x", "/y", "path differs at segment 1: row has y, request has x", false},
		{"/welcom", "/welcome", "path differs at segment 1: row has welcome, request has welcom", true},
		{"/a/", "/a/*", "path differs at segment 2: row has *, request has nothing", true},
		{"/a/x.css", "/a/*.js", "path differs at segment 2: row has *.js, request has x.css", true},
		{"/a/x/c", "/a/*.js/**", "path differs at segment 2: row has *.js, request has x", true},
		{"/a/b/c", "/a", "path continues after the row's: /b/c", true},
		{"/a/", "/a", "path ends with a slash, the row's does not", true},
		{"/a", "/a/", "path ends without the row's slash", true},
		{"/a", "/a/b", "path ends before the row's: /b", true},
		{"/a", "/a/b/c", "path ends before the row's: /b/c", false},
		{"/a", "/a/b/**", "path ends before the row's: /b/**", false},
		{"/a", "/", "path differs at segment 1: row has nothing, request has a", false},
		{"/", "/a", "path differs at segment 1: row has a, request has nothing", false},
		{"/x/y", "/*", "path continues after the row's: /y", false},
		{"/a/x/c", "/a/y", "path differs at segment 2: row has y, request has x", false},
	} {
		why, near := explain.WhyNot(c.path, c.pattern)
		if why != c.why || near != c.near {
			t.Errorf("%s and %s: %q, near %t, want %q, near %t", c.path, c.pattern, why, near, c.why, c.near)
		}
	}
}

func TestRowsComeInTheOrderInWhichTheyHelp(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, `p, role:far, docs, /x, GET, allow
p, role:held, docs, /a/b, GET, allow
p, role:other, argocd, /a/b, GET, allow
p, role:held, argocd, /a/c, GET, allow
p, role:held, argocd, /a/b, PUT, allow
p, role:held, argocd, /a/**, GET, allow
p, role:held, argocd, /a/b, GET, allow
p, role:held, argocd, /a/*, GET, deny
p, role:held, argocd, /**, GET, deny
p, role:held, argocd, /a/b, POST, deny
`)
	e := explained(t, s, policy.Identity{Roles: []string{"role:held"}}, "GET argocd:/a/b")
	var got []string
	for _, c := range e.Rows {
		got = append(got, fmt.Sprintf("%s %t %t %s", c.Row.Where(), c.Matches, c.NearMiss, c.Why()))
	}
	want := []string{
		"policy.csv:8 true false ", // decides
		"policy.csv:9 true false ",
		"policy.csv:6 true false ",
		"policy.csv:7 true false ",
		"policy.csv:5 false true method differs: row has PUT, request has GET",
		"policy.csv:4 false true path differs at segment 2: row has c, request has b",
		"policy.csv:3 false true role:other is not held",
		"policy.csv:2 false true another upstream",
		"policy.csv:1 false false role:far is not held; another upstream; path differs at segment 1: row has x, request has a",
		"policy.csv:10 false false method differs: row has POST, request has GET", // denies what is denied
	}
	if !slices.Equal(got, want) {
		t.Errorf("rows:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAnExplanationNamesTheSourceOfEachRole(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, `g, example-org:dev, role:viewer
g, role:viewer, role:reader
g, example-org:*, role:guest
g, system:authenticated, role:reader
p, role:reader, *, /, GET, allow
p, role:viewer, *, /, GET, allow
p, role:guest, *, /, GET, allow
p, user:eve@example.com, *, /, GET, allow
`)
	e := explained(t, s, policy.Identity{Email: "Eve@Example.com", Groups: []string{"example-org:dev", "other:x", "role:viewer"}, Roles: []string{"role:none"}}, "GET u:/")
	var got []string
	for _, held := range e.Subjects {
		way := held.Subject
		for _, link := range held.Chain {
			way += " <- " + link.Member + " " + link.Where()
		}
		got = append(got, way)
	}
	want := []string{
		"user:eve@example.com", "example-org:dev", "example-org:*", "system:authenticated",
		"role:viewer <- example-org:dev policy.csv:1",
		"role:guest <- example-org:* policy.csv:3",
		"role:reader <- system:authenticated policy.csv:4",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if want := []string{"other:x", "role:viewer", "role:none"}; !slices.Equal(e.Unknown, want) {
		t.Errorf("strange: %q, want %q", e.Unknown, want)
	}
}

func TestChainIsTheShortestOne(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, `g, o:a, role:long
g, role:long, role:longer
g, role:longer, role:end
g, o:*, role:short
g, role:short, role:end
g, system:authenticated, role:all
p, role:end, *, /, GET, allow
p, role:all, *, /, GET, allow
`)
	for _, c := range []struct{ subject, role, want string }{
		{"o:a", "role:end", "o:* -> role:short policy.csv:4, role:short -> role:end policy.csv:5"},
		{"o:a", "role:longer", "o:a -> role:long policy.csv:1, role:long -> role:longer policy.csv:2"},
		{"role:long", "role:end", "role:long -> role:longer policy.csv:2, role:longer -> role:end policy.csv:3"},
		{"user:X@y", "role:all", "system:authenticated -> role:all policy.csv:6"},
		{"system:anonymous", "role:all", ""},
		{"role:end", "role:all", ""},
		{"role:end", "role:end", ""},
		{"o:a", "role:nowhere", ""},
	} {
		var links []string
		for _, l := range s.Chain(c.subject, c.role) {
			links = append(links, l.Member+" -> "+l.Role+" "+l.Where())
		}
		if got := strings.Join(links, ", "); got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.subject, c.role, got, c.want)
		}
	}
}

func TestAQuestionThatIsRefusedUnseenHasNoEdits(t *testing.T) {
	t.Parallel()
	s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(dashboards)}}, []string{"argocd", "docs"})
	if err != nil {
		t.Fatal(err)
	}
	dev := policy.Identity{Groups: []string{"example-org:dev"}}
	for name, e := range map[string]explain.Explanation{
		"a zero path":          explain.Explain(s, dev, "argocd", target.Path{}, "GET"),
		"no method":            explain.Explain(s, dev, "argocd", policytest.Path(t, "/"), ""),
		"every upstream":       explain.Explain(s, dev, "*", policytest.Path(t, "/"), "GET"),
		"an upstream not here": explain.Explain(s, dev, "workflows", policytest.Path(t, "/"), "GET"),
	} {
		if e.Decision.Allowed() || e.Rows != nil || e.Edits != nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestAnEditLeavesNoFileWithoutRows(t *testing.T) {
	t.Parallel()
	for name, files := range map[string][]string{
		"a file of one denial":               {"p, role:a, *, /**, GET, allow\np, role:a, *, /, GET, allow", "p, role:a, *, /x, GET, deny"},
		"a file of one grant of such a role": {"p, role:a, *, /**, GET, allow\np, role:denied, *, /x, GET, deny", "g, role:a, role:denied"},
	} {
		var sources []policy.Source
		for i, text := range files {
			sources = append(sources, policy.Source{Name: fmt.Sprintf("%d.csv", i), Data: []byte(text)})
		}
		s, err := policy.Load(sources, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, edit := range explained(t, s, policy.Identity{Roles: []string{"role:a"}}, "GET u:/x").Edits {
			if edit.Kind == explain.EditRemove {
				t.Errorf("%s: a policy file without rows does not load: %s", name, edit.Text)
			}
		}
	}
}

func TestAnExplanationNamesTheRowForAnonymousRequests(t *testing.T) {
	t.Parallel()
	s := policytest.Load(t, dashboards)
	const question = "POST argocd:/api/webhook"
	if e := explained(t, s, policy.Identity{Groups: []string{"x:y"}}, question); e.AnonymousRow == nil || e.AnonymousRow.Where() != "policy.csv:8" || e.Decision.Allowed() {
		t.Errorf("by an anonymous row: %v", e.AnonymousRow)
	}
	if e := explained(t, s, policy.Identity{Anonymous: true}, question); e.AnonymousRow != nil {
		t.Errorf("anonymous by an anonymous row: %v", e.AnonymousRow)
	}
}

// TestEveryEditTurnsTheDecision applies each edit as a person would: to the text
// of the files, to the groups, to the request.
func TestEveryEditTurnsTheDecision(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	kinds := map[string]int{}
	for range 200 {
		text := policytest.RandomPolicy(r)
		s := policytest.Load(t, text)
		for range 12 {
			identity := policytest.RandomIdentity(r)
			if r.IntN(6) == 0 {
				identity = policy.Identity{Roles: []string{"role:1", "role:3"}[r.IntN(2):]}
			}
			raw := orSlash(policytest.RandomPath(r))
			q := policy.Request{Roles: s.Resolve(identity), Upstream: policytest.Pick(r, []string{"u", "v", "w"}), Path: policytest.Path(t, raw), Method: policytest.Pick(r, []string{"GET", "HEAD", "POST", "PUT", "X"})}
			e := explain.Explain(s, identity, q.Upstream, q.Path, q.Method)
			d := s.Decide(q)
			if e.Decision != d {
				t.Fatalf("explains %s where %s was decided", policytest.DecisionText(e.Decision), policytest.DecisionText(d))
			}
			checkSubjects(t, s, identity, e)
			checkRows(t, s, q, e)
			for _, edit := range e.Edits {
				changed := edited(t, text, identity, q, edit)
				if changed.Effect == d.Effect || edit.Decision.Effect != changed.Effect {
					t.Fatalf("%+v %s %s:%s: %s, and %s, and after %q (%s) %s, in\n%s",
						identity, q.Method, q.Upstream, q.Path, policytest.DecisionText(d), policytest.DecisionText(edit.Decision), edit.Text, edit.Kind, policytest.DecisionText(changed), text)
				}
				kinds[d.Effect.String()+" "+string(edit.Kind)]++
			}
			if len(e.Edits) == 0 && !strings.Contains(q.Path.String(), "*") {
				t.Fatalf("%+v %s %s:%s: no edit turns %s in\n%s", identity, q.Method, q.Upstream, q.Path, policytest.DecisionText(d), text)
			}
		}
	}
	for _, kind := range []string{
		"deny method", "deny path", "deny login", "deny join", "deny leave", "deny add", "deny remove", "deny widen",
		"allow remove", "allow add", "allow leave", "allow join",
	} {
		if kinds[kind] < 3 {
			t.Errorf("only %d times %s: %v", kinds[kind], kind, kinds)
		}
	}
}

func orSlash(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// edited decides the question after an edit. Rows are taken out of the text and
// appended to it, and the whole of it is loaded.
func edited(t *testing.T, text string, identity policy.Identity, q policy.Request, e explain.Edit) policy.Decision {
	t.Helper()
	lines := strings.Split(text, "\n")
	for _, gone := range e.Remove {
		var n int
		if _, err := fmt.Sscanf(gone.Where, "policy.csv:%d", &n); err != nil || !strings.EqualFold(lines[n-1], gone.Row) {
			t.Fatalf("%s is not %s in\n%s", gone.Where, gone.Row, text)
		}
		lines[n-1] = ""
	}
	s := policytest.Load(t, strings.Join(append(lines, e.Add...), "\n"))
	without := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == e.Subject })
	}
	switch {
	case e.Kind == explain.EditMethod:
		q.Method = e.Method
	case e.Kind == explain.EditPath:
		q.Path = e.Path
	case e.Kind == explain.EditLogin:
		identity = policy.Identity{}
	case e.Kind == explain.EditLeave:
		identity.Groups, identity.Roles = without(identity.Groups), without(identity.Roles)
	case e.Kind == explain.EditJoin && strings.HasPrefix(e.Subject, "role:"):
		identity.Roles = append(slices.Clone(identity.Roles), e.Subject)
	case e.Kind == explain.EditJoin && strings.HasPrefix(e.Subject, "user:*@"):
		identity = policy.Identity{Groups: identity.Groups, Roles: identity.Roles, Email: "some" + strings.TrimPrefix(e.Subject, "user:*")}
		if strings.HasPrefix(e.Text, "sign in") {
			identity = policy.Identity{Email: identity.Email}
		}
	case e.Kind == explain.EditJoin && identity.Anonymous:
		identity = policy.Identity{Groups: []string{e.Subject}}
	case e.Kind == explain.EditJoin:
		identity.Groups = append(slices.Clone(identity.Groups), e.Subject)
	}
	q.Roles = s.Resolve(identity)
	return s.Decide(q)
}

// checkSubjects: the subjects are those that Decide sees, and each chain leads
// from one that the person is as such.
func checkSubjects(t *testing.T, s *policy.Snapshot, identity policy.Identity, e explain.Explanation) {
	t.Helper()
	roles := s.Resolve(identity)
	held := map[string]explain.HeldSubject{}
	for _, h := range e.Subjects {
		held[h.Subject] = h
	}
	for _, name := range s.Subjects() {
		if _, reported := held[name]; reported != roles.Has(name) {
			t.Fatalf("%+v is %s: %t, reported %t", identity, name, roles.Has(name), reported)
		}
	}
	for _, h := range e.Subjects {
		at := ""
		for i, link := range h.Chain {
			if i == 0 && len(held[link.Member].Chain) > 0 || i > 0 && link.Member != at {
				t.Fatalf("%+v: the chain of %s breaks at %s: %+v", identity, h.Subject, link.Member, h.Chain)
			}
			at = link.Role
		}
		if at != "" && at != h.Subject {
			t.Fatalf("%+v: the chain of %s ends in %s", identity, h.Subject, at)
		}
	}
}

// checkRows: each row is reported once, and matches where a naive reading says so.
func checkRows(t *testing.T, s *policy.Snapshot, q policy.Request, e explain.Explanation) {
	t.Helper()
	seen := map[*policy.Row]bool{}
	for _, c := range e.Rows {
		row := c.Row
		matches := q.Roles.Has(row.Subject) && (row.Upstream == q.Upstream || row.Upstream == "*") &&
			policytest.NaivePath(row.Path).MatchString(q.Path.String()) && policytest.NaiveMethod(row.Methods, q.Method)
		if seen[row] || c.Matches != matches || (c.Why() == "") != matches || c.NearMiss && matches {
			t.Fatalf("%s: matches %t (naively %t), near %t, reported before %t: %s", row, c.Matches, matches, c.NearMiss, seen[row], c.Why())
		}
		seen[row] = true
	}
	if len(seen) != len(s.Rows()) {
		t.Fatalf("%d rows of %d are reported", len(seen), len(s.Rows()))
	}
}
