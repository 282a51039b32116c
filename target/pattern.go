package target

import (
	"errors"
	"strconv"
	"strings"
)

// What is not literal in a pattern.
const (
	AnySegment = "*"  // one segment that is not empty; inside a segment any characters, or none
	AnyRest    = "**" // as the last segment: zero or more segments, an empty last one included
)

// MatchPattern reports whether a canonical path matches a pattern that
// [CheckPattern] has passed. It is the one place where patterns get their
// meaning: rows of a policy and paths in the configuration alike.
func MatchPattern(path, pattern string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	for pattern != "/"+AnyRest {
		if path == "" || pattern == "" {
			return path == pattern
		}
		var segment, segPattern string
		segment, path = CutSegment(path)
		segPattern, pattern = CutSegment(pattern)
		if !MatchSegment(segment, segPattern) {
			return false
		}
	}
	return true
}

// CutSegment splits "/a/b" into "a" and "/b", and "/" into "" and "".
func CutSegment(path string) (segment, rest string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// MatchSegment reports whether one segment of a path matches one of a pattern.
func MatchSegment(segment, pattern string) bool {
	if pattern == AnySegment {
		return segment != ""
	}
	chunk, pattern, wild := strings.Cut(pattern, AnySegment)
	if !wild {
		return segment == chunk
	}
	segment, ok := strings.CutPrefix(segment, chunk)
	for ok {
		chunk, pattern, wild = strings.Cut(pattern, AnySegment)
		if !wild { // the last chunk ends the segment
			end := len(segment) - len(chunk)
			return end >= 0 && segment[end:] == chunk && AtCharacterBoundary(segment, end)
		}
		segment, ok = cutAfter(segment, chunk)
	}
	return false
}

// cutAfter gives what follows the first occurrence of chunk.
func cutAfter(segment, chunk string) (rest string, found bool) {
	for at := 0; at <= len(segment); {
		i := strings.Index(segment[at:], chunk)
		if i < 0 {
			break
		}
		if at += i; AtCharacterBoundary(segment, at) {
			return segment[at+len(chunk):], true
		}
		at++
	}
	return "", false
}

// AtCharacterBoundary reports whether s[at:] begins between two characters and not
// inside an escape: *F matches Foo%2FF and not Foo%2F.
func AtCharacterBoundary(s string, at int) bool {
	return (at < 1 || s[at-1] != '%') && (at < 2 || s[at-2] != '%')
}

// CheckPattern holds a pattern to the form of the paths that it is to match; a
// pattern in another form would match nothing. It gives two empty strings, or
// what is wrong and how to fix it.
func CheckPattern(pattern string) (message, hint string) { return CheckPatternWith(pattern, 0) }

// CheckPatternWith is [CheckPattern] for the paths of a server that needs some quirks.
func CheckPatternWith(pattern string, allowed Quirks) (message, hint string) {
	switch {
	case pattern == AnySegment || pattern == AnyRest:
		return "path " + quote(pattern) + " does not begin with /", `write "/**" for every path`
	case !strings.HasPrefix(pattern, "/"):
		return "path " + quote(pattern) + " does not begin with /", "write " + quote("/"+pattern)
	}
	canonical, err := ParseWith(pattern, allowed)
	switch {
	case err != nil:
		return "no request comes with path " + quote(pattern) + ": " + err.Error(), hintFor(pattern, err)
	case strings.Contains(pattern, "?"):
		return "path " + quote(pattern) + " holds a query, and only paths are matched",
			"write " + quote(canonical.String())
	case strings.ContainsAny(pattern, "{}"):
		return "path " + quote(pattern) + " holds a brace", "write * for any one segment, or %7B for the character"
	case canonical.String() != pattern:
		return "path " + quote(pattern) + " is not in canonical form", "write " + quote(canonical.String())
	}
	for rest := pattern; rest != ""; {
		var segment string
		segment, rest = CutSegment(rest)
		switch {
		case segment == AnyRest && rest != "":
			return "** is not the last segment of path " + quote(pattern),
				"write * for any one segment, or end the path with /**"
		case segment != AnyRest && strings.Contains(segment, AnyRest):
			return "** is only a part of segment " + quote(segment),
				"write * for any characters, or ** as a segment of its own"
		}
	}
	return "", ""
}

func hintFor(pattern string, refusal error) string {
	switch {
	case errors.Is(refusal, ControlByte):
		return "write a space as %20"
	case errors.Is(refusal, BadEscape):
		return "write a percent sign as %25"
	}
	if lenient, err := ParseWith(pattern, AllQuirks); err == nil {
		return "take that out, or add pathQuirks: [" + lenient.quirks.String() + "] to its upstream"
	}
	return "take that out"
}

// quote quotes the beginning of a value. It is not text.Quote, because this package
// imports nothing of the module.
func quote(s string) string {
	const limit = 100
	if characters := []rune(s); len(characters) > limit {
		s = string(characters[:limit]) + "…"
	}
	return strconv.Quote(s)
}
