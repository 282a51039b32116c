package listen_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/listen"
)

// serve answers every request with whether its connection is one too many;
// /keep hands the connection over to kept.
func serve(t *testing.T, address string, connections int, config *tls.Config) (l net.Listener, kept chan net.Conn) {
	t.Helper()
	l = open(t, address, connections)
	kept = make(chan net.Conn, 8)
	server := &http.Server{
		ConnContext:       listen.ConnContext,
		ReadHeaderTimeout: time.Minute,
		TLSConfig:         config,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case listen.Overloaded(r.Context()):
				w.Header().Set("Connection", "close")
				w.WriteHeader(http.StatusServiceUnavailable)
			case r.URL.Path == "/keep":
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				kept <- conn
			}
		}),
	}
	startServer(t, server, l)
	return l, kept
}

// startServer serves a port until the test ends, with TLS if the server has a configuration of it.
func startServer(t *testing.T, server *http.Server, l net.Listener) {
	t.Helper()
	var running sync.WaitGroup
	running.Go(func() {
		var err error
		if server.TLSConfig != nil {
			err = server.ServeTLS(l, "", "")
		} else {
			err = server.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { server.Close(); running.Wait() })
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// ask gives the status of an answer, 0 where the connection was closed instead.
func ask(conn net.Conn, path string) int {
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return 0
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

func TestConnectionsBeyondTheLimitAreRefusedAndSilentOnesMakeRoom(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "a.sock")} {
		const most, more = 3, 2
		l, _ := serve(t, address, most, nil)
		var within, beyond []net.Conn
		for i := range most {
			within = append(within, dial(t, l))
			if got := ask(within[i], "/"); got != http.StatusOK {
				t.Errorf("connection %d: %d", i, got)
			}
		}
		for range listen.Reserve + more {
			beyond = append(beyond, dial(t, l)) // the headroom is full before any client sends
		}
		for i := len(beyond) - 1; i >= 0; i-- { // the last answers when all have been accepted
			want := http.StatusServiceUnavailable
			if i < more { // they made room for the last
				want = 0
			}
			if got := ask(beyond[i], "/"); got != want {
				t.Fatalf("connection %d of the reserve: %d, want %d", i, got, want)
			}
		}
		if got := ask(within[0], "/"); got != http.StatusOK {
			t.Errorf("one within the limit: %d", got)
		}
		within[1].Close()
		until(t, "room for one more", func() bool { return ask(dial(t, l), "/") == http.StatusOK })
	}
}

// Those who have begun to speak stay before those who say nothing.
func TestSilentConnectionsLeaveTheReserveFirst(t *testing.T) {
	t.Parallel()
	l, _ := serve(t, "127.0.0.1:0", 1, nil)
	dial(t, l)
	speaks := dial(t, l) // the oldest of the reserve
	if _, err := io.WriteString(speaks, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := ask(dial(t, l), "/"); got != http.StatusServiceUnavailable { // accepted later, so that was read, too
		t.Fatalf("the reserve answers %d", got)
	}
	for range listen.Reserve + 10 {
		dial(t, l)
	}
	if _, err := io.WriteString(speaks, "Host: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(speaks), nil)
	if err != nil {
		t.Fatalf("it had to go before the silent ones: %v", err)
	}
	res.Body.Close()
	if got := ask(dial(t, l), "/"); got != http.StatusServiceUnavailable {
		t.Errorf("a balancer gets %d", got)
	}
}

// until tries again until something holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

func TestConnectionThatWasHandedOverCountsUntilItIsClosed(t *testing.T) {
	t.Parallel()
	l, kept := serve(t, "127.0.0.1:0", 1, nil)
	client := dial(t, l)
	if _, err := io.WriteString(client, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	conn := <-kept
	for range 3 {
		if got := ask(dial(t, l), "/"); got != http.StatusServiceUnavailable {
			t.Errorf("in addition to the hijacked one: %d", got)
		}
	}
	for range 2 { // net/http and its handlers may both close
		_ = conn.Close()
	}
	until(t, "its place", func() bool { return ask(dial(t, l), "/") == http.StatusOK })
}

func TestClosingTwiceFreesOnePlace(t *testing.T) {
	t.Parallel()
	l := open(t, "127.0.0.1:0", 1)
	var accepted []net.Conn
	accept := func() context.Context {
		dial(t, l)
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		accepted = append(accepted, conn)
		return listen.ConnContext(t.Context(), conn)
	}
	if listen.Overloaded(accept()) || !listen.Overloaded(accept()) {
		t.Fatal("the limit is not one")
	}
	_ = accepted[1].Close()
	_ = accepted[1].Close()
	if !listen.Overloaded(accept()) {
		t.Error("a second Close of one connection freed the place of another")
	}
}

func TestConnectionsKeepTheirGoodbye(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "a.sock")} {
		for _, most := range []int{0, 1} {
			l := open(t, address, most)
			client := dial(t, l)
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			half, ok := conn.(interface{ CloseWrite() error })
			if !ok || half.CloseWrite() != nil {
				t.Errorf("%s, limit %d: no CloseWrite", address, most)
			}
			if _, err := client.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%s, limit %d: %v", address, most, err)
			}
			conn.Close()
			l.Close()
		}
	}
}

func TestLimitIsSeenThroughTLS(t *testing.T) {
	t.Parallel()
	shown := new(listen.Certificate)
	pair := newPair(t, "a.example.com")
	if err := shown.Set(pair.certificate, pair.key); err != nil {
		t.Fatal(err)
	}
	l, _ := serve(t, "127.0.0.1:0", 1, shown.TLSConfig())
	for i, want := range []int{http.StatusOK, http.StatusServiceUnavailable} {
		conn := tls.Client(dial(t, l), &tls.Config{RootCAs: pair.pool, ServerName: "a.example.com"})
		if got := ask(conn, "/"); got != want {
			t.Errorf("connection %d: %d, want %d", i, got, want)
		}
	}
}
