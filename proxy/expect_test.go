package proxy_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestExpectIsForwardedInOneFormAndOnlyWithABody(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	const length = "Content-Length: 2\r\n"
	for name, c := range map[string]struct {
		line, head, body string
		want             string
	}{
		"with a body":            {"POST / HTTP/1.1", "Expect: 100-continue\r\n" + length, "ab", "100-continue"},
		"in capitals":            {"POST / HTTP/1.1", "Expect: 100-Continue\r\n" + length, "ab", "100-continue"},
		"with another one":       {"POST / HTTP/1.1", "Expect: y, 100-continue\r\n" + length, "ab", "100-continue"},
		"twice":                  {"POST / HTTP/1.1", "Expect: 100-continue\r\nExpect: 100-continue\r\n" + length, "ab", "100-continue"},
		"chunked":                {"POST / HTTP/1.1", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n", "100-continue"},
		"a word in front":        {"POST / HTTP/1.1", "Expect: y 100-continue\r\n" + length, "ab", ""},
		"a parameter behind":     {"POST / HTTP/1.1", "Expect: 100-continue;a=b\r\n" + length, "ab", ""},
		"no body":                {"GET / HTTP/1.1", "Expect: 100-continue\r\n", "", ""},
		"no body, odd":           {"GET / HTTP/1.1", "Expect: y 100-continue\r\n", "", ""},
		"a body of nothing":      {"POST / HTTP/1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", "", ""},
		"a client of the past":   {"POST / HTTP/1.0", "Expect: 100-continue\r\n" + length, "ab", ""},
		"none, and none appears": {"POST / HTTP/1.1", length, "ab", ""},
	} {
		res := g.raw(c.line + "\r\nHost: argo-cd.example.com\r\nConnection: close\r\nX-Forwarded-Proto: https\r\nSec-Fetch-Site: same-origin\r\nCookie: " + g.as("alice")[1] + "\r\n" +
			c.head + "\r\n" + c.body)
		if res.StatusCode == http.StatusExpectationFailed && c.want == "" {
			continue // refused before it goes anywhere
		}
		if got := strings.Join(echoed(t, res).Header["Expect"], "|"); got != c.want {
			t.Errorf("%s: Expect is %q, want %q", name, got, c.want)
		}
	}
	r := overHTTP2("POST", app, g.as("alice"), sameSite, []string{"Expect", "y 100-continue"})
	if got := echoed(t, g.serve(r).Result()).Header["Expect"]; got != nil {
		t.Errorf("over HTTP/2: %q", got)
	}
}
