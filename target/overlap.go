package target

import "strings"

// Overlaps reports whether some path matches both patterns.
func Overlaps(a, b string) bool {
	for a != "/"+AnyRest && b != "/"+AnyRest {
		if a == "" || b == "" {
			return a == b
		}
		var pieceA, pieceB string
		pieceA, a = CutSegment(a)
		pieceB, b = CutSegment(b)
		if !OverlapsSegment(pieceA, pieceB) {
			return false
		}
	}
	return true
}

// OverlapsSegment reports whether some segment matches both patterns of a segment. Where
// both hold stars, that segment is the longer beginning, the middle of both, and the
// longer end, provided that the shorter beginning and end agree with them.
func OverlapsSegment(a, b string) bool {
	switch {
	case !strings.Contains(a, AnySegment):
		if !strings.Contains(b, AnySegment) {
			return a == b
		}
		return MatchSegment(a, b)
	case !strings.Contains(b, AnySegment):
		return MatchSegment(b, a)
	}
	beginA, beginB := a[:strings.Index(a, AnySegment)], b[:strings.Index(b, AnySegment)]
	endA, endB := a[strings.LastIndex(a, AnySegment)+1:], b[strings.LastIndex(b, AnySegment)+1:]
	return (strings.HasPrefix(beginA, beginB) || strings.HasPrefix(beginB, beginA)) &&
		(hasSuffix(endA, endB) || hasSuffix(endB, endA))
}

func hasSuffix(s, end string) bool {
	return strings.HasSuffix(s, end) && AtCharacterBoundary(s, len(s)-len(end))
}
