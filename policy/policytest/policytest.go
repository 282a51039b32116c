// Package policytest holds what tests of several packages share: random policies, and
// a slow reader of policies that shares no code with the real one. Only tests import it.
package policytest

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/pathspace"
	"github.com/example-org/authgate/policy/replay"
	"github.com/example-org/authgate/target"
)

// load loads a policy that must load, with any upstream allowed.
func Load(t testing.TB, text string) *policy.Snapshot {
	t.Helper()
	s, err := policy.Load([]policy.Source{{Name: "policy.csv", Data: []byte(text)}}, nil)
	if err != nil {
		t.Fatalf("loading:\n%s\n%v", text, err)
	}
	return s
}

func Path(t testing.TB, raw string) target.Path {
	t.Helper()
	p, err := target.Parse(raw)
	if err != nil {
		t.Fatalf("path %q: %v", raw, err)
	}
	return p
}

// accessKey decides "METHOD UPSTREAM:/path" for a user.
func Ask(t testing.TB, s *policy.Snapshot, identity policy.Identity, question string) policy.Decision {
	t.Helper()
	method, rest, ok1 := strings.Cut(question, " ")
	upstream, raw, ok2 := strings.Cut(rest, ":")
	if !ok1 || !ok2 {
		t.Fatalf("question %q is not METHOD UPSTREAM:/path", question)
	}
	return s.Decide(policy.Request{Roles: s.Resolve(identity), Upstream: upstream, Path: Path(t, raw), Method: method})
}

// columnRow gives a decision as people read it: allow policy.csv:3.
func DecisionText(d policy.Decision) string {
	if d.Row == nil {
		return d.Effect.String()
	}
	return d.Effect.String() + " " + d.Row.Where()
}

// Each subject has a rule for a path of its own, so that what a user may open
// tells who they are to the policy.
const EverySubject = `
p, role:admin, u, /admin, GET, allow
p, role:viewer, u, /viewer, GET, allow
p, example-org:argo, u, /argo, GET, allow
p, example-org:*, u, /org, GET, allow
p, example-org:argo:*, u, /sub, GET, allow
p, user:alice@example.com, u, /alice, GET, allow
p, user:*@Corp.example, u, /corp, GET, allow
p, user:*@bücher.example, u, /idn, GET, allow
p, system:authenticated, u, /in, GET, allow
p, system:anonymous, u, /out, GET, allow
g, boss@example.com, role:admin
g, user:Bob@Example.com, role:admin
g, other-org:*, role:viewer
g, user:*@corp.example, role:viewer
g, role:admin, role:viewer
`

// The policy of the documentation.
const Example = `# p, subject, upstream, path, method, effect
p, role:viewer, argocd, /api/v1/applications/**, GET, allow
p, role:admin,  *,      /**, *,   allow
p, role:frozen, argocd, /api/v1/applications/*/sync, POST, deny
p, system:anonymous, argocd, /api/webhook, POST, allow
# g, member, role
g, example-org:argo, role:admin
g, system:authenticated, role:viewer
g, role:admin, role:viewer
`

// naive decides a single question.
func Naive(text string, identity policy.Identity, upstream, path, method string) string {
	n := ReadNaively(policy.Source{Name: "policy.csv", Data: []byte(text)})
	return n.Decide(n.Subjects(identity), upstream, path, method)
}

func ReadNaively(sources ...policy.Source) *Naively {
	n := &Naively{seen: map[string][]bool{}}
	for _, src := range sources {
		for i, line := range strings.Split(string(src.Data), "\n") {
			fields := strings.Split(line, ",")
			for i := range fields {
				if fields[i] = strings.TrimSpace(fields[i]); strings.HasPrefix(fields[i], "user:") {
					fields[i] = naiveLower(fields[i])
				}
			}
			switch fields[0] {
			case "p":
				n.p, n.where = append(n.p, fields[1:]), append(n.where, fmt.Sprintf("%s:%d", src.Name, i+1))
				n.paths = append(n.paths, NaivePath(fields[3]))
			case "g":
				n.g = append(n.g, fields[1:])
			}
		}
	}
	return n
}

func NaivePath(pattern string) *regexp.Regexp {
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

func NaiveMethod(methods, method string) bool {
	for _, m := range strings.Split(methods, "|") {
		if m == "*" || m == method || m == "GET" && method == "HEAD" {
			return true
		}
	}
	return false
}

func Pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

var SomeSegments = []string{"a", "b", "ab", "aab", "*", "a*", "aXbA", "a%2Fb", "%3A", "b%3A", "A", "7"}

func randomRule(r *rand.Rand) string {
	path := ""
	for range r.IntN(3) {
		path += "/" + SomePiece(r)
	}
	path += []string{"", "/", "/**", "/**"}[r.IntN(4)]
	if path == "" {
		path = "/"
	}
	effect := "allow"
	if r.IntN(3) == 0 {
		effect = "deny"
	}
	return strings.Join([]string{Pick(r, SomeUpstreams), path, Pick(r, SomeMethods), effect}, ", ")
}

// randomPolicy always loads: roles lead to smaller ones only, and each has a rule.
func RandomPolicy(r *rand.Rand) string {
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
		add("p, %s, %s", Pick(r, someSubjects), randomRule(r))
	}
	for range r.IntN(4) {
		add("g, %s, role:%d", Pick(r, someSubjects), r.IntN(roles))
	}
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return strings.Join(rows, "\n")
}

