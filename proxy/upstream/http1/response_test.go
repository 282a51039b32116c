package http1_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/example-org/authgate/proxy/upstream/http1"
)

const chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

// Every one of these could be another response to another reader, or is none.
var refused = map[string]string{
	"two lengths":              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
	"a list of lengths":        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
	"signed length":            "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
	"negative length":          "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
	"length with a space":      "HTTP/1.1 200 OK\r\nContent-Length: 2 0\r\n\r\nok",
	"hexadecimal length":       "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
	"empty length":             "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
	"endless length":           "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
	"length of another script": "HTTP/1.1 200 OK\r\nContent-Length: \xd9\xa2\r\n\r\nok",
	"both framings":            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"both, the other way":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"two encodings":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"a list of encodings":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"chunked twice":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
	"identity":                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
	"an unknown encoding":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nok",
	"a quoted encoding":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: \"chunked\"\r\n\r\nok",
	"no encoding":              "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\nok",
	"vertical tab":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n",
	"chunked in HTTP/1.0":      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"space before the colon":   "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
	"tab before the colon":     "HTTP/1.1 200 OK\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
	"folded line":              "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
	"folded with a tab":        "HTTP/1.1 200 OK\r\nX-A: b\r\n\tc\r\nContent-Length: 2\r\n\r\nok",
	"folded first line":        "HTTP/1.1 200 OK\r\n X-A: b\r\nContent-Length: 2\r\n\r\nok",
	"bare LF everywhere":       "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
	"bare LF in one line":      "HTTP/1.1 200 OK\r\nX-A: b\nContent-Length: 2\r\n\r\nok",
	"bare LF at the end":       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
	"bare LF after status":     "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok",
	"bare CR in a value":       "HTTP/1.1 200 OK\r\nX-A: b\rContent-Length: 3\r\nContent-Length: 2\r\n\r\nok",
	"bare CR at a line's end":  "HTTP/1.1 200 OK\r\nX-A: b\r\r\nContent-Length: 2\r\n\r\nok",
	"NUL in a value":           "HTTP/1.1 200 OK\r\nX-A: b\x00c\r\nContent-Length: 2\r\n\r\nok",
	"NUL in a name":            "HTTP/1.1 200 OK\r\nX\x00A: b\r\nContent-Length: 2\r\n\r\nok",
	"control byte in a value":  "HTTP/1.1 200 OK\r\nX-A: a long value with a \x01 in it\r\nContent-Length: 2\r\n\r\nok",
	"DEL in a value":           "HTTP/1.1 200 OK\r\nX-A: b\x7f\r\nContent-Length: 2\r\n\r\nok",
	"no name":                  "HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 2\r\n\r\nok",
	"no colon":                 "HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 2\r\n\r\nok",
	"8-bit name":               "HTTP/1.1 200 OK\r\nX\xc3\xa4: b\r\nContent-Length: 2\r\n\r\nok",
	"slash in a name":          "HTTP/1.1 200 OK\r\nX/A: b\r\nContent-Length: 2\r\n\r\nok",
	"no status":                "HTTP/1.1\r\nContent-Length: 2\r\n\r\nok",
	"no status but a space":    "HTTP/1.1 \r\nContent-Length: 2\r\n\r\nok",
	"status of two digits":     "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
	"status of four digits":    "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
	"status below 100":         "HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok",
	"signed status":            "HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\nok",
	"two spaces before status": "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
	"tab before status":        "HTTP/1.1\t200 OK\r\nContent-Length: 2\r\n\r\nok",
	"NUL in the reason":        "HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\nok",
	"CR in the reason":         "HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/0.9 in words":        "HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/10":                  "HTTP/10 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"spaces in a length":       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n Content- Length: 3\r\n\r\nok",
	"space within a length":    "HTTP/1.1 200 OK\r\nContent- Length: 3\r\n\r\nok",
	"space before an encoding": "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\nok",
	"HTTP/0.9":                 "ok",
	"lower case":               "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"empty line first":         "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"another protocol":         "SSH-2.0-OpenSSH_9.9\r\n",
	"TLS":                      "\x15\x03\x01\x00\x02\x02\x16",
	"HTTP/2 frames":            "\x00\x00\x12\x04\x00\x00\x00\x00\x00",
	"switch unasked":           "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
	"bad trailer name":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n",
	"trailer of no name":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: a b\r\n\r\n0\r\n\r\n",
	"both in an interim one":   "HTTP/1.1 103 Early\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + ok,
	"too much header":          "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: "+strings.Repeat("x", 1000)+"\r\n", 300) + "\r\n",
	"one line too long":        "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("x", 300<<10) + "\r\n\r\n",
	"endless interim":          strings.Repeat("HTTP/1.1 103 Early\r\nLink: </"+strings.Repeat("x", 100)+">\r\n\r\n", 3000),
}

