package text_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/example-org/authgate/text"
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
		if got := text.Sanitize(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := text.SanitizeMax(strings.Repeat("x", 250), 300); len(got) != 250 {
		t.Errorf("within 300: %d", len(got))
	}
	if got := text.Quote("a\"\nb"); got != `"a\"\nb"` {
		t.Errorf("quoted: %s", got)
	}
}

func TestOnlyErrorCodesPassAsErrorCodes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "invalid_grant": "invalid_grant", "urn:x": text.UnknownError, "two words": text.UnknownError,
		"eyJhbGciOiJub25lIn0.e30." + strings.Repeat("x", 60): text.UnknownError, "größe": text.UnknownError,
	} {
		if got := text.ErrorCode(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestAddressesKeepNoSecret(t *testing.T) {
	t.Parallel()
	u := &url.URL{Scheme: "https", User: url.UserPassword("me", "secret"), Host: "dex.example.com", Path: "/a b", RawQuery: "code=secret", Fragment: "secret"}
	if got := text.RedactRequest(&http.Request{Method: http.MethodGet, URL: u}); got != "GET https://dex.example.com/a%20b" {
		t.Error(got)
	}
}

func TestFailuresAreQuotedWhereTheyHoldAddressesAlone(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"no longer waits":       fmt.Errorf("secret: %w", context.Canceled),
		"no answer in time":     os.ErrDeadlineExceeded,
		"dial tcp: refused":     &url.Error{Op: "Get", URL: "https://secret", Err: &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}},
		"does not speak TLS":    tls.RecordHeaderError{Msg: "secret"},
		"closed the connection": fmt.Errorf("secret: %w", io.EOF),
		"not HTTP":              errors.New(`malformed HTTP response "secret"`),
	} {
		if got := text.RedactError(err); !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%v becomes %q, want %q", err, got, want)
		}
	}
}

// What the other side sent stands in texts of net/http and of crypto/x509.
func TestFailuresNeverRepeatWhatTheOtherSideSent(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"its header is malformed":         errors.New(`malformed MIME header line: secret`),
		"its header is too large":         errors.New("net/http: server response headers exceeded 262144 bytes; aborted"),
		"its Content-Length is malformed": errors.New(`http: message cannot contain multiple Content-Length headers; got ["2" "secret"]`),
		"Transfer-Encoding":               errors.New(`unsupported transfer encoding: "secret"`),
		"its chunks are malformed":        errors.New("malformed chunked encoding"),
		"ended the HTTP/2 connection":     errors.New(`http2: server sent GOAWAY and closed the connection; LastStreamID=0, ErrCode=PROTOCOL_ERROR, debug="secret"`),
		"rules of HTTP/2":                 errors.New(`http2: malformed response from server: malformed non-numeric status pseudo header secret`),
		"not valid for a.example":         &tls.CertificateVerificationError{Err: x509.HostnameError{Host: "a.example", Certificate: &x509.Certificate{DNSNames: []string{"secret"}}}},
		"signed by unknown authority":     &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{Cert: &x509.Certificate{}}},
		"has expired":                     &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time 2026-01-01T00:00:00Z is after 2025-01-01T00:00:00Z"}},
		"certificate cannot be used":      &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.CANotAuthorizedForThisName, Detail: "secret"}},
		"the TLS handshake failed":        errors.New("tls: failed to parse certificate from server: secret"),
		"our own words":                   fmt.Errorf("secret: %w", text.SafeError("our own words")),
	} {
		if got := text.RedactError(err); !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%v becomes %q, want %q", err, got, want)
		}
	}
	for err, want := range map[error]string{
		io.ErrUnexpectedEOF:                                                    "broke off",
		errors.New("malformed MIME header: secret"):                            "its header is malformed",
		fmt.Errorf("secret: %w", context.Canceled):                             "no longer waits",
		&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}:          "connection reset",
		fmt.Errorf("malformed chunked encoding: secret: %w", io.ErrNoProgress): "its chunks are malformed",
	} {
		if got := text.RedactBodyError(err); !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%v becomes %q, want %q", err, got, want)
		}
	}
	for line, want := range map[string]string{
		`Unsolicited response received on idle HTTP channel starting with "secret"; err=<nil>`: "without a request",
		"protocol error: received DATA on a HEAD request secret":                               "rules of HTTP/2",
		"anything else: secret": "a library reports",
	} {
		if got := text.RedactLogLine(line); !strings.Contains(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%q becomes %q, want %q", line, got, want)
		}
	}
}
