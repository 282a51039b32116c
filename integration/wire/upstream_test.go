package wire_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// upstream is a server that reads bytes, not requests. Its reader is as narrow
// as one can be: what it cannot read in one way only, it calls broken.
type upstream struct {
	address string
	// reply writes the answer to an arrival, and reports whether the connection can
	// be used again.
	reply func(conn net.Conn, a *arrival) (keep bool)
	// fickle says that replies may make authgate repeat a request, on a connection
	// that ended under it.
	fickle bool

	mu    sync.Mutex
	seen  []*arrival
	conns map[net.Conn]bool
}

// arrival is one request as it came.
type arrival struct {
	head   string // to the empty line, that included
	body   string // without the framing
	tail   string // trailers
	broken string // why it is no clean request
	cut    bool   // its end has not come
}

func (a arrival) method() string { m, _, _ := strings.Cut(a.head, " "); return m }

func (a arrival) target() string {
	_, rest, _ := strings.Cut(a.head, " ")
	target, _, _ := strings.Cut(rest, " ")
	return target
}

// header gives the values under a name, in any case.
func (a arrival) header(name string) []string {
	var values []string
	for line := range strings.SplitSeq(a.head, "\r\n") {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return values
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// sayFine answers everything with 200.
func sayFine(conn net.Conn, a *arrival) bool {
	text := fine
	if a.method() == "HEAD" {
		text = strings.TrimSuffix(text, "ok")
	}
	_, err := io.WriteString(conn, text)
	return err == nil
}

func newUpstream(t *testing.T, reply func(net.Conn, *arrival) bool) *upstream {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{address: l.Addr().String(), reply: reply, conns: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { u.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()      // nothing else holds it
		running.Wait() // authgate has stopped: its connections have ended
	})
	return u
}

// hangUp ends all connections, those too that authgate only keeps for later.
func (u *upstream) hangUp() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for conn := range u.conns {
		conn.Close() // serve sees it
	}
}

func (u *upstream) serve(conn net.Conn) {
	u.mu.Lock()
	u.conns[conn] = true
	u.mu.Unlock()
	defer func() {
		conn.Close() // whatever state it is in
		u.mu.Lock()
		delete(u.conns, conn)
		u.mu.Unlock()
	}()
	r := bufio.NewReader(conn)
	for {
		a := &arrival{cut: true}
		var head []byte
		for !bytes.HasSuffix(head, []byte("\r\n\r\n")) && len(head) < 1<<20 {
			b, err := r.ReadByte()
			if err != nil {
				if len(head) > 0 {
					a.head, a.broken = string(head), "it ends within the header"
					u.note(a)
				}
				return
			}
			head = append(head, b)
		}
		a.head = string(head)
		u.note(a)
		body, tail, cut, broken := readBody(r, a)
		u.mu.Lock()
		a.body, a.tail, a.cut, a.broken = body, tail, cut, broken
		u.mu.Unlock()
		if cut || broken != "" || !u.reply(conn, a) {
			return
		}
	}
}

func (u *upstream) note(a *arrival) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen = append(u.seen, a)
}

// arrivals are the requests so far.
func (u *upstream) arrivals() []arrival {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := make([]arrival, len(u.seen))
	for i, a := range u.seen {
		all[i] = *a
	}
	return all
}

// at gives the last request to that path.
func (u *upstream) at(t *testing.T, path string) arrival {
	t.Helper()
	all := u.arrivals()
	for i := len(all) - 1; i >= 0; i-- {
		if p, _, _ := strings.Cut(all[i].target(), "?"); p == path {
			return all[i]
		}
	}
	t.Fatalf("nothing reached the upstream at %s", path)
	return arrival{}
}

var (
	requestLine = regexp.MustCompile(`^[A-Z-]+ /[^\x00-\x20\x7f]* HTTP/1\.1$`)
	headerLine  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[^\x00-\x08\x0a-\x1f\x7f]*$")
	chunkSize   = regexp.MustCompile(`^[0-9a-f]+\r\n$`)
)

func readBody(r *bufio.Reader, a *arrival) (body, tail string, cut bool, broken string) {
	lines := strings.Split(strings.TrimSuffix(a.head, "\r\n\r\n"), "\r\n")
	if !requestLine.MatchString(lines[0]) {
		return "", "", false, "the request line"
	}
	for _, line := range lines[1:] {
		if !headerLine.MatchString(line) {
			return "", "", false, fmt.Sprintf("the line %q", line)
		}
	}
	length, coding := a.header("Content-Length"), a.header("Transfer-Encoding")
	switch {
	case len(length)+len(coding) > 1:
		return "", "", false, "more than one framing"
	case len(coding) == 1 && coding[0] == "chunked":
		return readChunks(r)
	case len(coding) == 1:
		return "", "", false, "transfer coding " + coding[0]
	case len(length) == 1:
		n, err := strconv.ParseUint(length[0], 10, 32)
		if err != nil {
			return "", "", false, "Content-Length " + length[0]
		}
		b := make([]byte, n)
		got, err := io.ReadFull(r, b)
		return string(b[:got]), "", err != nil, ""
	}
	return "", "", false, ""
}

func readChunks(r *bufio.Reader) (body, tail string, cut bool, broken string) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return body, "", true, ""
		}
		if !chunkSize.MatchString(line) {
			return body, "", false, fmt.Sprintf("the chunk line %q", line)
		}
		n, err := strconv.ParseUint(strings.TrimSpace(line), 16, 31)
		if err != nil {
			return body, "", false, fmt.Sprintf("the chunk line %q", line)
		}
		if n == 0 {
			break
		}
		b := make([]byte, n+2)
		got, err := io.ReadFull(r, b)
		if err != nil {
			return body + string(b[:got]), "", true, ""
		}
		body += string(b[:n])
		if string(b[n:]) != "\r\n" {
			return body, "", false, "the end of a chunk"
		}
	}
	for {
		line, err := r.ReadString('\n')
		switch {
		case err != nil:
			return body, tail, true, ""
		case line == "\r\n":
			return body, tail, false, ""
		}
		tail += line
	}
}

// own are the lines that authgate itself adds to an anonymous request; a table
// need not repeat them for each row. With any other value they are shown.
var own = regexp.MustCompile(`^(X-Forwarded-For: 127\.0\.0\.1|X-Real-Ip: 127\.0\.0\.1|X-Forwarded-Proto: http|X-Forwarded-Port: \d+|X-Forwarded-Host: raw\.example|X-Request-Id: [0-9a-f]{16})$`)

// String is the request as tables show it.
func (a arrival) String() string {
	var b strings.Builder
	for _, line := range folded(strings.Split(strings.TrimSuffix(a.head, "\r\n\r\n"), "\r\n")) {
		if !own.MatchString(line) {
			fmt.Fprintf(&b, "    => %s\n", shown(line))
		}
	}
	if a.body != "" {
		fmt.Fprintf(&b, "    => body %s\n", shown(a.body))
	}
	if a.tail != "" {
		fmt.Fprintf(&b, "    => trailers %s\n", shown(a.tail))
	}
	if a.cut {
		b.WriteString("    => and breaks off\n")
	}
	return b.String()
}

// waitForTheEnd answers nothing until authgate ends the connection.
func waitForTheEnd(conn net.Conn, _ *arrival) bool {
	_, _ = io.Copy(io.Discard, conn) // its end is what is waited for
	return false
}