func TestAmbiguousResponsesAreRefused(t *testing.T) {
	t.Parallel()
	tr := newTransport(t)
	for name, response := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan struct{})
			s := serve(t, func(p *peer) {
				p.head()
				p.say(response)
				_, _ = io.Copy(io.Discard, p)
				close(closed)
			})
			res, got, err := do(t, tr, request(t, "GET", s.url(), nil))
			var broken http1.ProtocolError
			if !errors.As(err, &broken) || res != nil {
				t.Fatalf("%q, %v", got, err)
			}
			within(t, "the connection is closed", closed)
		})
	}
}

// The header is good, and the body turns out not to be.
func TestBodiesThatBreakTheRulesEndInAnError(t *testing.T) {
	t.Parallel()
	tr := newTransport(t)
	for name, chunks := range map[string]string{
		"no size":                   "\r\nok\r\n0\r\n\r\n",
		"signed size":               "+2\r\nok\r\n0\r\n\r\n",
		"negative size":             "-2\r\nok\r\n0\r\n\r\n",
		"0x":                        "0x2\r\nok\r\n0\r\n\r\n",
		"a space before":            " 2\r\nok\r\n0\r\n\r\n",
		"a space after":             "2 \r\nok\r\n0\r\n\r\n",
		"a word":                    "zz\r\nok\r\n0\r\n\r\n",
		"too large":                 "fffffffffffffffff\r\nok\r\n0\r\n\r\n",
		"zeros without end":         strings.Repeat("0", 5000) + "2\r\nok\r\n0\r\n\r\n",
		"bare LF after the size":    "2\nok\r\n0\r\n\r\n",
		"bare LF after the data":    "2\r\nok\n0\r\n\r\n",
		"bare LF at the end":        "2\r\nok\r\n0\n\r\n",
		"bare LF in the end":        "2\r\nok\r\n0\r\n\n",
		"bare CR after the size":    "2\rok\r\n0\r\n\r\n",
		"more data than its size":   "2\r\nok!\r\n0\r\n\r\n",
		"less data than its size":   "3\r\nok\r\n0\r\n\r\n",
		"extension without name":    "2;\r\nok\r\n0\r\n\r\n",
		"extension with a space":    "2;a b\r\nok\r\n0\r\n\r\n",
		"extension with a bare CR":  "2;a=\rb\r\nok\r\n0\r\n\r\n",
		"extension with NUL":        "2;a=\x00\r\nok\r\n0\r\n\r\n",
		"extension without value":   "2;a=\r\nok\r\n0\r\n\r\n",
		"extension not closed":      "2;a=\"b\r\nok\r\n0\r\n\r\n",
		"extension with LF inside":  "2;a=\"\nok\"\r\nok\r\n0\r\n\r\n",
		"extension after a comma":   "2,a=b\r\nok\r\n0\r\n\r\n",
		"extension without end":     "2;a=" + strings.Repeat("x", 8000) + "\r\nok\r\n0\r\n\r\n",
		"extensions without end":    strings.Repeat("1;a="+strings.Repeat("x", 3000)+"\r\no\r\n", 9) + "0\r\n\r\n",
		"trailer with length":       "2\r\nok\r\n0\r\nContent-Length: 2\r\n\r\n",
		"trailer with encoding":     "2\r\nok\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"trailer with NUL":          "2\r\nok\r\n0\r\nX-A: \x00\r\n\r\n",
		"trailer without colon":     "2\r\nok\r\n0\r\nX-A\r\n\r\n",
		"trailer with a bare LF":    "2\r\nok\r\n0\r\nX-A: b\n\r\n",
		"trailer that is folded":    "2\r\nok\r\n0\r\nX-A: b\r\n c\r\n\r\n",
		"trailer that is too large": "2\r\nok\r\n0\r\nX-A: " + strings.Repeat("x", 300<<10) + "\r\n\r\n",
		"another response":          "2\r\nok\r\n" + ok,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan struct{})
			s := serve(t, func(p *peer) {
				p.head()
				p.say(chunkedHead + chunks)
				_, _ = io.Copy(io.Discard, p)
				close(closed)
			})
			_, got, err := do(t, tr, request(t, "GET", s.url(), nil))
			var broken http1.ProtocolError
			if !errors.As(err, &broken) || len(got) > 9 {
				t.Fatalf("%q, %v", got, err)
			}
			within(t, "the connection is closed", closed)
		})
	}
}

