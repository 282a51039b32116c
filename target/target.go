// Package target brings the path of a request to one canonical form, or refuses
// it. It is step 1 of the request path: what [Parse] returns is what the policy
// matches, what the audit names and what the upstream is sent, so that no two
// readers can see different paths.
//
// It refuses rather than repairs wherever servers are known to disagree: dot
// segments, empty segments, backslashes, path parameters, double encoding. It
// knows no upstream and no rule. A query is left as it is. What a pattern of
// such paths matches is said here, too ([MatchPattern]). Values are immutable and
// safe for any number of goroutines.
package target

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// Path is a canonical path. [Parse] is the only way to a non-zero one; the zero
// Path is no path and matches no rule.
//
// It holds only bytes that net/url keeps as they are in RawPath (validEncoded in
// net/url/url.go), each escape is of a reserved or non-ASCII byte, and its hex
// digits are upper case (RFC 3986, 6.2.2).
type Path struct {
	canonical    string
	encodedSlash bool
	quirks       Quirks
}

// String gives the canonical form, escapes included.
func (p Path) String() string { return p.canonical }

// IsZero reports whether p is no path at all.
func (p Path) IsZero() bool { return p.canonical == "" }

// HasEncodedSlash reports whether a segment holds %2F: one character to some
// servers and a separator to others (RFC 3986, 2.2), so the route has to know
// which of them it leads to.
func (p Path) HasEncodedSlash() bool { return p.encodedSlash }

// Decoded gives the path with every escape decoded: what url.URL calls Path
// where String is its RawPath. It is never matched against a rule.
func (p Path) Decoded() string {
	decoded, err := url.PathUnescape(p.canonical)
	if err != nil { // Parse accepts no broken escape
		return p.canonical
	}
	return decoded
}

// Refusal says why a target has no canonical form. It is a sentence for the
// person who sent it and repeats nothing of what was sent.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// The reasons for which Parse refuses.
const (
	NotAbsolute    Refusal = "the path does not begin with a slash"
	BadEscape      Refusal = "the path has a % that is not followed by two hex digits"
	ControlByte    Refusal = "the path holds a control character or a space"
	Backslash      Refusal = "the path holds a backslash"
	Parameter      Refusal = "the path holds a semicolon"
	Fragment       Refusal = "the path holds a #"
	DoubleEncoding Refusal = "the path is percent-encoded twice"
	NotUTF8        Refusal = "the path is not valid UTF-8"
	DotSegment     Refusal = "the path has a . or .. segment"
	EmptySegment   Refusal = "the path has an empty segment"
	LookAlike      Refusal = "the path holds a character that servers make a slash or a backslash of"
	QueryByte      Refusal = "the query holds a control character or a space"
)

// EncodedSlash is an encoded slash in a canonical path.
const EncodedSlash = "%2F"

const (
	encodedSemicolon = "%3B"
	schemeSeparator  = "%3A"
	escapeLen        = len(EncodedSlash)
	upperHex         = "0123456789ABCDEF"
)

// Parse brings the path of a request target in origin form (RFC 9112, 3.2.1) to
// its canonical form; a query is cut off, and only looked at for what would end
// the line that it is to stand in: HTTP/2 lets that pass. The error is a
// [Refusal]. A target that is canonical already costs no allocation.
func Parse(requestTarget string) (Path, error) { return parse(requestTarget, 0) }

func parse(requestTarget string, allowed Quirks) (Path, error) {
	raw, query, _ := strings.Cut(requestTarget, "?")
	if raw == "" || raw[0] != '/' {
		return Path{}, NotAbsolute
	}
	for i := range len(query) {
		if query[i] <= ' ' || query[i] == 0x7f {
			return Path{}, QueryByte
		}
	}
	if isPlain(raw) {
		return Path{canonical: raw}, nil
	}
	canonical, err := normalise(raw, allowed)
	if err != nil {
		return Path{}, err
	}
	if err := checkSegments(canonical, allowed); err != nil {
		return Path{}, err
	}
	path := Path{canonical: canonical, encodedSlash: strings.Contains(canonical, EncodedSlash)}
	if allowed != 0 {
		path.quirks = quirksUsed(canonical)
		if !decodesSafely(canonical, allowed) {
			return Path{}, DoubleEncoding
		}
	}
	return path, nil
}