func RandomPath(r *rand.Rand) string {
	path := ""
	for range r.IntN(3) {
		path += "/" + Pick(r, SomeSegments)
	}
	return path + []string{"", "/"}[r.IntN(2)]
}

func RandomIdentity(r *rand.Rand) policy.Identity {
	identity := policy.Identity{
		Anonymous: r.IntN(5) == 0,
		Email:     Pick(r, []string{"", "", "me@X", "you@x", "me@Y", "me@y.x", "me@y@x"}),
	}
	for range r.IntN(4) {
		identity.Groups = append(identity.Groups, Pick(r, SomeGroups))
	}
	return identity
}

// noon is when requests of these logs were made, unless they say otherwise.
var Noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// observed reads "allow GET u:/path", made by a user.
func LoggedRequest(t *testing.T, identity replay.LoggedRequest, line string) *replay.LoggedRequest {
	t.Helper()
	effect, question, _ := strings.Cut(line, " ")
	method, place, _ := strings.Cut(question, " ")
	upstream, raw, _ := strings.Cut(place, ":")
	path, err := target.Parse(raw)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	identity.Upstream, identity.Path, identity.Method = upstream, path, method
	if effect == "allow" {
		identity.Effect = policy.Allow
	}
	if identity.Time.IsZero() {
		identity.Time = Noon
	}
	return &identity
}

func InGroups(person string, groups ...string) replay.LoggedRequest {
	return replay.LoggedRequest{User: person, Groups: append([]string{}, groups...)}
}

func InRoles(person string, roles ...string) replay.LoggedRequest {
	return replay.LoggedRequest{User: person, Roles: roles}
}

func Replayed(t *testing.T, r *replay.Replay) replay.Report {
	t.Helper()
	report, err := r.Report()
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// covers reads a set of methods as the documentation has it.
func Covers(m pathspace.Methods, method string) bool {
	named, except := m.Named(), m.Except()
	switch {
	case slices.Contains(named, method):
		return true
	case slices.Contains(except, method):
		return false
	case method == "HEAD" && slices.Contains(named, "GET"):
		return true
	case method == "HEAD" && slices.Contains(except, "GET"):
		return false
	}
	return slices.Contains(named, "*")
}

// Names are few, so that rows meet.
var (
	SomeUpstreams = []string{"u", "v", "*"}
	SomeMethods   = []string{"GET", "HEAD", "POST", "PUT", "*", "GET|POST", "HEAD|PUT"}
	somePieces    = []string{"a", "b", "*", "a*", "*b", "a*b*", "%2F", "%3A", "*A"}
	SomeGroups    = []string{"o:a", "o:b", "o:a:b", "p:a", "x"}
	someSubjects  = append([]string{
		"o:*", "o:*", "o:a:*", "system:authenticated", "user:Me@x", "user:*@X", "user:*@y",
		"system:authenticated", "system:anonymous",
	}, SomeGroups...)
)

func SomePiece(r *rand.Rand) string {
	return strings.Replace(Pick(r, somePieces), "%2F", "a%2Fb", 1) // nothing empty before or after
}

func naiveLower(s string) string {
	for c := 'A'; c <= 'Z'; c++ {
		s = strings.ReplaceAll(s, string(c), string(c+32))
	}
	return s
}

// naively is a policy read from its text with nothing but loops and regular
// expressions: slow, short, and without a line of the code under test. It reads no
// quotes.
type Naively struct {
	p, g  [][]string
	where []string
	paths []*regexp.Regexp
	seen  map[string][]bool // path → which p rows match it
}

// subjects gives all that a user is.
func (n *Naively) Subjects(identity policy.Identity) map[string]bool {
	is := map[string]bool{"system:authenticated": true, "user:" + naiveLower(identity.Email): identity.Email != ""}
	if parts := strings.Split(naiveLower(identity.Email), "@"); len(parts) == 2 && parts[0] != "" {
		is["user:*@"+parts[1]] = true
	}
	for _, group := range identity.Groups {
		is[group] = true
		for i, c := range group {
			if c == ':' && i+1 < len(group) {
				is[group[:i]+":*"] = true
			}
		}
	}
	if identity.Anonymous {
		is = map[string]bool{"system:anonymous": true}
	}
	for range n.g { // as often as there could be anything new
		for _, row := range n.g {
			is[row[1]] = is[row[1]] || is[row[0]]
		}
	}
	return is
}

func (n *Naively) Decide(is map[string]bool, upstream, path, method string) string {
	matching, seen := n.seen[path]
	if !seen {
		for _, pattern := range n.paths {
			matching = append(matching, pattern.MatchString(path))
		}
		n.seen[path] = matching
	}
	answer := "deny"
	for i, row := range n.p {
		matches := matching[i] && is[row[0]] && (row[1] == upstream || row[1] == "*") && NaiveMethod(row[3], method)
		if matches && row[4] == "deny" {
			return "deny " + n.where[i]
		}
		if matches && answer == "deny" {
			answer = "allow " + n.where[i]
		}
	}
	return answer
}
