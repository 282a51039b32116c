package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/proxy/upstream/http1"
)

// recorded is a connection to a server that sends the same bytes whatever it is asked.
type recorded struct{ in *bytes.Reader }

func (r recorded) Read(b []byte) (int, error)       { return r.in.Read(b) }
func (r recorded) Write(b []byte) (int, error)      { return len(b), nil }
func (r recorded) Close() error                     { return nil }
func (r recorded) LocalAddr() net.Addr              { return nil }
func (r recorded) RemoteAddr() net.Addr             { return nil }
func (r recorded) SetDeadline(time.Time) error      { return nil }
func (r recorded) SetReadDeadline(time.Time) error  { return nil }
func (r recorded) SetWriteDeadline(time.Time) error { return nil }

// outcome is what a client makes of bytes.
type outcome struct {
	Proto, Status string
	Code          int
	Header        http.Header
	Trailer       http.Header
	Length        int64
	Coding        []string
	Close         bool
	Body          string
}

func outcomeOf(res *http.Response) (outcome, error) {
	body, err := io.ReadAll(res.Body)
	if len(res.Trailer) == 0 {
		res.Trailer = nil
	}
	return outcome{
		res.Proto, res.Status, res.StatusCode, res.Header, res.Trailer,
		res.ContentLength, res.TransferEncoding, res.Close, string(body),
	}, err
}

func readOurs(method string, data []byte) (outcome, error) {
	tr := &http1.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return recorded{bytes.NewReader(data)}, nil
	}}
	defer tr.CloseIdleConnections()
	r, _ := http.NewRequestWithContext(context.Background(), method, "http://x/", nil)
	res, err := tr.RoundTrip(r)
	if err != nil {
		return outcome{}, err
	}
	defer res.Body.Close()
	return outcomeOf(res)
}

// readTheirs skips interim responses, as net/http's transport does.
func readTheirs(method string, data []byte) (outcome, error) {
	in := bufio.NewReader(bytes.NewReader(data))
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return outcome{}, err
		}
		if res.StatusCode >= 100 && res.StatusCode < 200 && res.StatusCode != 101 {
			continue
		}
		defer res.Body.Close()
		return outcomeOf(res)
	}
}

// FuzzResponse compares what is read with http.ReadResponse. What this package accepts, net/http
// accepts, too, and reads in the same way. What net/http accepts and this package does not has
// a reason in stricter.
func FuzzResponse(f *testing.F) {
	for _, response := range refused {
		if len(response) < 1000 {
			f.Add(false, []byte(response))
		}
	}
	for _, response := range []string{
		ok, chunkedHead + "2;a=b\r\nok\r\n0\r\nX-A: b\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nok", "HTTP/1.1 204 No\r\n\r\n",
		"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + ok, "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A, X-B\r\nConnection: close\r\n\r\n0\r\nx-a: 1\r\n\r\n",
		"HTTP/1.1 200\r\nPragma: no-cache\r\nx-a: 1\r\nX-A:2\r\nContent-Length: 003\r\n\r\nabc",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
	} {
		f.Add(false, []byte(response))
		f.Add(true, []byte(response))
	}
	f.Fuzz(func(t *testing.T, head bool, data []byte) {
		method := map[bool]string{true: "HEAD", false: "GET"}[head]
		ours, ourErr := readOurs(method, data)
		theirs, theirErr := readTheirs(method, data)
		for _, h := range []http.Header{theirs.Header, theirs.Trailer} { // which cannot be forwarded
			maps.DeleteFunc(h, func(name string, _ []string) bool { return strings.Contains(name, " ") })
		}
		if len(theirs.Trailer) == 0 {
			theirs.Trailer = nil
		}
		switch {
		case ourErr == nil && theirErr != nil:
			t.Errorf("accepted, and net/http says %v", theirErr)
		case ourErr == nil && !reflect.DeepEqual(ours, theirs):
			t.Errorf("ours %+v, theirs %+v", ours, theirs)
		case ourErr != nil && theirErr == nil && stricter(data, head) == "":
			t.Errorf("refused without a reason: %v; net/http has %+v", ourErr, theirs)
		}
	})
}

