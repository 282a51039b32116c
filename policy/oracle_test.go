package policy_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// naive decides from the text of a policy with nothing but loops and regular
// expressions: slow, short, and without a line of the code under test. It reads
// no quotes.
func naive(text string, who policy.Who, upstream, path, method string) string {
	var p, g [][]string
	var lines []int
	for n, line := range strings.Split(text, "\n") {
		fields := strings.Split(line, ",")
		for i := range fields {
			if fields[i] = strings.TrimSpace(fields[i]); strings.HasPrefix(fields[i], "user:") {
				fields[i] = naiveLower(fields[i])
			}
		}
		switch fields[0] {
		case "p":
			p, lines = append(p, fields[1:]), append(lines, n+1)
		case "g":
			g = append(g, fields[1:])
		}
	}
	is := map[string]bool{"system:authenticated": true, "user:" + naiveLower(who.Email): who.Email != ""}
	for _, group := range who.Groups {
		is[group] = true
		for i, c := range group {
			if c == ':' && i+1 < len(group) {
				is[group[:i]+":*"] = true
			}
		}
	}
	if who.Anonymous {
		is = map[string]bool{"system:anonymous": true}
	}
	for range g { // as often as there could be anything new
		for _, row := range g {
			is[row[1]] = is[row[1]] || is[row[0]]
		}
	}
	answer := "deny"
	for i, row := range p {
		matches := is[row[0]] && (row[1] == upstream || row[1] == "*") && naivePath(row[2]).MatchString(path) && naiveMethod(row[3], method)
		if matches && row[4] == "deny" {
			return fmt.Sprintf("deny policy.csv:%d", lines[i])
		}
		if matches && answer == "deny" {
			answer = fmt.Sprintf("allow policy.csv:%d", lines[i])
		}
	}
	return answer
}

func naiveLower(s string) string {
	for c := 'A'; c <= 'Z'; c++ {
		s = strings.ReplaceAll(s, string(c), string(c+32))
	}
	return s
}

func naivePath(pattern string) *regexp.Regexp {
	expression, open := strings.CutSuffix(pattern, "/**")
	const character = `(%[0-9A-F]{2}|[^%/])`
	segments := strings.Split(expression, "/")
	for i, s := range segments {
		if s == "*" {
			segments[i] = character + "+"
		} else {
			segments[i] = strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, character+"*")
		}
	}
	expression = strings.Join(segments, "/")
	if open {
		expression += "(/.*)?"
	}
	return regexp.MustCompile(`^(` + expression + `)$`)
}

func naiveMethod(methods, method string) bool {
	for _, m := range strings.Split(methods, "|") {
		if m == "*" || m == method || m == "GET" && method == "HEAD" {
			return true
		}
	}
	return false
}

// Names are few, so that rows meet.
var (
	someUpstreams = []string{"u", "v", "*"}
	someMethods   = []string{"GET", "HEAD", "POST", "PUT", "*", "GET|POST", "HEAD|PUT"}
	somePieces    = []string{"a", "b", "*", "a*", "*b", "a*b*", "%2F", "%3A", "*A"}
	someGroups    = []string{"o:a", "o:b", "o:a:b", "p:a", "x"}
	someSubjects  = append([]string{"o:*", "o:*", "o:a:*", "system:authenticated", "user:Me@x", "system:authenticated", "system:anonymous"}, someGroups...)
)

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// randomPolicy always loads: roles lead to smaller ones only, and each has a rule.
func randomPolicy(r *rand.Rand) string {
	const roles = 4
	var rows []string
	add := func(form string, args ...any) {
		if row := fmt.Sprintf(form, args...); !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
	}
	for role := range roles {
		add("p, role:%d, %s", role, randomRule(r))
		if role > 0 && r.IntN(2) == 0 {
			add("g, role:%d, role:%d", role, r.IntN(role))
		}
	}
	for range 4 + r.IntN(12) {
		add("p, %s, %s", pick(r, someSubjects), randomRule(r))
	}
	for range r.IntN(4) {
		add("g, %s, role:%d", pick(r, someSubjects), r.IntN(roles))
	}
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return strings.Join(rows, "\n")
}

func randomRule(r *rand.Rand) string {
	path := ""
	for range r.IntN(3) {
		path += "/" + strings.Replace(pick(r, somePieces), "%2F", "a%2Fb", 1)
	}
	path += []string{"", "/", "/**", "/**"}[r.IntN(4)]
	if path == "" {
		path = "/"
	}
	effect := "allow"
	if r.IntN(3) == 0 {
		effect = "deny"
	}
	return strings.Join([]string{pick(r, someUpstreams), path, pick(r, someMethods), effect}, ", ")
}

