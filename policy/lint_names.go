package policy

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// names finds groups, organisations, mail domains and upstreams that look like a
// slip of the hand for another one. For roles the loader and members do that.
func (l *linter) names() {
	groups, organisations, domains, upstreams := newTally("group"), newTally("organisation"), newTally("mail domain"), newTally("upstream")
	count := func(name string, at fault.Position) {
		if address, isUser := strings.CutPrefix(name, userPrefix); isUser {
			_, domain, _ := strings.Cut(address, "@")
			domains.count("", domain, at)
		} else if organisation, team, isTeam := strings.Cut(name, ":"); isTeam && !reserved(name) {
			organisations.count("", organisation, at)
			groups.count(organisation+":", team, at)
		} else if !reserved(name) {
			groups.count("", name, at)
		}
	}
	for _, g := range l.grants {
		count(g.member, g.memberAt)
	}
	for _, row := range l.rows {
		count(row.Subject, row.at)
		if row.Upstream != anyUpstream && l.around.Upstreams == nil { // else the loader knows them
			upstreams.count("", row.Upstream, row.at)
		}
	}
	for _, t := range []*tally{groups, organisations, domains} {
		l.twinNames(likeAnother, t)
	}
	l.twinNames(upstreamTypo, upstreams)
}

// tally counts in how many rows each name of a kind stands.
type tally struct {
	kind  string
	names []usage
	index map[string]int
}

type usage struct {
	given string // a beginning that names must share to be compared
	name  string
	rows  int
	first fault.Position
	rank  int
}

func newTally(kind string) *tally { return &tally{kind: kind, index: map[string]int{}} }

func (t *tally) count(given, name string, at fault.Position) {
	i, known := t.index[given+name]
	if !known {
		i = len(t.names)
		t.index[given+name] = i
		t.names = append(t.names, usage{given, name, 0, at, i})
	}
	t.names[i].rows++
}

// twinNames reports the rarer one of two names that look alike. Names that differ
// in letter case or in what joins their words are one name to a person; of other
// pairs one must be rare, or both are meant.
func (l *linter) twinNames(code string, t *tally) {
	const rare = 2
	said := map[int]bool{}
	report := func(a, b usage) {
		if a.rows > b.rows || a.rows == b.rows && a.rank < b.rank {
			a, b = b, a
		}
		if !said[a.rank] {
			said[a.rank] = true
			l.add(code, a.first, t.kind+" "+quote(a.given+a.name)+" looks like "+quote(b.given+b.name)+" ("+lineOf(b.first)+")", "if one is meant, write it in one way")
		}
	}
	folded := map[string]int{}
	for i, n := range t.names {
		key := n.given + strings.Map(foldLetter, n.name)
		if j, known := folded[key]; known {
			report(t.names[j], n)
			continue
		}
		folded[key] = i
	}
	for _, alike := range oneWordApart(t.names) {
		for i, a := range alike {
			for _, b := range alike[:i] {
				if l.budget--; l.budget < 0 {
					return
				}
				if (a.rows <= rare || b.rows <= rare) && slip(a.word, b.word) {
					report(a.usage, b.usage)
				}
			}
		}
	}
}

// foldLetter drops what people do not see or hear in a name.
func foldLetter(r rune) rune {
	if strings.ContainsRune(joints, r) {
		return -1
	}
	if 'A' <= r && r <= 'Z' {
		return r - 'A' + 'a'
	}
	return r
}

const joints = "-_. "

// words gives where each word of a name begins and ends.
func words(name string) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for begin := 0; begin < len(name); {
			end := begin
			for end < len(name) && !strings.ContainsRune(joints+":/", rune(name[end])) {
				end++
			}
			if end > begin && !yield(begin, end) {
				return
			}
			begin = end + 1
		}
	}
}

// worded is a name, and the word in it that others have something else for.
type worded struct {
	usage
	word string
}

// oneWordApart puts names together that differ in one word and not only in its
// digits. Thousands of such names were written by a program, which does not slip.
func oneWordApart(names []usage) [][]worded {
	const many = 2000
	shapes := map[string][]worded{}
	for _, n := range names {
		for begin, end := range words(n.name) {
			if end-begin >= shortest {
				shape := n.given + n.name[:begin] + "\x00" + n.name[end:]
				shapes[shape] = append(shapes[shape], worded{n, n.name[begin:end]})
			}
		}
	}
	var together [][]worded
	for _, shape := range shapes {
		if len(shape) > 1 && len(shape) <= many {
			together = append(together, shape)
		}
	}
	slices.SortFunc(together, func(a, b []worded) int {
		return cmp.Or(a[0].rank-b[0].rank, a[1].rank-b[1].rank, strings.Compare(a[0].word, b[0].word))
	})
	return together
}

const (
	shortest = 4 // letters of a word in which one too many is a slip
	middling = 6 // in which a wrong one is
	longest  = 9 // in which two at one place are
)

// slip reports whether one word was probably written for the other: words differ
// in little, at one place, and not at their beginning, where hands do not slip
// and words do differ (leader, reader). Digits count things: team-1, team-2.
func slip(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 2 || len(a) < shortest || a[0] != b[0] {
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
		return length >= middling
	}
	return len(b) == 2 && length >= longest
}
