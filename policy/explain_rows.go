package policy

import (
	"fmt"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/target"
)

// Considered is one p row held against a question.
type Considered struct {
	Row     *Row
	Matches bool // the row speaks of this question
	Near    bool // one thing is off, and with that mended the answer might be another

	off misses
	q   *question
}

// question is what rows are held against.
type question struct {
	roles    Roles
	upstream string
	path     string
	method   string
}

// misses are the fields of a row that do not fit a question.
type misses uint8

const (
	missSubject misses = 1 << iota
	missUpstream
	missPath
	missMethod
)

// consider holds a row against the question. The verdict says which effect is of
// interest in rows that nearly match: they would have to turn it.
func (q *question) consider(row *Row, verdict Effect) Considered {
	c := Considered{Row: row, q: q}
	if !q.roles.has(row.Subject) {
		c.off |= missSubject
	}
	if row.Upstream != q.upstream && row.Upstream != anyUpstream {
		c.off |= missUpstream
	}
	if !target.MatchPattern(q.path, row.Path) {
		c.off |= missPath
	}
	if !matchMethod(q.method, row.Methods) {
		c.off |= missMethod
	}
	c.Matches = c.off == 0
	switch c.off {
	case missSubject, missUpstream, missMethod:
		c.Near = row.Effect != verdict
	case missPath:
		c.Near = row.Effect != verdict && gapBetween(q.path, row.Path).near()
	}
	return c
}

// Why says what about the row does not fit, and is empty where it matches.
func (c Considered) Why() string {
	var why []string
	if c.off&missSubject != 0 {
		why = append(why, c.Row.Subject+" is not held")
	}
	if c.off&missUpstream != 0 {
		why = append(why, "another upstream")
	}
	if c.off&missPath != 0 {
		why = append(why, gapBetween(c.q.path, c.Row.Path).String())
	}
	if c.off&missMethod != 0 {
		why = append(why, fmt.Sprintf("method differs: row has %s, request has %s", c.Row.Methods, c.q.method))
	}
	return strings.Join(why, "; ")
}

// gap is what keeps a path and a pattern apart. Before, the two went together.
type gap struct {
	kind     gapKind
	segment  int    // of a difference, counted from 1
	row      string // what the row has at this place, or all that it goes on with
	request  string // and the request
	literals int    // segments before and behind that are the same, letter by letter
	others   int    // further segments that differ
}

type gapKind uint8

const (
	noGap gapKind = iota
	differentSegment
	requestGoesOn
	rowGoesOn
)

func gapBetween(path, pattern string) gap {
	var g gap
	for n := 1; pattern != "/"+target.AnyRest; n++ {
		switch {
		case path == "" && pattern == "":
			return g
		case path == "" || pattern == "":
			g.others++ // if there was a difference before, this is a further one
			if g.kind == noGap {
				g = gap{kind: requestGoesOn, request: path, literals: g.literals}
				if path == "" {
					g.kind, g.row = rowGoesOn, pattern
				}
			}
			return g
		}
		var segment, wanted string
		segment, path = target.CutSegment(path)
		wanted, pattern = target.CutSegment(pattern)
		switch {
		case segment == wanted:
			g.literals++
		case target.MatchSegment(segment, wanted):
		case g.kind == noGap:
			g.kind, g.segment, g.row, g.request = differentSegment, n, wanted, segment
		default:
			g.others++
		}
	}
	return g
}

// near reports whether one small thing keeps the two apart, and not everything.
func (g gap) near() bool {
	switch g.kind {
	case differentSegment:
		return g.others == 0 && (g.literals > 0 || g.similar())
	case requestGoesOn:
		return g.literals > 0
	case rowGoesOn:
		return g.literals > 0 && strings.Count(g.row, "/") == 1
	}
	return false
}

// similar reports whether the segments look like one word, misspelt once.
func (g gap) similar() bool {
	const long = 100 // to compare takes time that grows with the square
	if len(g.row) > long || len(g.request) > long || g.request == "" || strings.Contains(g.row, "*") {
		return false
	}
	_, near := fault.Nearest(g.request, []string{g.row})
	return near
}

func (g gap) String() string {
	switch g.kind {
	case differentSegment:
		return fmt.Sprintf("path differs at segment %d: row has %s, request has %s", g.segment, orNothing(g.row), orNothing(g.request))
	case requestGoesOn:
		if g.request == "/" {
			return "path ends with a slash, the row's does not"
		}
		return "path goes on behind the row's: " + g.request
	case rowGoesOn:
		if g.row == "/" {
			return "path ends without the row's slash"
		}
		return "path ends before the row's: " + g.row
	}
	return ""
}

func orNothing(segment string) string { return orElse(segment, "nothing") }
