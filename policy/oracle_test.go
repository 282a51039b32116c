package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/policytest"
	"github.com/example-org/authgate/target"
)

// pathsOfTwo gives every path of up to two segments that randomPath may come to.
func pathsOfTwo(t *testing.T) []target.Path {
	t.Helper()
	paths := []target.Path{policytest.Path(t, "/")}
	for _, one := range policytest.SomeSegments {
		paths = append(paths, policytest.Path(t, "/"+one), policytest.Path(t, "/"+one+"/"))
		for _, two := range policytest.SomeSegments {
			paths = append(paths, policytest.Path(t, "/"+one+"/"+two), policytest.Path(t, "/"+one+"/"+two+"/"))
		}
	}
	return paths
}

func TestDecisionsAreThoseOfANaiveReading(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	counts := map[string]int{}
	for range 400 {
		text := policytest.RandomPolicy(r)
		s := policytest.Load(t, text)
		reading := policytest.ReadNaively(policy.Source{Name: "policy.csv", Data: []byte(text)})
		for range 50 {
			identity, upstream, raw, method := policytest.RandomIdentity(r), policytest.Pick(r, []string{"u", "v", "w"}), policytest.RandomPath(r), policytest.Pick(r, []string{"GET", "HEAD", "POST", "PUT", "X"})
			p, err := target.Parse(raw)
			if err != nil {
				continue // the empty path
			}
			want := reading.Decide(reading.Subjects(identity), upstream, p.String(), method)
			got := policytest.DecisionText(s.Decide(policy.Request{Roles: s.Resolve(identity), Upstream: upstream, Path: p, Method: method}))
			if got != want {
				t.Fatalf("%+v: %s %s:%s: %s, naively %s, in\n%s", identity, method, upstream, p, got, want, text)
			}
			if group := policytest.Pick(r, policytest.SomeGroups); strings.Contains(text, ", "+group+",") {
				alone := policy.Identity{Groups: []string{group}}
				want := s.Decide(policy.Request{Roles: s.Resolve(alone), Upstream: upstream, Path: p, Method: method}).Allowed()
				if got := admitted(s.Admitted(upstream, p, method)); slices.Contains(got, group) != want {
					t.Fatalf("%s %s:%s admits %q, and %s alone is let in: %v\n%s", method, upstream, p, got, group, want, text)
				}
			}
			kind, _, ruled := strings.Cut(got, " ")
			if ruled {
				kind += " by a row"
			}
			counts[kind]++
		}
	}
	for _, kind := range []string{"allow by a row", "deny by a row", "deny"} {
		if counts[kind] < 1000 {
			t.Errorf("only %d times %s: the policies do not try it (%v)", counts[kind], kind, counts)
		}
	}
}

// CachedDecider adds rows for many groups, some on one pattern, some of one path each.
func addManyRows(r *rand.Rand, text string) string {
	rows := strings.Split(text, "\n")
	for i := range 400 {
		group, path := fmt.Sprintf("o:%d", r.IntN(200)), fmt.Sprintf("/%d/%s", i, policytest.SomePiece(r))
		if i%2 == 0 {
			path = policytest.Pick(r, []string{"/a", "/a/*", "/**", "/*/"})
		}
		row := fmt.Sprintf("p, %s, %s, %s, %s, %s", group, policytest.Pick(r, policytest.SomeUpstreams), path, policytest.Pick(r, policytest.SomeMethods), policytest.Pick(r, []string{"allow", "allow", "allow", "deny"}))
		if !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
	}
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return strings.Join(rows, "\n")
}

// member is a user in some of the groups of a crowd.
func member(r *rand.Rand) policy.Identity {
	identity := policytest.RandomIdentity(r)
	for range r.IntN(20) {
		identity.Groups = append(identity.Groups, fmt.Sprintf("o:%d", r.IntN(250)))
	}
	return identity
}

