package redact

import (
	"regexp"
	"strings"
	"unicode"
)

// Answer is the beginning of an answer's body, in one line of at most 200 characters,
// without what may be a secret. It is for answers that carry none when all is well
// (discovery, keys), never for those of a token endpoint.
func Answer(body []byte) string {
	const enough = 4 << 10
	if len(body) > enough {
		body = body[:enough]
	}
	text := strings.ToValidUTF8(string(body), "�")
	text = credential.ReplaceAllString(text, "${1} [redacted]")
	text = named.ReplaceAllString(text, "${1}[redacted]")
	text = userinfo.ReplaceAllString(text, "://[redacted]@")
	text = word.ReplaceAllStringFunc(text, func(s string) string {
		if strings.IndexFunc(s, unicode.IsDigit) < 0 || strings.IndexFunc(s, unicode.IsLetter) < 0 {
			return s
		}
		return "[redacted]"
	})
	return Line(strings.Join(strings.Fields(text), " "))
}

var (
	// named are values of what is called a secret: in JSON, in forms, in headers.
	named = regexp.MustCompile(`(?i)((?:token|session|secret|passw(?:or)?d|api_?key|code|cookie|assertion|authorization)["']?\s*[:=]\s*)` +
		`(?:"[^"]*"?|'[^']*'?|[^\s&"',;<>]+)`)
	credential = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}`)
	userinfo   = regexp.MustCompile(`://[^\s/@"'<>]+@`)
	word       = regexp.MustCompile(`[\w+=-]{20,}`) // letters and digits: tokens, keys
)
