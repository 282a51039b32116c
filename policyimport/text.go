package policyimport

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

func csvRow(fields []string) string {
	quoted := make([]string, len(fields))
	for i, f := range fields {
		if strings.Trim(f, unquotedChars) != "" || f == "" {
			f = `"` + strings.ReplaceAll(f, `"`, `""`) + `"`
		}
		quoted[i] = f
	}
	return strings.Join(quoted, ", ")
}

const unquotedChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:@/*|"

// sanitize keeps a text on one line of a length that a comment may have, without
// letters that nobody sees.
func sanitize(s string) string {
	const limit = 2000
	var b strings.Builder
	for i, r := range s {
		switch {
		case b.Len() > limit:
			return b.String() + "…"
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r != ' ' && (unicode.IsControl(r) || unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Z)):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// quote shows a piece of a file, cut where it would fill the screen.
func quote(s string) string {
	const limit = 80
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return strconv.Quote(s)
}

// quoteExpression gives the regular expression that matches a text alone.
func quoteExpression(s string) string { return regexp.QuoteMeta(s) }
