package explain

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// RowMatch is one p row held against a question.
type RowMatch struct {
	Row      *policy.Row
	Matches  bool // the row matches this request
	NearMiss bool // one field differs, and without that the decision might be the other one

	mismatch mismatch
	query    *rowQuery
}

// rowQuery is what rows are held against.
type rowQuery struct {
	roles    policy.Roles
	upstream string
	path     string
	method   string
}

// mismatch are the fields of a row that do not fit a question.
type mismatch uint8

const (
	missSubject mismatch = 1 << iota
	missUpstream
	missPath
	missMethod
)

// match holds a row against the question. The verdict says which effect is of
// interest in rows that nearly match: they would have to turn it.
func (q *rowQuery) match(row *policy.Row, effect policy.Effect) RowMatch {
	c := RowMatch{Row: row, query: q}
	if !q.roles.Has(row.Subject) {
		c.mismatch |= missSubject
	}
	if row.Upstream != q.upstream && row.Upstream != policy.AnyUpstream {
		c.mismatch |= missUpstream
	}
	if !target.MatchPattern(q.path, row.Path) {
		c.mismatch |= missPath
	}
	if !policy.MatchMethod(q.method, row.Methods) {
		c.mismatch |= missMethod
	}
	c.Matches = c.mismatch == 0
	switch c.mismatch {
	case missSubject, missUpstream, missMethod:
		c.NearMiss = row.Effect != effect
	case missPath:
		c.NearMiss = row.Effect != effect && diffPaths(q.path, row.Path).isNearMiss()
	}
	return c
}

// Why says what about the row does not fit, and is empty where it matches.
func (c RowMatch) Why() string {
	var why []string
	if c.mismatch&missSubject != 0 {
		why = append(why, c.Row.Subject+" is not held")
	}
	if c.mismatch&missUpstream != 0 {
		why = append(why, "another upstream")
	}
	if c.mismatch&missPath != 0 {
		why = append(why, diffPaths(c.query.path, c.Row.Path).String())
	}
	if c.mismatch&missMethod != 0 {
		why = append(why, fmt.Sprintf("method differs: row has %s, request has %s", c.Row.Methods, c.query.method))
	}
	return strings.Join(why, "; ")
}

// pathDiff is what keeps a path and a pattern apart. Before, the two went together.
type pathDiff struct {
	kind     pathDiffKind
	segment  int    // of a difference, counted from 1
	row      string // what the row has at this place, or all that it goes on with
	request  string // and the request
	literals int    // segments before and after that are the same, letter by letter
	others   int    // further segments that differ
}

type pathDiffKind uint8

const (
	noDiff pathDiffKind = iota
	differentSegment
	requestLonger
	rowLonger
)

func diffPaths(path, pattern string) pathDiff {
	var d pathDiff
	for n := 1; pattern != "/"+target.AnyRest; n++ {
		switch {
		case path == "" && pattern == "":
			return d
		case path == "" || pattern == "":
			d.others++ // if there was a difference before, this is a further one
			if d.kind == noDiff {
				d = pathDiff{kind: requestLonger, request: path, literals: d.literals}
				if path == "" {
					d.kind, d.row = rowLonger, pattern
				}
			}
			return d
		}
		var segment, rowSegment string
		segment, path = target.CutSegment(path)
		rowSegment, pattern = target.CutSegment(pattern)
		switch {
		case segment == rowSegment:
			d.literals++
		case target.MatchSegment(segment, rowSegment):
		case d.kind == noDiff:
			d.kind, d.segment, d.row, d.request = differentSegment, n, rowSegment, segment
		default:
			d.others++
		}
	}
	return d
}

// isNearMiss reports whether one small thing keeps the two apart, and not everything.
func (d pathDiff) isNearMiss() bool {
	switch d.kind {
	case differentSegment:
		return d.others == 0 && (d.literals > 0 || d.isTypo())
	case requestLonger:
		return d.literals > 0
	case rowLonger:
		return d.literals > 0 && strings.Count(d.row, "/") == 1
	}
	return false
}

// isTypo reports whether the segments look like one word, misspelt once.
func (d pathDiff) isTypo() bool {
	const long = 100 // to compare takes time that grows with the square
	if len(d.row) > long || len(d.request) > long || d.request == "" || strings.Contains(d.row, "*") {
		return false
	}
	_, near := fault.Nearest(d.request, []string{d.row})
	return near
}

func (d pathDiff) String() string {
	switch d.kind {
	case differentSegment:
		return fmt.Sprintf("path differs at segment %d: row has %s, request has %s", d.segment, orNothing(d.row),
			orNothing(d.request))
	case requestLonger:
		if d.request == "/" {
			return "path ends with a slash, the row's does not"
		}
		return "path continues after the row's: " + d.request
	case rowLonger:
		if d.row == "/" {
			return "path ends without the row's slash"
		}
		return "path ends before the row's: " + d.row
	}
	return ""
}

func orNothing(segment string) string { return cmp.Or(segment, "nothing") }
