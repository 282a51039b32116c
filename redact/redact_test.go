package redact_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/example-org/authgate/redact"
)

func TestForeignWordsStayInOneLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                  "plain",
		" two\r\nlines\x1b[31m ": "two  lines [31m",
		"\u202ereversed":         "reversed",
		"bad\xffbyte":            "bad\ufffdbyte",
		strings.Repeat("ü", 201): strings.Repeat("ü", 200) + "…",
	} {
		if got := redact.Line(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := redact.Within(strings.Repeat("x", 250), 300); len(got) != 250 {
		t.Errorf("within 300: %d", len(got))
	}
	if got := redact.Quoted("a\"\nb"); got != `"a\" b"` {
		t.Errorf("quoted: %s", got)
	}
}

func TestOnlyErrorCodesPassAsErrorCodes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "invalid_grant": "invalid_grant", "urn:x": redact.UnknownError, "two words": redact.UnknownError,
		"eyJhbGciOiJub25lIn0.e30." + strings.Repeat("x", 60): redact.UnknownError, "größe": redact.UnknownError,
	} {
		if got := redact.ErrorCode(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestAddressesKeepNoSecret(t *testing.T) {
	t.Parallel()
	u := &url.URL{Scheme: "https", User: url.UserPassword("me", "secret"), Host: "dex.example.com", Path: "/a b", RawQuery: "code=secret", Fragment: "secret"}
	if got := redact.Request(&http.Request{Method: http.MethodGet, URL: u}); got != "GET https://dex.example.com/a%20b" {
		t.Error(got)
	}
}

func TestFailuresAreQuotedWhereTheyHoldAddressesAlone(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"given up":              fmt.Errorf("secret: %w", context.Canceled),
		"no answer in time":     os.ErrDeadlineExceeded,
		"dial tcp: refused":     &url.Error{Op: "Get", URL: "https://secret", Err: &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}},
		"does not speak TLS":    tls.RecordHeaderError{Msg: "secret"},
		"closed the connection": fmt.Errorf("secret: %w", io.EOF),
		"not HTTP":              errors.New(`malformed HTTP response "secret"`),
	} {
		if got := redact.Failure(err); !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%v becomes %q, want %q", err, got, want)
		}
	}
}
