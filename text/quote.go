package text

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxQuoted limits how many characters of a value are repeated in quotes.
const maxQuoted = 100

// Quote shows a value in quotation marks, with escapes for all that is not printable, and
// only its beginning if it is long.
func Quote(s string) string {
	return strconv.Quote(Truncate(s, maxQuoted))
}

// QuoteAll quotes each value and separates them by commas.
func QuoteAll(values []string) string {
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = Quote(value)
	}
	return strings.Join(quoted, ", ")
}

// Escape shows foreign text as it is, with escapes for all that is not printable: it
// neither controls a terminal nor begins a line of its own.
func Escape(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i]), 16))
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// Truncate keeps at most limit characters.
func Truncate(s string, limit int) string {
	if n := runesLength(s, limit); n < len(s) {
		return s[:n] + "…"
	}
	return s
}

// DescribeLength counts the characters of a value that must not be shown.
func DescribeLength(s string) string {
	n := utf8.RuneCountInString(s)
	if n == 1 {
		return "1 character"
	}
	return strconv.Itoa(n) + " characters"
}

// runesLength is the length in bytes of the first limit characters.
func runesLength(s string, limit int) int {
	n := 0
	for i := range s {
		if n == limit {
			return i
		}
		n++
	}
	return len(s)
}