func TestCutResponsesEndInAnError(t *testing.T) {
	t.Parallel()
	for name, response := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 10\r\n\r\n0123456789",
		"chunks":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-A: b\r\n\r\n",
		"interim": "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + ok,
	} {
		tr := newTransport(t)
		for cut := range len(response) {
			s := serve(t, func(p *peer) {
				if p.head() != "" {
					p.say(response[:cut])
				}
			})
			_, got, err := do(t, tr, request(t, "POST", s.url(), nil))
			switch {
			case cut == 0 && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET):
				t.Errorf("%s, cut at %d: %v", name, cut, err)
			case cut > 0 && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET):
				// between two responses, the end looks like that of an idle connection
				if strings.HasSuffix(response[:cut], "\r\n\r\n") && errors.Is(err, io.EOF) {
					continue
				}
				t.Errorf("%s, cut at %d: %q %v", name, cut, got, err)
			}
		}
	}
}

func TestResponsesArriveInAnyPieces(t *testing.T) {
	t.Parallel()
	response := "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
		"3;a=b;c=\"d\\\"e\";f \r\nabc\r\n00a\r\n0123456789\r\n0\r\nX-Sum: 13\r\nX-Late: yes\r\n\r\n"
	response = strings.Replace(response, ";f ", ";f", 1)
	s := serve(t, func(p *peer) {
		for p.head() != "" {
			for i := range len(response) {
				p.say(response[i : i+1])
				if i%7 == p.number {
					time.Sleep(time.Millisecond) // so that the pieces are packets
				}
			}
		}
	})
	tr := newTransport(t)
	for range 2 {
		res, got, err := do(t, tr, request(t, "GET", s.url(), nil))
		if err != nil || got != "abc0123456789" || res.Trailer.Get("X-Sum") != "13" || res.Trailer.Get("X-Late") != "yes" || res.ContentLength != -1 {
			t.Fatalf("%q %v %v", got, err, res)
		}
	}
	if s.conns.Load() != 1 {
		t.Error("the connection was not used again")
	}
}