func randomWho(r *rand.Rand) policy.Who {
	who := policy.Who{Anonymous: r.IntN(5) == 0, Email: pick(r, []string{"", "", "me@X", "you@x"})}
	for range r.IntN(4) {
		who.Groups = append(who.Groups, pick(r, someGroups))
	}
	return who
}

func randomPath(r *rand.Rand) string {
	path := ""
	for range r.IntN(3) {
		path += "/" + pick(r, []string{"a", "b", "ab", "aab", "*", "aXbA", "a%2Fb", "%3A", "b%3A", "A"})
	}
	return path + []string{"", "/"}[r.IntN(2)]
}

func TestDecisionsAreThoseOfANaiveReading(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	counts := map[string]int{}
	for range 400 {
		text := randomPolicy(r)
		s := load(t, text)
		for range 50 {
			who, upstream, raw, method := randomWho(r), pick(r, []string{"u", "v", "w"}), randomPath(r), pick(r, []string{"GET", "HEAD", "POST", "PUT", "X"})
			p, err := target.Parse(raw)
			if err != nil {
				continue // the empty path
			}
			want := naive(text, who, upstream, p.String(), method)
			got := told(s.Decide(policy.Request{Roles: s.Resolve(who), Upstream: upstream, Path: p, Method: method}))
			if got != want {
				t.Fatalf("%+v: %s %s:%s: %s, naively %s, in\n%s", who, method, upstream, p, got, want, text)
			}
			if group := pick(r, someGroups); strings.Contains(text, ", "+group+",") {
				alone := policy.Who{Groups: []string{group}}
				want := s.Decide(policy.Request{Roles: s.Resolve(alone), Upstream: upstream, Path: p, Method: method}).Allowed()
				if got := s.Admitted(upstream, p, method); slices.Contains(got, group) != want {
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

// FuzzDecide is the same for policies and questions that the fuzzer finds.
func FuzzDecide(f *testing.F) {
	f.Add(example, "example-org:argo", "alice@example.com", "argocd", "/api/v1/applications", "GET", false)
	f.Add(everybody, "example-org:argo:x", "Bob@example.com", "u", "/sub", "HEAD", true)
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(randomPolicy(r), pick(r, someGroups), "me@x", "u", randomPath(r), "GET", false)
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
		who := policy.Who{Groups: []string{group}, Email: email, Anonymous: anonymous}
		want := naive(text, who, upstream, p.String(), method)
		if got := told(s.Decide(policy.Request{Roles: s.Resolve(who), Upstream: upstream, Path: p, Method: method})); got != want {
			t.Errorf("%+v: %s %s:%s: %s, naively %s, in\n%s", who, method, upstream, p, got, want, text)
		}
	})
}

// FuzzLoad holds what loads to this: every line that is no comment is a row, no
// row is lost on the way to casbin, and each row is written as it is read.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		example, everybody, sound + chainOf(10), sound + chainOf(11),
		"p, \"a,\"\"b\"\" #c\", *, \"/x,y\", GET|PUT, deny\n",
		"p, a, u, \"/x,u,/y\", GET, deny\np, \"a,u,/x\", u, /y, GET, deny\n",
		"\xef\xbb\xbfp, a, u, /, GET, allow\r\n", ", a", "\"", "g, role:a, role:b\ng, role:b, role:a",
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
		rows := 0
		for line := range strings.SplitSeq(string(data), "\n") {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				rows++
			}
		}
		if s.Rows() != rows {
			t.Errorf("%d rows of %d lines", s.Rows(), rows)
		}
		for _, row := range s.AllRows() {
			raw, method := row.Witness()
			p, err := target.Parse(raw)
			if err != nil {
				t.Errorf("%s: witness %s: %v", row, raw, err)
				continue
			}
			upstream := strings.Replace(row.Upstream, "*", "any", 1)
			d := s.Decide(policy.Request{Roles: s.Holding(row.Subject), Upstream: upstream, Path: p, Method: method})
			if d.Rule == nil || row.Effect == policy.Deny && d.Allowed() {
				t.Errorf("%s is not in force: %s", row, told(d))
			}
			again := load(t, row.String()).AllRows()
			if len(again) != 1 || again[0].String() != row.String() {
				t.Errorf("%s is read back as %v", row, again)
			}
		}
	})
}
