package compare_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/compare"
	"github.com/example-org/authgate/policy/policytest"
	"github.com/example-org/authgate/target"
)

// smallPolicy names few enough subjects that every possible user is asked for.
func smallPolicy(r *rand.Rand) []string {
	subjects := []string{"o:a", "o:*", "user:me@x", "system:authenticated", "system:anonymous", "role:0", "role:1", "role:2"}
	rows := []string{"p, role:0, " + smallRule(r), "p, role:1, " + smallRule(r), "p, role:2, " + smallRule(r)}
	for range 2 + r.IntN(6) {
		rows = append(rows, "p, "+policytest.Pick(r, subjects)+", "+smallRule(r))
	}
	for range r.IntN(4) {
		rows = append(rows, "g, "+policytest.Pick(r, subjects[:5])+", role:"+fmt.Sprint(r.IntN(3)))
	}
	if r.IntN(2) == 0 {
		rows = append(rows, "g, role:2, role:1")
	}
	if r.IntN(2) == 0 {
		rows = append(rows, "g, role:1, role:0")
	}
	slices.Sort(rows)
	return slices.Compact(rows)
}

func smallRule(r *rand.Rand) string {
	return strings.Join([]string{
		policytest.Pick(r, []string{"u", "u", "v", "*"}), policytest.Pick(r, []string{"/a", "/a/", "/*", "/**", "/a/**", "/a*/b", "/*/b"}),
		policytest.Pick(r, []string{"GET", "HEAD", "POST", "*", "GET|POST"}), policytest.Pick(r, []string{"allow", "allow", "deny"}),
	}, ", ")
}

// altered is another policy that has most rows in common with the first.
func altered(r *rand.Rand, rows []string) []string {
	rows = slices.Clone(rows)
	for range 1 + r.IntN(2) {
		switch at := r.IntN(len(rows)); r.IntN(3) {
		case 0: // roles 0 to 2 keep a row, so that the policy loads
			if others := slices.Delete(slices.Clone(rows), at, at+1); rolesWithRows(others) == 3 {
				rows = others
			}
		case 1:
			rows = append(rows, smallPolicy(r)[0])
		case 2:
			rows = append(rows, "p, "+policytest.Pick(r, []string{"role:0", "o:a", "system:authenticated"})+", "+smallRule(r))
		}
	}
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	var once []string
	for _, row := range rows {
		if !slices.Contains(once, row) {
			once = append(once, row)
		}
	}
	return once
}

func rolesWithRows(rows []string) int {
	n := 0
	for _, role := range []string{"p, role:0,", "p, role:1,", "p, role:2,"} {
		if strings.Contains(strings.Join(rows, "\n"), role) {
			n++
		}
	}
	return n
}

// allIdentities is every user who differs to a smallPolicy, with the subjects
// that each is.
func allIdentities() map[string]policy.Identity {
	all := map[string]policy.Identity{"system:anonymous": {Anonymous: true}}
	for n := range 1 << 6 {
		var identity policy.Identity
		is := []string{"system:authenticated"}
		for i, name := range []string{"role:0", "role:1", "role:2", "o:a", "o:*", "user:me@x"} {
			switch one := compare.IdentityOf(name); {
			case n>>i&1 == 0:
			default:
				identity.Roles, identity.Groups, identity.Email = append(identity.Roles, one.Roles...), append(identity.Groups, one.Groups...), identity.Email+one.Email
				is = append(is, name)
			}
		}
		if slices.Contains(is, "o:a") && !slices.Contains(is, "o:*") {
			is = append(is, "o:*")
		}
		if len(identity.Roles) > 0 && len(identity.Groups) == 0 && identity.Email == "" {
			all[strings.Join(is[1:], " ")] = identity
			identity.Groups = []string{"z"} // signed in, and with a role all the same
		}
		all[strings.Join(is, " ")] = identity
	}
	return all
}

// side is one of two policies, and what every user is there.
type side struct {
	*policy.Snapshot
	known map[string]policy.Roles
}

func newSide(t testing.TB, text string) side {
	return side{policytest.Load(t, text), map[string]policy.Roles{}}
}

// of resolves once: there is a policy and a hundred people to each question.
func (s side) of(identity policy.Identity) policy.Roles {
	key := fmt.Sprint(identity)
	if _, done := s.known[key]; !done {
		s.known[key] = s.Resolve(identity)
	}
	return s.known[key]
}

// lets reports whether a user is admitted, and whether as a signed-in one.
func (s side) lets(identity policy.Identity, upstream string, p target.Path, method string) (in, signedIn bool) {
	d := s.Decide(policy.Request{Roles: s.of(identity), Upstream: upstream, Path: p, Method: method})
	if d.Row != nil || identity.Anonymous {
		return d.Allowed(), d.Allowed()
	}
	return s.Decide(policy.Request{Roles: s.of(policy.Identity{Anonymous: true}), Upstream: upstream, Path: p, Method: method}).Allowed(), false
}

