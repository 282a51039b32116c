package text

import (
	"regexp"
	"strings"
	"unicode"
)

// RedactBody is the beginning of an answer's body, in one line of at most 200 characters,
// without what may be a secret. It is for answers that carry none when all is well
// (discovery, keys), never for those of a token endpoint.
func RedactBody(body []byte) string {
	const maxBody = 4 << 10
	if len(body) > maxBody {
		body = body[:maxBody]
	}
	line := strings.ToValidUTF8(string(body), "�")
	line = credential.ReplaceAllString(line, "${1} [redacted]")
	line = namedSecret.ReplaceAllString(line, "${1}[redacted]")
	line = userinfo.ReplaceAllString(line, "://[redacted]@")
	line = tokenLike.ReplaceAllStringFunc(line, func(s string) string {
		if strings.IndexFunc(s, unicode.IsDigit) < 0 || strings.IndexFunc(s, unicode.IsLetter) < 0 {
			return s
		}
		return "[redacted]"
	})
	return Sanitize(strings.Join(strings.Fields(line), " "))
}

var (
	// namedSecret are values of what is called a secret: in JSON, in forms, in headers.
	namedSecret = regexp.MustCompile(`(?i)((?:token|session|secret|passw(?:or)?d|api_?key|code|` +
		`cookie|assertion|authorization)["']?\s*[:=]\s*)` +
		`(?:"[^"]*"?|'[^']*'?|[^\s&"',;<>]+)`)
	credential = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}`)
	userinfo   = regexp.MustCompile(`://[^\s/@"'<>]+@`)
	tokenLike  = regexp.MustCompile(`[\w+=-]{20,}`) // letters and digits: tokens, keys
)