// spread makes files of the lines of a policy, in the same order.
func spread(r *rand.Rand, text string) []policy.Source {
	lines := strings.Split(text, "\n")
	var sources []policy.Source
	for _, name := range []string{"one.csv", "two.csv"} {
		if cut := 1 + r.IntN(len(lines)); cut < len(lines) {
			sources = append(sources, policy.Source{Name: name, Data: []byte(strings.Join(lines[:cut], "\n"))})
			lines = lines[cut:]
		}
	}
	return append(sources, policy.Source{Name: "last.csv", Data: []byte(strings.Join(lines, "\n"))})
}

// TestAMillionDecisionsAreThoseOfCasbin holds the index against the naive reading
// in every decision, and against casbin's enforcer of the whole upstream wherever
// the index takes a question for a new one.
func TestAMillionDecisionsAreThoseOfCasbin(t *testing.T) {
	t.Parallel()
	const parts, policies, people = 4, 10, 5
	var all, byCasbin, allowed, denied atomic.Int64
	t.Run("parts", func(t *testing.T) {
		for part := range uint64(parts) {
			t.Run(fmt.Sprint(part), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(part, 7))
				for i := range policies {
					text := policytest.RandomPolicy(r)
					if i%5 == 0 {
						text = addManyRows(r, text)
					}
					o := newOracle(t, spread(r, text))
					for range people {
						o.interview(member(r))
					}
					all.Add(int64(o.all))
					byCasbin.Add(int64(o.byCasbin))
					allowed.Add(int64(o.allowed))
					denied.Add(int64(o.denied))
				}
			})
		}
	})
	t.Logf("%d decisions, %d of them by casbin, too; %d allowed by a row, %d denied by one", all.Load(), byCasbin.Load(), allowed.Load(), denied.Load())
	if all.Load() < 1_000_000 || byCasbin.Load() < 20_000 || allowed.Load() < 100_000 || denied.Load() < 50_000 {
		t.Error("the questions do not try the policies enough")
	}
}

// oracle asks index, casbin and the naive reading about one policy.
type oracle struct {
	t         *testing.T
	s         *policy.Snapshot
	naive     *policytest.Naively
	decisions map[uint64]string // kind of question → what casbin said

	all, byCasbin, allowed, denied int
}

func newOracle(t *testing.T, sources []policy.Source) *oracle {
	t.Helper()
	s, err := policy.Load(sources, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &oracle{t: t, s: s, naive: policytest.ReadNaively(sources...), decisions: map[uint64]string{}}
}

// interview asks everything that one person could ask.
func (o *oracle) interview(identity policy.Identity) {
	o.t.Helper()
	roles, subjects := o.s.Resolve(identity), o.naive.Subjects(identity)
	for _, p := range pathsOfTwo(o.t) {
		for _, upstream := range []string{"u", "v", "w"} {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "X", "M-SEARCH"} {
				q := policy.Request{Roles: roles, Upstream: upstream, Path: p, Method: method}
				got, kind := o.s.DecideWithFingerprint(q)
				reported := policytest.DecisionText(got)
				if want := o.naive.Decide(subjects, upstream, p.String(), method); reported != want {
					o.t.Fatalf("%+v: %s %s:%s: %s, naively %s", identity, method, upstream, p, reported, want)
				}
				if _, asked := o.decisions[kind]; !asked {
					o.decisions[kind] = o.enforce(q)
				}
				if o.decisions[kind] != reported {
					o.t.Fatalf("%+v: %s %s:%s: %s, and casbin to questions of this kind: %s", identity, method, upstream, p, reported, o.decisions[kind])
				}
				o.all++
				if got.Allowed() {
					o.allowed++
				} else if got.Row != nil {
					o.denied++
				}
			}
		}
	}
}

func (o *oracle) enforce(q policy.Request) string {
	o.byCasbin++
	d, err := o.s.Enforce(q)
	if err != nil {
		o.t.Fatal(err)
	}
	return policytest.DecisionText(d)
}