func TestADiffIsEveryDifferenceAndNoOther(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	identities := allIdentities()
	var paths []target.Path
	for _, raw := range []string{"/", "/a", "/a/", "/a/b", "/a/c", "/b", "/b/", "/ab/b", "/c/b", "/c/d/e"} {
		paths = append(paths, parse(t, raw))
	}
	counts := map[string]int{}
	for range 24 {
		rows := smallPolicy(r)
		before, after := strings.Join(rows, "\n"), strings.Join(altered(r, rows), "\n")
		old, fresh := newSide(t, before), newSide(t, after)
		diff, err := compare.Policies(old.Snapshot, fresh.Snapshot, nil)
		if err != nil {
			t.Fatal(err)
		}
		texts := "\n" + before + "\n-->\n" + after
		checkChanges(t, diff, old, fresh, texts)
		for _, upstream := range []string{"u", "v", "w"} {
			for _, p := range paths {
				reported := [2][]compare.Change{}
				for i, changes := range [][]compare.Change{diff.Revoked, diff.Granted} {
					for _, c := range changes {
						same := slices.Equal(matchingPatterns(before+"\n"+after, upstream, p.String()), matchingPatterns(before+"\n"+after, upstream, c.ExamplePath))
						if same && (c.Upstream == upstream || c.Upstream == "*" && !strings.Contains(texts, ", "+upstream+",")) {
							reported[i] = append(reported[i], c)
						}
					}
				}
				for _, method := range everyMethod {
					for is, identity := range identities {
						was, wsignedIn := old.lets(identity, upstream, p, method)
						now, nowSignedIn := fresh.lets(identity, upstream, p, method)
						for i, turned := range []bool{was && !now || wsignedIn && !nowSignedIn, !was && now || !wsignedIn && nowSignedIn} {
							kind := fmt.Sprint(i, turned)
							explained := slices.ContainsFunc(reported[i], func(c compare.Change) bool { return covered(c, is, identity, method, [2]side{old, fresh}[i]) })
							counts[kind]++
							if turned && !explained {
								t.Fatalf("%s: %s %s:%s turned (%d) and the diff does not say so: %v%s", is, method, upstream, p, i, reported[i], texts)
							}
						}
					}
				}
			}
		}
		counts["empty"] += map[bool]int{true: 1}[diff.GrantedN+diff.RevokedN == 0]
		for _, c := range slices.Concat(diff.Granted, diff.Revoked) {
			counts["with"] += min(1, len(c.AlsoIn))
			counts["with anonymous"] += map[bool]int{true: 1}[slices.Contains(c.AlsoIn, "system:anonymous")]
		}
	}
	for _, kind := range []string{"0 true", "1 true", "empty", "with", "with anonymous"} {
		if counts[kind] < 3 {
			t.Errorf("the policies do not try %q: %v", kind, counts)
		}
	}
}

// matches reports whether a change concerns a user.
func covered(c compare.Change, is string, identity policy.Identity, method string, s side) bool {
	subjects := strings.Fields(is)
	if c.Subject == "system:anonymous" && policytest.Covers(c.Methods, method) {
		return true // and people of whom no row speaks
	}
	if !policytest.Covers(c.Methods, method) || !slices.Contains(slices.Concat(subjects, s.of(identity).Names()), c.Subject) {
		return false
	}
	return len(c.AlsoIn) == 0 || slices.ContainsFunc(c.AlsoIn, func(other string) bool {
		return other == "system:anonymous" || slices.Contains(slices.Concat(subjects, s.of(identity).Names()), other)
	})
}

// checkChanges tries each change on its witness.
func checkChanges(t *testing.T, diff compare.Diff, old, fresh side, texts string) {
	t.Helper()
	if len(diff.Granted) != diff.GrantedN || len(diff.Revoked) != diff.RevokedN {
		t.Errorf("%d and %d changes are counted as %d and %d", len(diff.Granted), len(diff.Revoked), diff.GrantedN, diff.RevokedN)
	}
	for i, changes := range [][]compare.Change{diff.Revoked, diff.Granted} {
		letting, refusing := [2]side{old, fresh}[i], [2]side{fresh, old}[i]
		for n := 1; n < len(changes); n++ {
			a, b := changes[n-1], changes[n]
			if a.Upstream == b.Upstream && a.Path == b.Path && asRead(a.Subject) > asRead(b.Subject) {
				t.Fatalf("%s stands before %s%s", a.Subject, b.Subject, texts)
			}
		}
		for _, c := range changes {
			upstream := strings.Replace(c.Upstream, "*", "w", 1)
			for n, identity := range identitiesOf(c) {
				in, signedIn := letting.lets(identity, upstream, parse(t, c.ExamplePath), c.Methods.Example())
				out, outSignedIn := refusing.lets(identity, upstream, parse(t, c.ExamplePath), c.Methods.Example())
				anonymous := len(c.AlsoIn) > 0 && c.AlsoIn[n] == "system:anonymous"
				if anonymous && (!in || signedIn || out) || !anonymous && (!signedIn || outSignedIn) {
					t.Fatalf("%+v: %+v is let in %v and %v%s", c, identity, in, out, texts)
				}
				if anonymous || n > 0 {
					continue
				}
				q := policy.Request{Upstream: upstream, Path: parse(t, c.ExamplePath), Method: c.Methods.Example()}
				q.Roles = letting.of(identity)
				if d := letting.Decide(q); d.Row != c.Allowing {
					t.Fatalf("%+v: allowed by %v%s", c, d, texts)
				}
				q.Roles = refusing.of(identity)
				if d := refusing.Decide(q); d.Row != c.Denying {
					t.Fatalf("%+v: refused by %v%s", c, d, texts)
				}
			}
		}
	}
}

