package listen_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/listen"
)

// serveBoth serves HTTP/1.1 and HTTP/2 on a port without TLS, as authgate does.
func serveBoth(t *testing.T) (dialled func(sent ...string) *bufio.Reader) {
	t.Helper()
	l := open(t, "127.0.0.1:0", 10)
	server := &http.Server{
		ConnContext: listen.ConnContext, ReadHeaderTimeout: time.Hour, Protocols: new(http.Protocols),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Context().Err() != nil { // as it was when the connection's own had ended
				w.WriteHeader(http.StatusInternalServerError)
			}
			_, _ = io.WriteString(w, r.Method+" "+r.RequestURI)
		}),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	startServer(t, server, l)
	return func(sent ...string) *bufio.Reader {
		t.Helper()
		conn := dial(t, l)
		for _, part := range sent {
			if _, err := io.WriteString(conn, part); err != nil {
				t.Fatal(err)
			}
		}
		return bufio.NewReader(conn)
	}
}

func TestShortRequestLineIsJudgedAtOnce(t *testing.T) {
	t.Parallel()
	send := serveBoth(t)
	for _, line := range []string{
		"GET / \r\n\r\n", "G\r\n\r\n", "\r\n\r\n\r\n", "GET\r\n", "GET /\r\n\r\n", "P\r\n\r\n", "PRI\r\n\r\n", "PRI * H\r\n\r\n",
		"PRI * HTTP/2.0\n\n", "PRI * HTTP/2.0\r\n\r\nS\r\n\r\n", "\x00\r\n\r\n", "POST / HTTP/9\r\n\r\n", "PRI * HTTP/1.1\r\n\r\n",
	} {
		res, err := http.ReadResponse(send(line), nil)
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		res.Body.Close()
		if isLine := strings.HasPrefix(line, "PRI * HTTP/2.0"); !isLine && res.StatusCode < 400 || res.StatusCode == http.StatusInternalServerError {
			t.Errorf("%q: %d", line, res.StatusCode) // that line is one to net/http: its handler answers
		}
	}
}

func TestRequestsArriveInAnyPieces(t *testing.T) {
	t.Parallel()
	send := serveBoth(t)
	const first, second = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
	for cut := range len(first) {
		answers := send(first[:cut], first[cut:]+second)
		for _, want := range []string{"POST /a", "GET /b"} {
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			got, _ := io.ReadAll(res.Body)
			if res.StatusCode != http.StatusOK || string(got) != want {
				t.Errorf("cut at %d: %d %q, want %q", cut, res.StatusCode, got, want)
			}
		}
	}
	for i := range first[:30] { // byte by byte, as far as it matters
		parts := append(strings.Split(first[:i], ""), first[i:])
		if res, err := http.ReadResponse(send(parts...), nil); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%d single bytes: %v", i, err)
		}
	}
}

func TestPrefaceArrivesInAnyPieces(t *testing.T) {
	t.Parallel()
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	send := serveBoth(t)
	for cut := range len(preface) {
		answer := make([]byte, 9)
		if _, err := io.ReadFull(send(preface[:cut], preface[cut:]+settings), answer); err != nil || answer[3] != 4 {
			t.Errorf("cut at %d: no SETTINGS: %q, %v", cut, answer, err)
		}
	}
}
