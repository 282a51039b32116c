package target

import (
	"errors"
	"strings"
)

// Quirks are what a path may hold although servers disagree about it, because the
// one server that it is for needs it. They add up.
type Quirks uint8

// The quirks.
const (
	EmptySegments Quirks = 1 << iota // // in a path, as Grafana's data source proxy has it
	Semicolon                        // ; and %3B, with which servlets pass parameters
	Percent                          // %25 before two hex digits: a name that holds %41

	AllQuirks = EmptySegments | Semicolon | Percent
)

// Quirks gives those without which the path would have been refused.
func (p Path) Quirks() Quirks { return p.quirks }

// String names them as pathQuirks of the configuration does.
func (q Quirks) String() string {
	var names []string
	for i, name := range [...]string{"emptySegments", "semicolon", "percent"} {
		if q&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Refusal gives the reason for which [Parse] refuses a path with one of these.
func (q Quirks) Refusal() Refusal {
	switch {
	case q&EmptySegments != 0:
		return EmptySegment
	case q&Semicolon != 0:
		return Parameter
	case q&Percent != 0:
		return DoubleEncoding
	default:
		return ""
	}
}

// isQuirkRefusal reports whether a refusal is one that quirks could turn.
func isQuirkRefusal(err error) bool {
	return errors.Is(err, EmptySegment) || errors.Is(err, Parameter) || errors.Is(err, DoubleEncoding)
}

// ParseWith is [Parse] for a server that needs some quirks. Dot segments stay refused
// however a server may come to see one: after a semicolon, between empty segments or
// after it has decoded twice.
func ParseWith(requestTarget string, allowed Quirks) (Path, error) {
	path, err := Parse(requestTarget)
	if err == nil || allowed == 0 || !isQuirkRefusal(err) {
		return path, err
	}
	return parse(requestTarget, allowed)
}

// decodesSafely reports whether a path that holds %25 before two hex digits stays one
// path, of the same segments, to a server that decodes once more than another, and
// once more again.
func decodesSafely(canonical string, allowed Quirks) bool {
	for isDoubleEncoded(canonical) {
		decoded, ok := decodeOnce(canonical)
		if !ok || strings.Count(strings.ToUpper(decoded), EncodedSlash) != strings.Count(canonical, EncodedSlash) {
			return false
		}
		next, err := parseOnce(decoded, allowed)
		if err != nil || strings.Count(next, "/") != strings.Count(canonical, "/") {
			return false
		}
		canonical = next
	}
	return true
}

// decodeOnce makes %XX of each %25XX. What reads %uXXXX as UTF-16 is refused.
func decodeOnce(canonical string) (decoded string, ok bool) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(canonical, "%25")
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		if isUTF16Escape(after) {
			return "", false
		}
		if _, twice := unhex(after, 0); twice {
			b.WriteString("%" + after[:2])
			canonical = after[2:]
		} else {
			b.WriteString("%25")
			canonical = after
		}
	}
}

// parseOnce is what a path is to a server that has decoded it: normalised, with the
// same refusals, but for the double encoding that it may still hold.
func parseOnce(raw string, allowed Quirks) (canonical string, err error) {
	canonical, err = normalise(raw, allowed)
	if err != nil {
		return "", err
	}
	return canonical, checkSegments(canonical, allowed)
}

// quirksUsed gives the quirks that a path makes use of.
func quirksUsed(canonical string) Quirks {
	var q Quirks
	if strings.Contains(canonical, "//") {
		q |= EmptySegments
	}
	if strings.Contains(canonical, ";") || strings.Contains(canonical, encodedSemicolon) {
		q |= Semicolon
	}
	if isDoubleEncoded(canonical) {
		q |= Percent
	}
	return q
}