// isPlain reports whether a path is canonical at first sight, as most are: it holds no
// escape and nothing that needs one, and no segment is empty or begins with a dot.
func isPlain(raw string) bool {
	for i := range len(raw) {
		c := raw[i]
		switch {
		case !unreserved(c) && !isUnescapedPathByte(c):
			return false
		case c == '/' && i+1 < len(raw) && (raw[i+1] == '/' || raw[i+1] == '.'):
			return false
		}
	}
	return true
}

// normalise decodes escapes of unreserved characters, encodes bytes that may not
// stand in a path (RFC 3986, 3.3; browsers send some, such as |) and writes hex
// digits in upper case. It refuses bytes that have no harmless form.
func normalise(raw string, allowed Quirks) (string, error) {
	var out []byte // nil while raw[:i] is canonical already
	nonASCII := false
	for i := 0; i < len(raw); {
		c, width := raw[i], 1
		if c == '%' {
			var ok bool
			if c, ok = unhex(raw, i+1); !ok {
				return "", BadEscape
			}
			width = escapeLen
		}
		if err := checkByte(c, width == 1); err != nil && !(c == ';' && allowed&Semicolon != 0) {
			return "", err
		}
		nonASCII = nonASCII || c >= utf8.RuneSelf
		plain := unreserved(c) || width == 1 && (isUnescapedPathByte(c) || c == ';')
		same := plain && width == 1 || !plain && width == escapeLen && isUpperHex(raw[i+1:i+escapeLen])
		if !same && out == nil {
			out = append(make([]byte, 0, len(raw)+2*escapeLen), raw[:i]...)
		}
		if out != nil {
			out = appendByte(out, c, plain)
		}
		i += width
	}
	canonical := raw
	if out != nil {
		canonical = string(out)
	}
	if nonASCII && !decodesToUTF8(canonical) {
		return "", NotUTF8
	}
	if nonASCII && hasC1Control(canonical) {
		return "", ControlByte
	}
	if allowed&Percent == 0 && isDoubleEncoded(canonical) {
		return "", DoubleEncoding
	}
	if nonASCII {
		return canonical, checkLookAlikes(canonical)
	}
	return canonical, nil
}

func checkByte(c byte, bare bool) error {
	switch {
	case c < ' ' || c == 0x7f || bare && c == ' ':
		return ControlByte
	case c == '\\':
		return Backslash
	case c == ';':
		return Parameter
	case bare && c == '#':
		return Fragment
	}
	return nil
}

// checkSegments refuses dot segments and empty segments, of the path and of the
// parts between encoded slashes alike. The empty segment after a trailing slash
// is data.
func checkSegments(path string, allowed Quirks) error {
	rest, more := path[1:], true
	for more {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if segment == "" {
			if more && allowed&EmptySegments == 0 {
				return EmptySegment
			}
			continue
		}
		if err := checkParameters(segment, more, allowed); err != nil {
			return err
		}
		if err := checkParts(segment); err != nil {
			return err
		}
	}
	return nil
}

// checkParameters refuses what is a dot segment, or an empty one, to a server that
// takes parameters off.
func checkParameters(segment string, more bool, allowed Quirks) error {
	if !strings.Contains(segment, ";") && !strings.Contains(segment, encodedSemicolon) {
		return nil
	}
	rest, first, found := segment, true, true
	for found {
		var parameter string
		parameter, rest, found = cutParameter(rest)
		for part := range strings.SplitSeq(parameter, EncodedSlash) {
			if isASCIIDotSegment(part) {
				return DotSegment
			}
		}
		if first && parameter == "" && more && allowed&EmptySegments == 0 {
			return EmptySegment
		}
		first = false
	}
	return nil
}

