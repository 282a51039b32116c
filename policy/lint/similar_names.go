package lint

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/text"
)

// checkSimilarNames finds groups, organisations, mail domains and upstreams that look like a
// slip of the hand for another one. For roles the loader and members do that.
func (l *linter) checkSimilarNames() {
	groups, organisations, domains, upstreams := newNameCounter("group"), newNameCounter("organisation"),
		newNameCounter("mail domain"), newNameCounter("upstream")
	count := func(name string, at fault.Position) {
		if address, isUser := strings.CutPrefix(name, policy.UserPrefix); isUser {
			_, domain, _ := strings.Cut(address, "@")
			domains.count("", domain, at)
		} else if organisation, team, isTeam := strings.Cut(name,
			":"); isTeam && policy.ParseSubject(name).Kind == policy.KindGroup {
			organisations.count("", organisation, at)
			groups.count(organisation+":", team, at)
		} else if policy.ParseSubject(name).Kind == policy.KindGroup {
			groups.count("", name, at)
		}
	}
	for _, g := range l.Grants() {
		count(g.Member, g.MemberAt)
	}
	for _, row := range l.Rows() {
		count(row.Subject, row.At)
		if row.Upstream != policy.AnyUpstream && l.env.Upstreams == nil { // else the loader knows them
			upstreams.count("", row.Upstream, row.At)
		}
	}
	for _, t := range []*nameCounter{groups, organisations, domains} {
		l.reportSimilar(similarName, t)
	}
	l.reportSimilar(similarUpstream, upstreams)
}

// nameCounter counts in how many rows each name of a kind stands.
type nameCounter struct {
	kind  string
	names []nameUsage
	index map[string]int
}

type nameUsage struct {
	scope string // a beginning that names must share to be compared
	name  string
	rows  int
	first fault.Position
	order int
}

func newNameCounter(kind string) *nameCounter {
	return &nameCounter{kind: kind, index: map[string]int{}}
}

func (c *nameCounter) count(scope, name string, at fault.Position) {
	i, known := c.index[scope+name]
	if !known {
		i = len(c.names)
		c.index[scope+name] = i
		c.names = append(c.names, nameUsage{scope, name, 0, at, i})
	}
	c.names[i].rows++
}

// reportSimilar reports the rarer one of two names that look alike. Names that differ
// in letter case or in what joins their words are one name to a person; of other
// pairs one must be rare, or both are meant.
func (l *linter) reportSimilar(code string, t *nameCounter) {
	const rare = 2
	reported := map[int]bool{}
	report := func(a, b nameUsage) {
		if a.rows > b.rows || a.rows == b.rows && a.order < b.order {
			a, b = b, a
		}
		if !reported[a.order] {
			reported[a.order] = true
			l.add(code, a.first,
				t.kind+" "+text.Quote(a.scope+a.name)+" looks like "+text.Quote(b.scope+b.name)+" ("+b.first.FileLine()+")",
				"if one is meant, write it in one way")
		}
	}
	byFolded := map[string]int{}
	for i, n := range t.names {
		key := n.scope + strings.Map(foldRune, n.name)
		if j, known := byFolded[key]; known {
			report(t.names[j], n)
			continue
		}
		byFolded[key] = i
	}
	for _, group := range differInOneWord(t.names) {
		for i, a := range group {
			for _, b := range group[:i] {
				if l.budget--; l.budget < 0 {
					return
				}
				if (a.rows <= rare || b.rows <= rare) && isTypo(a.word, b.word) {
					report(a.nameUsage, b.nameUsage)
				}
			}
		}
	}
}

// foldRune drops what people do not see or hear in a name.
func foldRune(r rune) rune {
	if strings.ContainsRune(wordSeparators, r) {
		return -1
	}
	if 'A' <= r && r <= 'Z' {
		return r - 'A' + 'a'
	}
	return r
}

const wordSeparators = "-_. "

// words gives where each word of a name begins and ends.
func words(name string) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for begin := 0; begin < len(name); {
			end := begin
			for end < len(name) && !strings.ContainsRune(wordSeparators+":/", rune(name[end])) {
				end++
			}
			if end > begin && !yield(begin, end) {
				return
			}
			begin = end + 1
		}
	}
}

// nameWord is a name, and the word in it that others have something else for.
type nameWord struct {
	nameUsage
	word string
}

// differInOneWord puts names together that differ in one word and not only in its
// digits. Thousands of such names were written by a program, which does not slip.
func differInOneWord(names []nameUsage) [][]nameWord {
	const many = 2000
	byRest := map[string][]nameWord{}
	for _, n := range names {
		for begin, end := range words(n.name) {
			if end-begin >= minTypoLen {
				rest := n.scope + n.name[:begin] + "\x00" + n.name[end:]
				byRest[rest] = append(byRest[rest], nameWord{n, n.name[begin:end]})
			}
		}
	}
	var groups [][]nameWord
	for _, rest := range byRest {
		if len(rest) > 1 && len(rest) <= many {
			groups = append(groups, rest)
		}
	}
	slices.SortFunc(groups, func(a, b []nameWord) int {
		return cmp.Or(a[0].order-b[0].order, a[1].order-b[1].order, strings.Compare(a[0].word, b[0].word))
	})
	return groups
}

const (
	minTypoLen         = 4 // letters of a word in which one too many is a slip
	minSubstitutionLen = 6 // in which a wrong one is
	minTwoLetterLen    = 9 // in which two at one place are
)

// isTypo reports whether one word was probably written for the other: words differ
// in little, at one place, and not at their beginning, where hands do not slip
// and words do differ (leader, reader). Digits count things: team-1, team-2.
func isTypo(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 2 || len(a) < minTypoLen || a[0] != b[0] {
		return false
	}
	begin, length := 0, len(a)
	for begin < len(a) && a[begin] == b[begin] {
		begin++
	}
	a, b = a[begin:], b[begin:]
	for a != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	switch {
	case strings.ContainsAny(a+b, "0123456789"):
		return false
	case a == "" && len(b) == 1, len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]:
		return true
	case len(a) == 1 && len(b) == 1:
		return length >= minSubstitutionLen
	}
	return len(b) == 2 && length >= minTwoLetterLen
}
