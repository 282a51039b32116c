package policy

import (
	"iter"
	"strings"

	"github.com/example-org/authgate/target"
)

// atlas files rows under the literal beginning of their paths, so that not every
// row has to be compared with every other: two patterns meet only if one's literal
// beginning is a beginning of the other's, and one covers another only if its own
// is the shorter.
type atlas struct {
	ids   map[string]int32 // literal beginning → page
	pages []page
	of    map[pageOf][]*Row
	has   subjects // those that have rows
}

type page struct {
	below []int32
	rows  []*Row
}

type pageOf struct {
	page    int32
	subject string
}

func newAtlas(rows int) *atlas {
	a := &atlas{ids: make(map[string]int32, rows), pages: make([]page, 1, 1+rows), of: make(map[pageOf][]*Row, rows), has: subjects{}}
	a.ids[""] = 0
	return a
}

func (a *atlas) add(row *Row) {
	stem := literalBeginning(row.Path)
	at := int32(0)
	for end := range beginnings(stem) {
		id, known := a.ids[stem[:end]]
		if !known {
			id = int32(len(a.pages))
			a.ids[stem[:end]] = id
			a.pages = append(a.pages, page{})
			a.pages[at].below = append(a.pages[at].below, id)
		}
		at = id
	}
	a.pages[at].rows = append(a.pages[at].rows, row)
	k := pageOf{at, row.Subject}
	a.of[k] = append(a.of[k], row)
	a.has[row.Subject] = struct{}{}
}

// literalBeginning gives the segments before the first that holds a star.
func literalBeginning(pattern string) string {
	star := strings.Index(pattern, target.AnySegment)
	if star < 0 {
		return pattern
	}
	return pattern[:strings.LastIndexByte(pattern[:star], '/')]
}

// beginnings gives where each segment of a literal beginning ends. "/" is one
// segment, an empty one; "" is none.
func beginnings(stem string) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 1; i < len(stem); i++ {
			if stem[i] == '/' && !yield(i) {
				return
			}
		}
		if stem != "" {
			yield(len(stem))
		}
	}
}

// over gives the rows of a subject that might cover a pattern.
func (a *atlas) over(pattern, subject string) iter.Seq[*Row] {
	return func(yield func(*Row) bool) {
		if !a.has.has(subject) {
			return
		}
		stem := literalBeginning(pattern)
		for _, row := range a.of[pageOf{0, subject}] {
			if !yield(row) {
				return
			}
		}
		for end := range beginnings(stem) {
			id, known := a.ids[stem[:end]]
			if !known {
				return
			}
			for _, row := range a.of[pageOf{id, subject}] {
				if !yield(row) {
					return
				}
			}
		}
	}
}

// near gives the rows that might overlap a pattern.
func (a *atlas) near(pattern string) iter.Seq[*Row] {
	return func(yield func(*Row) bool) {
		stem := literalBeginning(pattern)
		at := int32(0)
		for end := range beginnings(stem) {
			for _, row := range a.pages[at].rows {
				if !yield(row) {
					return
				}
			}
			id, known := a.ids[stem[:end]]
			if !known {
				return
			}
			at = id
		}
		for open := []int32{at}; len(open) > 0; {
			p := a.pages[open[len(open)-1]]
			open = append(open[:len(open)-1], p.below...)
			for _, row := range p.rows {
				if !yield(row) {
					return
				}
			}
		}
	}
}