// cutParameter cuts a segment at its first semicolon.
func cutParameter(segment string) (before, after string, found bool) {
	if encoded, rest, is := strings.Cut(segment, encodedSemicolon); is && !strings.Contains(encoded, ";") {
		return encoded, rest, true
	}
	return strings.Cut(segment, ";")
}

func checkParts(segment string) error {
	rest, more := segment, true
	for first, afterScheme := true, false; more; first = false {
		var part string
		part, rest, more = strings.Cut(rest, EncodedSlash)
		switch {
		case isASCIIDotSegment(part):
			return DotSegment
		case part == "" && !(afterScheme && more):
			return EmptySegment
		}
		// https%3A%2F%2Fhost: the one empty part that a URL in a segment needs.
		afterScheme = first && isScheme(part)
	}
	return nil
}

// isASCIIDotSegment is climbs for a part that is not decoded: Windows takes spaces off
// the end of a name. What lies beyond ASCII is for checkLookAlikes.
func isASCIIDotSegment(part string) bool {
	dots := strings.Count(part, ".")
	if dots != 1 && dots != 2 {
		return false
	}
	for part != "" {
		if part[0] == '.' {
			part = part[1:]
			continue
		}
		rest, blank := strings.CutPrefix(part, "%20")
		if !blank {
			return false
		}
		part = rest
	}
	return true
}

func isScheme(part string) bool {
	name, isEncoded := strings.CutSuffix(part, schemeSeparator)
	if !isEncoded {
		var isPlain bool
		if name, isPlain = strings.CutSuffix(part, ":"); !isPlain {
			return false
		}
	}
	for i := range len(name) {
		c := name[i] | 0x20
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(name[i]))) {
			return false
		}
	}
	return name != ""
}

// isDoubleEncoded finds %25 before what would make it an escape: a server that decodes
// once and one that decodes twice see different paths. %uXXXX is an escape to IIS
// and to ECMAScript's unescape.
func isDoubleEncoded(canonical string) bool {
	for {
		_, after, found := strings.Cut(canonical, "%25")
		if !found {
			return false
		}
		if _, twice := unhex(after, 0); twice {
			return true
		}
		if isUTF16Escape(after) {
			return true
		}
		canonical = after
	}
}

// isUTF16Escape reports whether uXXXX follows a percent sign.
func isUTF16Escape(after string) bool {
	if after == "" || after[0]|0x20 != 'u' {
		return false
	}
	_, high := unhex(after, 1)
	_, low := unhex(after, 1+2)
	return high && low
}

func decodesToUTF8(canonical string) bool {
	decoded, err := url.PathUnescape(canonical)
	return err == nil && utf8.ValidString(decoded)
}

// hasC1Control finds U+0080 to U+009F, control characters of two bytes; U+0085 is a
// space or the end of a line to some readers.
func hasC1Control(canonical string) bool {
	return strings.Contains(canonical, "%C2%8") || strings.Contains(canonical, "%C2%9")
}

func appendByte(out []byte, c byte, plain bool) []byte {
	if plain {
		return append(out, c)
	}
	return append(out, '%', upperHex[c>>4], upperHex[c&15])
}

// unreserved is RFC 3986, 2.3: an escape of one of these means the character.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// isUnescapedPathByte tells the other bytes that a path holds unescaped.
func isUnescapedPathByte(c byte) bool {
	switch c {
	case '/', '!', '$', '&', '\'', '(', ')', '*', '+', ',', '=', ':', '@', '[', ']':
		return true
	}
	return false
}

func isUpperHex(digits string) bool {
	for i := range len(digits) {
		if 'a' <= digits[i] && digits[i] <= 'f' {
			return false
		}
	}
	return true
}

func unhex(s string, at int) (byte, bool) {
	if at+2 > len(s) {
		return 0, false
	}
	high, ok1 := hexDigit(s[at])
	low, ok2 := hexDigit(s[at+1])
	return high<<4 | low, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
