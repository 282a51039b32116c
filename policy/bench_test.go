package policy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	fileadapter "github.com/casbin/casbin/v2/persist/file-adapter"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/compare"
	"github.com/example-org/authgate/policy/policytest"
)

// The sizes of what is measured. A policy has rowsAnUpstream rows an upstream, as
// many roles as upstreams and a team for each role, which is how policies grow.
var (
	benchRows   = []int{10, 1_000, 10_000, 100_000}
	benchGroups = []int{1, 10, 100}
)

const rowsAnUpstream = 200

// benchPolicy gives n p rows, some of which deny and some of which hold for every
// upstream, and a g row for each team.
func benchPolicy(n int) string {
	var text strings.Builder
	upstreams := max(1, n/rowsAnUpstream)
	for i := range n {
		role, upstream := i%max(10, upstreams), fmt.Sprintf("app-%d", i%upstreams)
		path, method, effect := fmt.Sprintf("/api/v1/projects/p-%d/**", i), "GET", "allow"
		switch i % 10 {
		case 3:
			path, method = fmt.Sprintf("/api/v1/applications/app-%d/*/sync", i), "POST"
		case 5:
			path, method = fmt.Sprintf("/assets/v%d/*.js", i), "*"
		case 7:
			path, effect = fmt.Sprintf("/api/v1/projects/p-%d/secrets/*", i-1), "deny"
		}
		if i == 0 {
			path, upstream, method = "/**", "*", "*"
		}
		fmt.Fprintf(&text, "p, role:r%d, %s, %s, %s, %s\n", role, upstream, path, method, effect)
	}
	for role := range max(10, upstreams) {
		fmt.Fprintf(&text, "g, example-org:team-%d, role:r%d\n", role, role)
	}
	return text.String()
}

// benchGroupsOf gives a person n teams, some of them unknown to the policy.
func benchGroupsOf(n int) []string {
	groups := make([]string, n)
	for i := range groups {
		groups[i] = fmt.Sprintf("example-org:team-%d", 1+i*7%1000)
	}
	return groups
}

// benchRequests asks for what rows match, and for what none does.
func benchRequests(b *testing.B, s *policy.Snapshot, groups []string) []policy.Request {
	var requests []policy.Request
	roles := s.Resolve(policy.Identity{Groups: groups})
	rows := s.Rows()
	for i := range 4096 {
		row := rows[i*7919%len(rows)]
		raw, method := row.ExampleRequest()
		upstream := strings.Replace(row.Upstream, "*", "app-0", 1)
		if i%4 == 3 {
			raw += "/no/such/path"
		}
		requests = append(requests, policy.Request{Roles: roles, Upstream: upstream, Path: policytest.Path(b, raw), Method: method})
	}
	return requests
}

// BenchmarkDecide shows next to each figure how many times longer casbin takes for
// the same requests: x-casbin with one enforcer for the whole policy and g() in
// its matcher, as casbin is mostly used, and x-enforcer with our enforcers, one for
// each upstream, and roles resolved beforehand.
func BenchmarkDecide(b *testing.B) {
	for _, rows := range benchRows {
		text := benchPolicy(rows)
		s := policytest.Load(b, text)
		plain := plainCasbin(b, text)
		for _, groups := range benchGroups {
			b.Run(fmt.Sprintf("rows=%d/groups=%d", rows, groups), func(b *testing.B) {
				names := benchGroupsOf(groups)
				requests := benchRequests(b, s, names)
				user := fmt.Sprintf("user-of-%d", groups)
				for _, group := range names {
					if _, err := plain.AddGroupingPolicy(user, group); err != nil {
						b.Fatal(err)
					}
				}
				wholly := perCall(func(i int) {
					q := requests[i%len(requests)]
					allowed, err := plain.Enforce(user, q.Upstream, q.Path.String(), q.Method)
					if want := s.Decide(q).Allowed(); err != nil || allowed != want {
						b.Fatalf("plain casbin says %t to %s %s:%s and Decide %t: %v", allowed, q.Method, q.Upstream, q.Path, want, err)
					}
				})
				enforcer := perCall(func(i int) {
					if _, err := s.Enforce(requests[i%len(requests)]); err != nil {
						b.Fatal(err)
					}
				})
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					s.Decide(requests[n&4095])
					n++
				}
				each := float64(b.Elapsed()) / float64(b.N)
				b.ReportMetric(wholly/each, "x-casbin")
				b.ReportMetric(enforcer/each, "x-enforcer")
			})
		}
	}
}

// perCall measures what is slow: for a tenth of a second, once at least.
func perCall(call func(i int)) float64 {
	call(0)
	begun := time.Now()
	n := 0
	for ; time.Since(begun) < 100*time.Millisecond; n++ {
		call(n)
	}
	return float64(time.Since(begun)) / float64(n)
}

func BenchmarkResolve(b *testing.B) {
	s := policytest.Load(b, benchPolicy(10_000))
	for _, groups := range benchGroups {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			identity := policy.Identity{Groups: benchGroupsOf(groups)}
			b.ReportAllocs()
			for b.Loop() {
				s.Resolve(identity)
			}
		})
	}
}

// BenchmarkLoad measures Load, and Load with Prepare, and casbin's own way to
// load the same file: time, and the heap that stays in use for each row.
func BenchmarkLoad(b *testing.B) {
	for _, rows := range benchRows {
		text := benchPolicy(rows)
		for _, c := range []struct {
			name string
			load func() any
		}{
			{"casbin", func() any { return plainCasbin(b, text) }},
			{"load", func() any { return policytest.Load(b, text) }},
			{"prepare", func() any {
				s := policytest.Load(b, text)
				if err := s.Prepare(); err != nil {
					b.Fatal(err)
				}
				return s
			}},
		} {
			b.Run(fmt.Sprintf("rows=%d/%s", rows, c.name), func(b *testing.B) {
				before := heap()
				kept := c.load()
				used := heap() - before
				runtime.KeepAlive(kept)
				for b.Loop() {
					c.load()
				}
				b.ReportMetric(float64(used)/float64(rows), "B/row")
			})
		}
	}
}

// BenchmarkMatrix measures what `policy matrix` does before it prints, Load included,
// with the rows spread over upstreams and all on one.
func BenchmarkMatrix(b *testing.B) {
	spread := benchPolicy(10_000)
	for _, c := range []struct{ name, text string }{
		{"spread", spread},
		{"one", regexp.MustCompile(`app-\d+, /`).ReplaceAllString(spread, "app, /")},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := compare.NewMatrix(policytest.Load(b, c.text), nil, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// plainCasbin loads a policy with casbin's own adapter for files.
func plainCasbin(b *testing.B, text string) *casbin.Enforcer {
	b.Helper()
	m, err := model.NewModelFromString(`
[request_definition]
r = sub, app, path, meth
[policy_definition]
p = sub, app, path, meth, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = (r.app == p.app || p.app == "*") && g(r.sub, p.sub) && pathMatch(r.path, p.path) && methodMatch(r.meth, p.meth)
`)
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "policy.csv")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	e, err := casbin.NewEnforcer(m, fileadapter.NewAdapter(file))
	if err != nil {
		b.Fatal(err)
	}
	e.AddFunction("pathMatch", policy.PathMatch)
	e.AddFunction("methodMatch", policy.MethodMatch)
	return e
}
