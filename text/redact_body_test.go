package text_test

import (
	"strings"
	"testing"

	"github.com/example-org/authgate/text"
)

func TestAnAnswerShowsItsBeginningWithoutSecrets(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":   "",
		"\n": "",
		"Client sent an HTTP request to an HTTPS server.\n":                      "Client sent an HTTP request to an HTTPS server.",
		"<html>\r\n<head><title>503 Service\x1b[31m Unavailable</title>":         "<html> <head><title>503 Service [31m Unavailable</title>",
		`{"access_token":"SECRET","id_token": "SECRET`:                           `{"access_token":[redacted],"id_token": [redacted]`,
		"client_secret=SECRET&code=SECRET&state=x":                               "client_secret=[redacted]&code=[redacted]&state=x",
		"Authorization: Bearer SECRET12":                                         "Authorization: [redacted] [redacted]",
		"sent Bearer SECRET12 there":                                             "sent Bearer [redacted] there",
		"dial http://me:SECRET@dex/":                                             "dial http://[redacted]@dex/",
		"got eyJhbGciOiJub25lIn0SECRET.eyJzdWIiOiIxMjM0NTY3ODkwIn0SECRET1 there": "got [redacted].[redacted] there",
		strings.Repeat("no ", 3000):                                              strings.Repeat("no ", 67)[:200] + "…",
	} {
		got := text.RedactBody([]byte(in))
		if strings.Contains(got, "SECRET") || in != "Authorization: Bearer SECRET12" && got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}