// FuzzDecide is the same for policies and questions that the fuzzer finds.
func FuzzDecide(f *testing.F) {
	f.Add(policytest.Example, "example-org:argo", "alice@example.com", "argocd", "/api/v1/applications", "GET", false)
	f.Add(policytest.EverySubject, "example-org:argo:x", "Bob@example.com", "u", "/sub", "HEAD", true)
	f.Add(policytest.EverySubject, "", "eve@corp.example", "u", "/corp", "GET", false)
	f.Add(policytest.EverySubject, "*@corp.example", "a@evil.example@corp.example", "u", "/corp", "GET", false)
	f.Add(policytest.EverySubject, "", "*@corp.example", "u", "/viewer", "GET", false)
	f.Add("p, user:*@X, u, /**, *, allow\np, user:a@x, u, /b, *, deny", "a", "A@x", "u", "/b", "GET", false)
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(policytest.RandomPolicy(r), policytest.Pick(r, policytest.SomeGroups), "me@x", "u", policytest.RandomPath(r), "GET", false)
	}
	f.Fuzz(func(t *testing.T, text, group, email, upstream, raw, method string, anonymous bool) {
		s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(text)}}, nil)
		p, err2 := target.Parse(raw)
		if err != nil || err2 != nil || strings.Contains(text, `"`) {
			return
		}
		for _, prefix := range []string{"role:", "user:", "system:"} {
			if strings.HasPrefix(group, prefix) {
				group = ""
			}
		}
		if local, domain, _ := strings.Cut(email, "@"); local == "" || domain == "" {
			email = ""
		}
		if upstream == "" || upstream == "*" || method == "" {
			return
		}
		identity := policy.Identity{Groups: []string{group}, Email: email, Anonymous: anonymous}
		want := policytest.Naive(text, identity, upstream, p.String(), method)
		q := policy.Request{Roles: s.Resolve(identity), Upstream: upstream, Path: p, Method: method}
		if got := policytest.DecisionText(s.Decide(q)); got != want {
			t.Errorf("%+v: %s %s:%s: %s, naively %s, in\n%s", identity, method, upstream, p, got, want, text)
		}
		if got, err := s.Enforce(q); err != nil || policytest.DecisionText(got) != want {
			t.Errorf("%+v: %s %s:%s: casbin says %s (%v), naively %s, in\n%s", identity, method, upstream, p, policytest.DecisionText(got), err, want, text)
		}
	})
}

// FuzzLoad holds what loads to this: every line that is no comment is a row, no
// row is lost on the way to casbin, and each row is written as it is read.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		policytest.Example, policytest.EverySubject, sound + chainOf(10), sound + chainOf(11),
		"p, \"a,\"\"b\"\" #c\", *, \"/x,y\", GET|PUT, deny\n",
		"p, a, u, \"/x,u,/y\", GET, deny\np, \"a,u,/x\", u, /y, GET, deny\n",
		"\xef\xbb\xbfp, a, u, /, GET, allow\r\n", ", a", "\"", "p, a, u, //, A, allow", "p, user:*@x.com, u, /, GET, allow", "p, user:*@, u, /, GET, allow", "g, role:a, role:b\ng, role:b, role:a",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: data}}, nil)
		if err != nil {
			if strings.Contains(err.Error(), "casbin") && !strings.Contains(string(data), "casbin") {
				t.Errorf("casbin did not take a policy without faults: %v", err)
			}
			return
		}
		if err := s.Prepare(); err != nil {
			t.Errorf("casbin did not take a policy without faults: %v", err)
		}
		rows := 0
		for line := range strings.SplitSeq(string(data), "\n") {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				rows++
			}
		}
		if s.RowCount() != rows {
			t.Errorf("%d rows of %d lines", s.RowCount(), rows)
		}
		for _, row := range s.Rows() {
			raw, method := row.ExampleRequest()
			p, err := target.ParseWith(raw, target.AllQuirks) // without a configuration, rows may hold any of them
			if err != nil {
				t.Errorf("%s: witness %s: %v", row, raw, err)
				continue
			}
			upstream := strings.Replace(row.Upstream, "*", "any", 1)
			d := s.Decide(policy.Request{Roles: s.Holding(row.Subject), Upstream: upstream, Path: p, Method: method})
			if d.Row == nil || row.Effect == policy.Deny && d.Allowed() {
				t.Errorf("%s is not in force: %s", row, policytest.DecisionText(d))
			}
			again := policytest.Load(t, row.String()).Rows()
			if len(again) != 1 || again[0].String() != row.String() {
				t.Errorf("%s is read back as %v", row, again)
			}
		}
	})
}