func TestResponsesWithoutABody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, response string
		length           int64
		conns            int32 // for three requests
	}{
		"HEAD":                      {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n", 200, 1},
		"HEAD, chunked":             {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", -1, 1},
		"HEAD, no length":           {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", -1, 1},
		"HEAD, with a body":         {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 2, 3},
		"204":                       {"GET", "HTTP/1.1 204 No Content\r\n\r\n", 0, 1},
		"204 with a body":           {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 0, 3},
		"204 with a promise of one": {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", 0, 3},
		"204 in chunks":             {"GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 3},
		"304":                       {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 200\r\n\r\n", 0, 1},
		"304 in chunks":             {"GET", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 1},
		"304 with a body":           {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", 0, 3},
		"length 0":                  {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, 1},
		"close":                     {"GET", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", 0, 3},
	} {
		s, tr := serve(t, always(c.response)), newTransport(t)
		for range 3 {
			res, got, err := do(t, tr, request(t, c.method, s.url(), nil))
			if err != nil || got != "" || res.ContentLength != c.length || res.Body != http.NoBody {
				t.Errorf("%s: %q %v %v", name, got, err, res)
			}
		}
		if n := s.conns.Load(); n != c.conns {
			t.Errorf("%s: %d connections, want %d", name, n, c.conns)
		}
	}
}

// What follows a response is not part of it, and answers nothing.
func TestConnectionsWithMoreOrLessThanAResponseAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	for name, response := range map[string]string{
		"surplus after a length":   ok + "x",
		"a second response":        ok + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"surplus after chunks":     chunkedHead + "2\r\nok\r\n0\r\n\r\nx",
		"a response after chunks":  chunkedHead + "2\r\nok\r\n0\r\n\r\n" + ok,
		"an empty line":            ok + "\r\n",
		"HTTP/1.0":                 "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/2 in HTTP/1":         "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0 and close":       "HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 2\r\n\r\nok",
		"close":                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"close, in another header": "HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
	} {
		s, tr := serve(t, always(response)), newTransport(t)
		for range 3 {
			if got, err := get(t, tr, s.url()); err != nil || got != "ok" {
				t.Errorf("%s: %q %v", name, got, err)
			}
		}
		if n := s.conns.Load(); n != 3 {
			t.Errorf("%s: %d connections", name, n)
		}
	}
}

func TestABodyThatIsNotReadEndsItsConnection(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 3)
	s := serve(t, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		_, _ = io.Copy(io.Discard, p)
		closed <- struct{}{}
	})
	tr := newTransport(t)
	for range 3 {
		res, err := tr.RoundTrip(request(t, "GET", s.url(), nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(res.Body, make([]byte, 4)); err != nil {
			t.Error(err)
		}
		res.Body.Close()
		within(t, "the connection is closed", closed)
		if _, err := res.Body.Read(make([]byte, 1)); err == nil {
			t.Error("a closed body can be read")
		}
	}
}

func TestABodyUntilTheConnectionEnds(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"} {
		s := serve(t, func(p *peer) {
			p.head()
			p.say(head + strings.Repeat("text ", 5000))
		})
		res, got, err := do(t, newTransport(t), request(t, "GET", s.url(), nil))
		if err != nil || got != strings.Repeat("text ", 5000) || res.ContentLength != -1 || !res.Close {
			t.Errorf("%d bytes, %v, %v", len(got), err, res)
		}
	}
}

func TestHeadersArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	s := serve(t, always("HTTP/1.1 299 Odd  reason\r\nx-LOWER: \t a\tb \t\r\nX-Lower: \xe4\xf6\r\nX-Empty:\r\nSET-cookie: a=1\r\nset-cookie: b=2\r\nETag: \"x\"\r\nX-Colon: a:b\r\nX A: c\r\nX-Lower : d\r\nContent-Length: 0\r\ncontent-length: 0 \r\n\r\n"))
	res, _, err := do(t, newTransport(t), request(t, "GET", s.url(), nil))
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"X-Lower": {"a\tb", "\xe4\xf6"}, "X-Empty": {""}, "Set-Cookie": {"a=1", "b=2"}, "Etag": {`"x"`}, "X-Colon": {"a:b"}, "Content-Length": {"0"},
	}
	if res.Status != "299 Odd  reason" || res.StatusCode != 299 || len(res.Header) != len(want) {
		t.Errorf("%q %v", res.Status, res.Header)
	}
	for name, values := range want {
		if got := res.Header[name]; strings.Join(got, "|") != strings.Join(values, "|") {
			t.Errorf("%s: %q, want %q", name, got, values)
		}
	}
	if res.Header.Add("X-Empty", "more"); res.Header.Get("Etag") != `"x"` || res.Header.Get("Set-Cookie") != "a=1" {
		t.Error("values share their memory")
	}
}