// reasons are why a header is refused that net/http reads: another reader may find another
// response in it.
var reasons = []struct {
	why  string
	head *regexp.Regexp
}{
	{"a line that ends without CR, or a CR within a line", regexp.MustCompile(`(^|[^\r])\n|\r[^\n]|\r$`)},
	{"a folded line", regexp.MustCompile(`\n[ \t]`)},
	{"another version, or a status line of another form", regexp.MustCompile(`(?s)^(HTTP/[1-9]\.[0-9] [1-9][0-9][0-9]( [^\r]*)?\r)?`)},
	{"a control byte", regexp.MustCompile(`[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]`)},
	{"a name that is no token, or framing with spaces", regexp.MustCompile("(?mi)^[^:\r\n]*[^ !#$%&'*+\\-.^_`|~0-9A-Za-z:\r\n][^:\r\n]*:" +
		"|^ *(h *o *s *t|t *r *a *i *l *e *r|[content -]*-[length ]*|[transfer -]*-[encodig ]*) *:")},
	{"a length of more than 18 digits", regexp.MustCompile(`(?i)\ncontent-length:[ \t]*[0-9]{19}`)},
	{"a length and an encoding", regexp.MustCompile(`(?is)\ncontent-length:.*\ntransfer-encoding:|\ntransfer-encoding:.*\ncontent-length:`)},
	{"two encodings", regexp.MustCompile(`(?is)\ntransfer-encoding:.*\ntransfer-encoding:`)},
	{"an encoding in HTTP/1.0", regexp.MustCompile(`(?is)^HTTP/1\.0.*\ntransfer-encoding:`)},
	{"a switch of protocols that was not asked for", regexp.MustCompile(`^HTTP/1\.. 101`)},
	{"a trailer of no name", regexp.MustCompile("(?i)\ntrailer:")},
}

// stricter gives the reason why a response is refused; "": there is none. The rules of a body are
// checked where it comes in chunks.
func stricter(data []byte, isHead bool) string {
	for rest := data; ; {
		end := bytes.Index(rest, []byte("\n\r\n"))
		if lf := bytes.Index(rest, []byte("\n\n")); lf >= 0 && (end < 0 || lf < end) {
			return "bare LF"
		}
		if end < 0 {
			return "" // net/http does not accept it either
		}
		head := rest[:end+3]
		rest = rest[end+3:]
		for i, r := range reasons {
			switch at := r.head.FindIndex(head); {
			case i == 2 && at[1] == 0, i != 2 && at != nil:
				return r.why
			}
		}
		if bytes.HasPrefix(head[len("HTTP/1.1 "):], []byte("1")) {
			continue
		}
		if !isHead && regexp.MustCompile(`(?i)\ntransfer-encoding:`).Match(head) && !wellChunked.Match(rest) {
			return "chunks of another form"
		}
		return ""
	}
}

// wellChunked is a body in chunks by the letter of RFC 9112, as far as its framing goes.
var wellChunked = regexp.MustCompile(`(?s)^([0-9A-Fa-f]{1,15}(;[!-~]+)?\r\n.*\r\n)?0+\r\n([!#$%&'*+\-.^_|~0-9A-Za-z]+:[^\r\n]*\r\n)*\r\n`)

func TestTheFuzzTestKnowsWhyEachResponseIsRefused(t *testing.T) {
	t.Parallel()
	var without []string
	for name, response := range refused {
		if _, err := readTheirs("GET", []byte(response)); err == nil && stricter([]byte(response), false) == "" {
			without = append(without, name)
		}
	}
	slices.Sort(without)
	if len(without) > 0 && strings.Join(without, ", ") != "one line too long, too much header" {
		t.Errorf("without a reason: %q", without)
	}
}
