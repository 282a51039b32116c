package target

import (
	"net/url"
	"strings"
	"unicode"
)

// Servers that bring Unicode to its compatibility forms (NFKC), or to an old code
// page ("best fit"), see dots, slashes and percent signs where others see letters of
// another script.

// becomesSlash tells the characters of which NFKC makes a slash, a backslash, or a
// word with one in it.
func becomesSlash(r rune) bool {
	switch r {
	case '\uff0f', '\uff3c', '\ufe68', '\u2100', '\u2101', '\u2105', '\u2106':
		return true
	}
	return false
}

// looksLikeSlash tells those that only look so, or become one in a code page: the yen
// and the won sign have the place of the backslash there.
func looksLikeSlash(r rune) bool {
	switch r {
	case '\u2044', '\u2215', '\u2216', '\u215f', '\u2571', '\u2572', '\u29f5', '\u29f8', '\u29f9', '\u00a5', '\u20a9',
		'\uffe5', '\uffe6',
		// Unicode's confusables (UTS 39) of both, and strokes laid over what stands before.
		'\u1735', '\u2041', '\u27cb', '\u27cd', '\u29f6', '\u29f7', '\u2afb', '\u2afd', '\u2f02', '\u2f03', '\u3033',
		'\u31d3', '\u31d4',
		'\U0001d20f', '\U0001d23a', '\U0001d23b', '\u0337', '\u0338', '\u20e5', '\u20eb':
		return true
	}
	return false
}

// looksLikeDot tells the characters that become one full stop, or several.
func looksLikeDot(r rune) bool {
	switch r {
	case '.', '\u2024', '\u2025', '\u2026', '\ufe19', '\ufe30', '\ufe52', '\uff0e':
		return true
	}
	return false
}

func looksLikeSemicolon(r rune) bool {
	switch r {
	case ';', '\u037e', '\ufe14', '\ufe54', '\uff1b':
		return true
	}
	return false
}

func looksLikePercent(r rune) bool { return r == '\uff05' || r == '\ufe6a' || r == '\u066a' }

// isIgnorable tells what some server takes out of a name: spaces, characters that are
// not shown, and marks that stand above or below another.
func isIgnorable(r rune) bool {
	return r == ' ' || r > unicode.MaxASCII &&
		unicode.In(r, unicode.Z, unicode.Cf, unicode.M, unicode.Other_Default_Ignorable_Code_Point)
}

// checkLookAlikes is checkSegments for paths beyond ASCII, by what they decode to.
func checkLookAlikes(canonical string) error {
	decoded, err := url.PathUnescape(canonical)
	if err != nil {
		return BadEscape
	}
	if strings.ContainsFunc(decoded, becomesSlash) {
		return LookAlike
	}
	if hasLookAlikeEscape(decoded) {
		return DoubleEncoding
	}
	for part := range strings.FieldsFuncSeq(decoded, func(r rune) bool {
		return r == '/' || r == '\\' || looksLikeSlash(r) || looksLikeSemicolon(r)
	}) {
		if isDotSegment(part) {
			return DotSegment
		}
	}
	return nil
}

// isDotSegment reports whether a decoded part of a path is . or .. to some server: of a
// character that becomes several dots, some make one.
func isDotSegment(part string) bool {
	dots := 0
	for _, r := range part {
		switch {
		case looksLikeDot(r):
			dots++
		case !isIgnorable(r):
			return false
		}
	}
	return dots == 1 || dots == 2
}

// hasLookAlikeEscape finds a percent sign of another script before two hex digits,
// of whichever script.
func hasLookAlikeEscape(decoded string) bool {
	const escape = 3
	var last [escape]rune
	for _, r := range decoded {
		last = [escape]rune{last[1], last[2], r}
		if looksLikePercent(last[0]) && isHexRune(last[1]) && isHexRune(last[2]) {
			return true
		}
	}
	return false
}

func isHexRune(r rune) bool {
	if '\uff01' <= r && r <= '\uff5e' { // full-width ASCII
		r -= '\uff01' - '!'
	}
	return r < unicode.MaxASCII && unicode.Is(unicode.ASCII_Hex_Digit, r)
}
