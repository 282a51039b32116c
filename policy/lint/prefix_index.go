package lint

import (
	"iter"
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// prefixIndex files rows under the literal beginning of their paths, so that not every
// row has to be compared with every other: two patterns meet only if one's literal
// beginning is a beginning of the other's, and one covers another only if its own
// is the shorter.
type prefixIndex struct {
	ids       map[string]int32 // literal beginning → page
	buckets   []bucket
	bySubject map[bucketKey][]*policy.Row
	subjects  policy.StringSet // those that have rows
}

type bucket struct {
	children []int32
	rows     []*policy.Row
}

type bucketKey struct {
	bucket  int32
	subject string
}

func newPrefixIndex(rows int) *prefixIndex {
	a := &prefixIndex{
		ids: make(map[string]int32, rows), buckets: make([]bucket, 1, 1+rows),
		bySubject: make(map[bucketKey][]*policy.Row, rows), subjects: policy.StringSet{},
	}
	a.ids[""] = 0
	return a
}

func (x *prefixIndex) add(row *policy.Row) {
	prefix := literalPrefix(row.Path)
	at := int32(0)
	for end := range prefixEnds(prefix) {
		id, known := x.ids[prefix[:end]]
		if !known {
			id = int32(len(x.buckets))
			x.ids[prefix[:end]] = id
			x.buckets = append(x.buckets, bucket{})
			x.buckets[at].children = append(x.buckets[at].children, id)
		}
		at = id
	}
	x.buckets[at].rows = append(x.buckets[at].rows, row)
	k := bucketKey{at, row.Subject}
	x.bySubject[k] = append(x.bySubject[k], row)
	x.subjects[row.Subject] = struct{}{}
}

// literalPrefix gives the segments before the first that holds a star.
func literalPrefix(pattern string) string {
	star := strings.Index(pattern, target.AnySegment)
	if star < 0 {
		return pattern
	}
	return pattern[:strings.LastIndexByte(pattern[:star], '/')]
}

// prefixEnds gives where each segment of a literal beginning ends. "/" is one
// segment, an empty one; "" is none.
func prefixEnds(prefix string) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 1; i < len(prefix); i++ {
			if prefix[i] == '/' && !yield(i) {
				return
			}
		}
		if prefix != "" {
			yield(len(prefix))
		}
	}
}

// coveringCandidates gives the rows of a subject that might cover a pattern.
func (x *prefixIndex) coveringCandidates(pattern, subject string) iter.Seq[*policy.Row] {
	return func(yield func(*policy.Row) bool) {
		if !x.subjects.Has(subject) {
			return
		}
		prefix := literalPrefix(pattern)
		for _, row := range x.bySubject[bucketKey{0, subject}] {
			if !yield(row) {
				return
			}
		}
		for end := range prefixEnds(prefix) {
			id, known := x.ids[prefix[:end]]
			if !known {
				return
			}
			for _, row := range x.bySubject[bucketKey{id, subject}] {
				if !yield(row) {
					return
				}
			}
		}
	}
}

// overlapCandidates gives the rows that might overlap a pattern.
func (x *prefixIndex) overlapCandidates(pattern string) iter.Seq[*policy.Row] {
	return func(yield func(*policy.Row) bool) {
		prefix := literalPrefix(pattern)
		at := int32(0)
		for end := range prefixEnds(prefix) {
			for _, row := range x.buckets[at].rows {
				if !yield(row) {
					return
				}
			}
			id, known := x.ids[prefix[:end]]
			if !known {
				return
			}
			at = id
		}
		for pending := []int32{at}; len(pending) > 0; {
			p := x.buckets[pending[len(pending)-1]]
			pending = append(pending[:len(pending)-1], p.children...)
			for _, row := range p.rows {
				if !yield(row) {
					return
				}
			}
		}
	}
}
