package text_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/example-org/authgate/text"
)

func TestQuotedValuesStayInOneLineAndAreShort(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                       `""`,
		"a\"\nb\x1b[31m":         `"a\"\nb\x1b[31m"`,
		"\u202ereversed":         `"\u202ereversed"`,
		strings.Repeat("ü", 100): `"` + strings.Repeat("ü", 100) + `"`,
		strings.Repeat("ü", 101): `"` + strings.Repeat("ü", 100) + `…"`,
	} {
		if got := text.Quote(in); got != want {
			t.Errorf("%q becomes %s, want %s", in, got, want)
		}
	}
	if got := text.QuoteAll([]string{"a", "b"}); got != `"a", "b"` {
		t.Error(got)
	}
}

func TestEscapedTextHoldsNothingInvisible(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`a "b" \n ü`:              `a "b" \n ü`,
		"two\nlines\x1b[31m":      `two\nlines\x1b[31m`,
		"bad\xffbyte\u202e\u00a0": `bad\xffbyte\u202e\u00a0`,
		"\ufffd":                  "\ufffd",
	} {
		if got := text.Escape(in); got != want {
			t.Errorf("%q becomes %s, want %s", in, got, want)
		}
	}
	if got := text.Truncate("über", 2); got != "üb…" {
		t.Error(got)
	}
}

func TestInvisibleCharactersAreNamed(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain\tü": "0 ", "\ufffd": "0 ", "क\u200dष": "0 ",
		"a\xffb": "1 it is not valid UTF-8", "a\r": "1 it holds a carriage return (CR)", "\n": "0 it holds the invisible character U+000A",
		"ü\u202e": "2 it holds the invisible character U+202E", "a\u00a0": "1 it holds the invisible character U+00A0",
	} {
		at, message, _ := text.CheckVisible("it", in)
		if got := fmt.Sprint(at, " ", message); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestListsAreShortened(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d"}
	for limit, want := range map[int]string{2: "a, b, and 2 more", 3: "a, b, c, d", 9: "a, b, c, d"} {
		if got := text.JoinFew(names, ", ", limit); got != want {
			t.Errorf("at most %d: %q, want %q", limit, got, want)
		}
	}
	for want, words := range map[string][]string{"": nil, "a": {"a"}, "a or b": {"a", "b"}, "a, b or c": {"a", "b", "c"}} {
		if got := text.JoinOr(words); got != want {
			t.Errorf("%v becomes %q, want %q", words, got, want)
		}
	}
}

func TestErrorsLosePathsThatAreNamedAlready(t *testing.T) {
	t.Parallel()
	cause := errors.New("gone")
	wrapped := fmt.Errorf("reading: %w", &fs.PathError{Op: "open", Path: "/x", Err: cause})
	if got := text.WithoutPath(wrapped); got != cause {
		t.Error(got)
	}
	if got := text.WithoutPath(os.ErrClosed); got != os.ErrClosed {
		t.Error(got)
	}
}
