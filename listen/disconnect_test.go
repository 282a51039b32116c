package listen_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/listen"
)

// serveHandler serves plain HTTP/1.1 as the server does, with short intervals.
func serveHandler(t *testing.T, h http.HandlerFunc) net.Listener {
	t.Helper()
	l := open(t, "127.0.0.1:0", 0)
	listen.CheckClients(l, time.Millisecond)
	startServer(t, &http.Server{ConnContext: listen.ConnContext, ReadHeaderTimeout: time.Minute, IdleTimeout: time.Minute, Handler: h}, l)
	return l
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a.example.com\r\n\r\n" }

// A client that closes its connection, or only its half of it, ends its request, as with net/http
// alone. So does one that was watched for an earlier request, or that sent a body.
func TestRequestEndsWhenItsClientLeaves(t *testing.T) {
	t.Parallel()
	post := "POST /wait HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 3\r\n\r\nabc"
	for name, c := range map[string]struct {
		before, request string
		leave           func(*net.TCPConn) error
	}{
		"closes":                   {"", get("/wait"), (*net.TCPConn).Close},
		"closes after a body":      {"", post, (*net.TCPConn).Close},
		"sends nothing more":       {"", get("/wait"), (*net.TCPConn).CloseWrite},
		"resets":                   {"", get("/wait"), func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) }},
		"closes after a long one":  {get("/slow"), get("/wait"), (*net.TCPConn).Close},
		"closes after a short one": {get("/"), get("/wait"), (*net.TCPConn).Close},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began, ended := make(chan bool), make(chan bool)
			l := serveHandler(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				switch r.URL.Path {
				case "/slow":
					waitFor(r.Context(), 10*time.Millisecond)
				case "/wait":
					began <- true
					<-r.Context().Done()
					close(ended)
				}
			})
			conn := dial(t, l)
			if c.before != "" {
				send(t, conn, c.before)
				if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
					t.Fatal(err)
				}
			}
			send(t, conn, c.request)
			<-began
			if err := c.leave(conn.(*net.TCPConn)); err != nil {
				t.Fatal(err)
			}
			<-ended
		})
	}
}

// waitFor waits for a time, or until the context ends.
func waitFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Whatever arrives while a request is being handled belongs to the next ones: no byte of it is
// lost, and it ends no context. Handlers take about as long as the watcher's interval.
func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	l := serveHandler(t, func(w http.ResponseWriter, r *http.Request) {
		var micros int
		if _, err := fmt.Sscanf(r.URL.Query().Get("micros"), "%d", &micros); err != nil {
			t.Error(err)
		}
		waitFor(r.Context(), time.Duration(micros)*time.Microsecond)
		if err := r.Context().Err(); err != nil {
			t.Errorf("%s: %v", r.URL, err)
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	})
	var clients sync.WaitGroup
	for client := range 8 {
		conn := dial(t, l)
		random := rand.New(rand.NewPCG(1, uint64(client)))
		const requests = 200
		clients.Go(func() {
			for i := range requests {
				body := strings.Repeat("b", random.IntN(3))
				text := fmt.Sprintf("POST /%d?micros=%d HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: %d\r\n\r\n%s",
					i, random.IntN(4000), len(body), body)
				for cut := random.IntN(len(text)); text != ""; text, cut = text[cut:], len(text)-cut {
					if _, err := io.WriteString(conn, text[:cut]); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
		clients.Go(func() {
			answers := bufio.NewReader(conn)
			for i := range requests {
				res, err := http.ReadResponse(answers, nil)
				if err != nil {
					t.Errorf("answer %d: %v", i, err)
					return
				}
				body, err := io.ReadAll(res.Body)
				if want := fmt.Sprintf("/%d ", i); err != nil || !strings.HasPrefix(string(body), want) {
					t.Errorf("answer %d is %q, %v", i, body, err)
				}
			}
		})
	}
	clients.Wait()
}

// A handler that takes the connection over gets what its client has sent meanwhile.
func TestConnectionThatIsTakenOverLosesNoByte(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, 10 * time.Millisecond} {
		received := make(chan string, 1)
		l := serveHandler(t, func(w http.ResponseWriter, r *http.Request) {
			waitFor(r.Context(), delay)
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			b := make([]byte, len("hello"))
			_, err = io.ReadFull(buffered, b)
			received <- fmt.Sprint(string(b), err)
		})
		conn := dial(t, l)
		send(t, conn, get("/"))
		for _, letter := range strings.Split("hello", "") {
			send(t, conn, letter)
		}
		if got := <-received; got != "hello<nil>" {
			t.Errorf("after %s: %s", delay, got)
		}
	}
}

// Deadlines of the server end reads when they should, although the socket's changes less often.
func TestReadDeadlinesHold(t *testing.T) {
	t.Parallel()
	l := open(t, "127.0.0.1:0", 0)
	server, client := accepted(t, l)
	read := make(chan error)
	b := make([]byte, 2)
	startRead := func() {
		go func() {
			_, err := server.Read(b)
			read <- err
		}()
	}
	set := func(deadlines ...time.Time) {
		for _, d := range deadlines {
			if err := server.SetReadDeadline(d); err != nil {
				t.Fatal(err)
			}
		}
	}
	soon, never, past := time.Now().Add(20*time.Millisecond), time.Time{}, time.Unix(1, 0)
	set(time.Now().Add(time.Hour), soon)
	startRead()
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(soon) {
		t.Errorf("a read until %s ended with %v", soon, err)
	}
	set(never) // and what has expired does not come back
	startRead()
	send(t, client, "a")
	if err := <-read; err != nil {
		t.Error(err)
	}
	set(time.Now().Add(time.Millisecond), never) // the socket's expires during the next read
	startRead()
	waitFor(t.Context(), 5*time.Millisecond)
	send(t, client, "b")
	if err := <-read; err != nil {
		t.Error(err)
	}
	startRead()
	set(past) // while it reads
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}
