package policy

import (
	"errors"
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
)

const (
	anyMethod       = "*"
	methodSeparator = "|"
	anySegment      = "*"
	anyRest         = "**"
)

// matchPath reports whether a canonical path matches a pattern that checkPath
// has passed. It is the one place where patterns get their meaning; casbin calls
// it as pathMatch.
func matchPath(path, pattern string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	for pattern != "/"+anyRest {
		if path == "" || pattern == "" {
			return path == pattern
		}
		var segment, wanted string
		segment, path = cutSegment(path)
		wanted, pattern = cutSegment(pattern)
		if !matchSegment(segment, wanted) {
			return false
		}
	}
	return true
}

// cutSegment splits "/a/b" into "a" and "/b", and "/" into "" and "".
func cutSegment(path string) (segment, rest string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

func matchSegment(segment, pattern string) bool {
	if pattern == anySegment {
		return segment != ""
	}
	chunk, pattern, wild := strings.Cut(pattern, anySegment)
	if !wild {
		return segment == chunk
	}
	segment, ok := strings.CutPrefix(segment, chunk)
	for ok {
		chunk, pattern, wild = strings.Cut(pattern, anySegment)
		if !wild { // the last chunk ends the segment
			end := len(segment) - len(chunk)
			return end >= 0 && segment[end:] == chunk && wholeCharacter(segment, end)
		}
		segment, ok = cutThrough(segment, chunk)
	}
	return false
}

// cutThrough gives what follows the first occurrence of chunk.
func cutThrough(segment, chunk string) (rest string, found bool) {
	for at := 0; at <= len(segment); {
		i := strings.Index(segment[at:], chunk)
		if i < 0 {
			break
		}
		if at += i; wholeCharacter(segment, at) {
			return segment[at+len(chunk):], true
		}
		at++
	}
	return "", false
}

// wholeCharacter reports whether s[at:] begins between two characters and not
// inside an escape: *F matches Foo%2FF and not Foo%2F.
func wholeCharacter(s string, at int) bool {
	return (at < 1 || s[at-1] != '%') && (at < 2 || s[at-2] != '%')
}

// matchMethod reports whether the methods of a row cover a request's method. Who
// may GET may HEAD (RFC 9110, 9.3.2: the same without the content), and who may
// not, may not.
func matchMethod(method, methods string) bool {
	if methods == anyMethod {
		return true
	}
	for m := range strings.SplitSeq(methods, methodSeparator) {
		if m == method || m == "GET" && method == "HEAD" {
			return true
		}
	}
	return false
}

// checkPath holds a pattern to the form of the paths that it is to match; a
// pattern in another form would be loaded and match nothing.
func checkPath(path string) (what, mend string) {
	if path == anySegment || path == anyRest {
		return "path " + quote(path) + " does not begin with /", `write "/**" for every path`
	}
	if path[0] != '/' {
		return "path " + quote(path) + " does not begin with /", "write " + quote("/"+path)
	}
	canonical, err := target.Parse(path)
	switch {
	case err != nil:
		return "no request comes with path " + quote(path) + ": " + err.Error(), mendFor(err)
	case strings.Contains(path, "?"):
		return "path " + quote(path) + " holds a query, and only paths are matched", "write " + quote(canonical.String())
	case strings.ContainsAny(path, "{}"):
		return "path " + quote(path) + " holds a brace", "write * for any one segment, or %7B for the character"
	case canonical.String() != path:
		return "path " + quote(path) + " is not in canonical form", "write " + quote(canonical.String())
	}
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		switch {
		case s == anyRest && i < len(segments)-1:
			return "** is not the last segment of path " + quote(path), "write * for any one segment, or end the path with /**"
		case s != anyRest && strings.Contains(s, anyRest):
			return "** is only a part of segment " + quote(s), "write * for any characters, or ** as a segment of its own"
		}
	}
	return "", ""
}

func mendFor(refusal error) string {
	switch {
	case errors.Is(refusal, target.ControlByte):
		return "write a blank as %20"
	case errors.Is(refusal, target.BadEscape):
		return "write a percent sign as %25"
	}
	return "take that out"
}

func checkMethods(methods string) (what, mend string) {
	if methods == anyMethod {
		return "", ""
	}
	var seen []string
	for m := range strings.SplitSeq(methods, methodSeparator) {
		switch bare := strings.Trim(m, blanks); {
		case m == "":
			return "method " + quote(methods) + " has an empty part", "write GET, or GET|POST, or * for all"
		case bare != m:
			return "method " + quote(methods) + " holds a blank", "write GET|POST without blanks"
		case m == anyMethod:
			return "method " + quote(methods) + " has * beside others", `write "*" alone`
		case slices.Contains(seen, m):
			return "method " + quote(methods) + " names " + m + " twice", "name it once"
		case isMethod(m):
			seen = append(seen, m)
		case isMethod(strings.ToUpper(m)):
			return "method " + quote(m) + " is not in upper case", "write " + strings.ToUpper(m)
		default:
			return "method " + quote(m) + " is not a method", "write GET, or GET|POST, or * for all"
		}
	}
	return "", ""
}

// isMethod is stricter than RFC 9110, 5.6.2, where a method may hold * and | or
// be in lower case: no method in use does, and a slip often does.
func isMethod(m string) bool {
	for i := range len(m) {
		c := m[i]
		switch {
		case 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return m != ""
}