// asRead puts roles first, and system names last.
func asRead(subject string) string {
	for i, kind := range []string{"role:", "o:", "user:", "system:"} {
		if strings.HasPrefix(subject, kind) {
			return fmt.Sprint(i, subject)
		}
	}
	return subject
}

// whosOf gives the users that a change concerns, as few subjects each as possible.
func identitiesOf(c compare.Change) []policy.Identity {
	alone := compare.IdentityOf(c.Subject)
	if len(c.AlsoIn) == 0 {
		return []policy.Identity{alone}
	}
	var whos []policy.Identity
	for _, other := range c.AlsoIn {
		both, more := compare.IdentityOf(c.Subject), compare.IdentityOf(other)
		if other == "system:anonymous" {
			whos = append(whos, alone)
			continue
		}
		both.Email += more.Email
		both.Roles = append(both.Roles, more.Roles...)
		both.Groups = append(both.Groups, more.Groups...)
		if len(both.Roles) == 1 {
			both.Groups = append(both.Groups, "z")
		}
		whos = append(whos, both)
	}
	return whos
}

func parse(t testing.TB, raw string) target.Path {
	t.Helper()
	p, err := target.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestADiffKnowsWhoCanBeWhatAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, both, old, fresh, want string }{
		{"the same rows", "p, o:a, u, /**, GET, allow\n", "", "", ""},
		{"a role that gets a member", "p, role:r, u, /x, GET, allow\n", "", "g, o:a, role:r\n", "+o:a"},
		{"no user is two users", "p, user:a@x, u, /x, GET, allow\np, user:b@x, u, /y, GET, allow\n", "p, user:b@x, u, /x, GET, deny\n", "", ""},
		{"a user has an address and a group", "p, o:a, u, /x, GET, allow\np, user:b@x, u, /y, GET, allow\n", "p, user:b@x, u, /x, GET, deny\n", "", "+user:b@x[o:a]"},
		{"an anonymous user is nothing else", "p, system:authenticated, u, /x, GET, allow\n", "p, system:anonymous, u, /x, GET, deny\n", "", ""},
		{
			"denied users are treated as anonymous now, or as what else they are",
			"p, role:open, u, /x, GET, allow\ng, system:anonymous, role:open\n", "p, o:a, u, /x, GET, deny\n", "", "+o:a[role:open system:anonymous]",
		},
		{"a denial of what no user may", "p, o:a, u, /x, GET, allow\n", "", "p, o:b, u, /x, POST, deny\n", ""},
		{"a denial that meets a group of the organisation", "p, o:*, u, /x, GET, allow\n", "", "p, o:b, u, /x, GET, deny\n", "-o:b"},
		{"users who also hold a role that is denied", "p, o:a, u, /x, GET, allow\n", "", "p, role:r, u, /x, GET, deny\n", "-role:r[o:a]"},
	} {
		diff, err := compare.Policies(policytest.Load(t, c.both+c.old), policytest.Load(t, c.both+c.fresh), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for sign, changes := range map[string][]compare.Change{"+": diff.Granted, "-": diff.Revoked} {
			for _, change := range changes {
				got = append(got, strings.TrimSuffix(fmt.Sprintf("%s%s%v", sign, change.Subject, change.AlsoIn), "[]"))
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestADiffIsOfTheUpstreamsThatThereAre(t *testing.T) {
	t.Parallel()
	before, after := policytest.Load(t, "p, o:a, u, /x, GET, allow"), policytest.Load(t, "p, o:a, u, /x, GET, allow\np, o:a, *, /y, GET, allow")
	for _, c := range []struct {
		known []string
		want  string
	}{{nil, "u *"}, {[]string{"v", "u"}, "u v"}} {
		diff, err := compare.Policies(before, after, c.known)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, change := range diff.Granted {
			got = append(got, change.Upstream)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("with the upstreams %v: %q, want %q", c.known, got, c.want)
		}
	}
}

func TestADiffCountsChangesThatItDoesNotList(t *testing.T) {
	t.Parallel()
	var before, after strings.Builder
	before.WriteString("p, role:r, u, /none, GET, allow\n")
	for i := range 400 {
		fmt.Fprintf(&before, "g, o:%d, role:r\np, role:other, u, /%d, GET, allow\n", i, i)
	}
	after.WriteString(before.String() + "p, role:r, u, /**, GET, allow\n")
	diff, err := compare.Policies(policytest.Load(t, before.String()), policytest.Load(t, after.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	// The role and its members, at each path that a row names and at all others.
	if want := 401 * 401; diff.GrantedN != want || len(diff.Granted) != 100_000 {
		t.Errorf("%d changes of which %d are reported, want %d", diff.GrantedN, len(diff.Granted), want)
	}
}
