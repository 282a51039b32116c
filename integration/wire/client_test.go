package wire_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// answer is one response as a client reads it.
type answer struct {
	status int // 0: none came
	header http.Header
	body   string
	cut    bool   // it broke off
	raw    string // what came instead of a response
}

// code is the reason that authgate gives for a refusal; empty where the answer
// belongs to another request.
func (a answer) code() string {
	var problem struct{ Type string }
	if a.header.Get("Content-Type") != "application/problem+json" || json.Unmarshal([]byte(a.body), &problem) != nil {
		return ""
	}
	return strings.TrimPrefix(problem.Type, "urn:authgate:problem:")
}

func (a answer) String() string {
	s := fmt.Sprint(a.status)
	switch code := a.code(); {
	case a.status == 0:
		s = "no answer"
		if a.raw != "" {
			s = "bytes that are no answer: " + shown(a.raw)
		}
	case code != "":
		s += " " + code
	case a.body != "":
		s += " " + shown(a.body)
	}
	if a.cut {
		s += ", which breaks off"
	}
	return s
}

// probe follows the bytes of a row on the same connection. Its answer shows that
// the connection was kept, and where authgate saw the row end.
const (
	probePath = "/still-there"
	probe     = "GET " + probePath + " HTTP/1.1\r\nHost: raw.example\r\n\r\n"
)

// said is all that a client received on one connection.
type said struct {
	answers []answer
	kept    bool // the probe was answered
	silent  bool // neither that nor the end came
}

func (s said) first() answer {
	if len(s.answers) == 0 {
		return answer{}
	}
	return s.answers[0]
}

// say sends bytes and a probe behind them, in one packet where they fit, and
// reads whatever comes.
func (g *gate) say(t *testing.T, sent string) said {
	t.Helper()
	conn := dial(t, g.address)
	defer conn.Close()
	return listen(t, conn, sent+probe, 8*time.Second)
}

// listen sends and reads until the probe is answered, or the connection ends.
func listen(t *testing.T, conn net.Conn, sent string, limit time.Duration) said {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	// An error here is for the reader to find: authgate may have answered, and
	// closed, before it has read all.
	_, _ = io.WriteString(conn, sent)
	method, _, _ := strings.Cut(sent, " ")
	var s said
	for r := bufio.NewReader(conn); ; method = http.MethodGet {
		a, err := readAnswer(r, method)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.silent = true
			return s
		case err != nil:
			if a.raw != "" {
				s.answers = append(s.answers, a)
			}
			return s
		case a.header.Get("X-Probe") != "":
			s.kept = true
			return s
		}
		s.answers = append(s.answers, a)
		if a.cut {
			return s
		}
	}
}

func readAnswer(r *bufio.Reader, method string) (answer, error) {
	start, _ := r.Peek(min(r.Size(), 9))
	if len(start) > 0 && !strings.HasPrefix(string(start), "HTTP/1.") {
		rest, err := io.ReadAll(io.LimitReader(r, 300))
		return answer{raw: string(rest)}, errors.Join(errors.New("no response"), err)
	}
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(res.Body)
	// net/http's own refusals end with the connection, at times by a reset: only an
	// answer that says where it ends can be seen to break off.
	framed := res.ContentLength >= 0 || len(res.TransferEncoding) > 0
	return answer{status: res.StatusCode, header: res.Header, body: string(body), cut: framed && err != nil}, nil
}

// ask sends bytes and reads one answer, on a connection of its own. A second
// answer behind it fails the test: no client asked for one.
func (g *gate) ask(sent string) answer {
	g.t.Helper()
	conn := dial(g.t, g.address)
	defer conn.Close()
	return g.askOn(conn, sent)
}

func (g *gate) askOn(conn net.Conn, sent string) answer {
	g.t.Helper()
	if _, err := io.WriteString(conn, sent); err != nil {
		g.t.Fatal(err)
	}
	method, _, _ := strings.Cut(sent, " ")
	r := bufio.NewReader(conn)
	a, err := readAnswer(r, method)
	if err != nil {
		g.t.Logf("to %s: %v", shown(sent), err)
	}
	if extra, _ := r.Peek(r.Buffered()); len(extra) > 0 {
		g.t.Errorf("behind the answer %s to %s come %s", a, shown(sent), shown(string(extra)))
	}
	return a
}

// get is a plain request for a path, with further header lines.
func get(path string, lines ...string) string { return request("GET", path, "", lines...) }

func request(method, path, body string, lines ...string) string {
	head := method + " " + path + " HTTP/1.1\r\nHost: raw.example\r\n"
	for _, line := range lines {
		head += line + "\r\n"
	}
	return head + "\r\n" + body
}

// probed answers probes so that clients know them, and leaves the rest to reply.
func probed(reply func(net.Conn, *arrival) bool) func(net.Conn, *arrival) bool {
	return func(conn net.Conn, a *arrival) bool {
		if isProbe(a.target()) {
			_, err := io.WriteString(conn, "HTTP/1.1 204 No Content\r\nX-Probe: yes\r\n\r\n")
			return err == nil
		}
		return reply(conn, a)
	}
}

// shown makes bytes readable on one line: as text, or quoted where they are not,
// and long ones by their ends.
func shown(s string) string {
	const ends = 60
	if len(s) > 3*ends {
		s = fmt.Sprintf("%s...[%d bytes]...%s", s[:ends], len(s)-2*ends, s[len(s)-ends:])
	}
	quoted := fmt.Sprintf("%q", s)
	if bare := quoted[1 : len(quoted)-1]; bare == s && s != "" && strings.TrimSpace(s) == s {
		return s
	}
	return quoted
}

// folded puts a number in the place of lines that repeat the one before.
func folded(lines []string) []string {
	var out []string
	for i := 0; i < len(lines); {
		same := 1
		for i+same < len(lines) && lines[i+same] == lines[i] {
			same++
		}
		out = append(out, lines[i])
		if same > 1 {
			out = append(out, fmt.Sprintf("(%d times)", same))
		}
		i += same
	}
	return out
}

// ends reads until the other side closes, and gives an error where it does not.
func ends(conn net.Conn, by time.Time) error {
	if err := conn.SetReadDeadline(by); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the connection is still open")
	}
	return nil // by its end, or by a reset
}
