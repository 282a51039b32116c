package listen_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/listen"
)

// pair of connections: what the port has accepted, and who called.
func accepted(t *testing.T, l net.Listener) (server, client net.Conn) {
	t.Helper()
	client = dial(t, l)
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, client
}

// fill writes without end, and gives the error that ends it.
func fill(conn net.Conn) error {
	block := make([]byte, 1<<20)
	for {
		if _, err := conn.Write(block); err != nil {
			return err
		}
	}
}

func TestPeerThatTakesNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "a.sock")} {
		l := open(t, address, 1)
		listen.Hurry(l, 60*time.Millisecond, 20*time.Millisecond, 10)
		server, _ := accepted(t, l)
		if err := fill(server); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// The time begins again with each byte that is taken: what is slow is not still.
func TestPeerThatTakesLittleIsNotGivenUp(t *testing.T) {
	t.Parallel()
	l := open(t, "127.0.0.1:0", 0)
	listen.Hurry(l, 20*time.Second, time.Millisecond, 10)
	server, client := accepted(t, l)
	const size = 16 << 20 // of one write: more than what the kernel takes
	done := make(chan error, 1)
	go func() {
		_, err := server.Write(make([]byte, size))
		done <- err
	}()
	buffer := make([]byte, 64<<10)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for taken := 0; taken < size; <-tick.C { // so that it waits many times for longer than that
		n, err := client.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		taken += n
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A deadline of the server itself holds, whether it comes before or during a write.
func TestDeadlinesOfTheServerHold(t *testing.T) {
	t.Parallel()
	l := open(t, "127.0.0.1:0", 0)
	listen.Hurry(l, time.Hour, time.Millisecond, 10)
	server, _ := accepted(t, l)
	if err := server.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := fill(server); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("before: %v", err)
	}
	if err := server.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- fill(server) }()
	for {
		if err := server.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("during: %v", err)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestOneAddressHasFewConnectionsThatTakeNothing(t *testing.T) {
	t.Parallel()
	l := open(t, "127.0.0.1:0", 0)
	const most, more = 3, 2
	listen.Hurry(l, time.Hour, time.Millisecond, most)
	ended := make(chan error, most+more)
	var running sync.WaitGroup
	var servers []net.Conn
	for range most + more {
		server, _ := accepted(t, l)
		servers = append(servers, server)
		running.Go(func() { ended <- fill(server) })
	}
	for range more {
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("one of those that may stay ended: %v", err)
	default:
	}
	for _, server := range servers {
		server.Close()
	}
	running.Wait()
}

// A peer that read again, and then stopped, counts as soon as any other.
func TestPeerThatStopsOnceMoreCountsAgain(t *testing.T) {
	t.Parallel()
	l := open(t, "127.0.0.1:0", 0)
	listen.Hurry(l, time.Hour, time.Millisecond, 1)
	type pair struct{ server, client net.Conn }
	ended := make(chan pair, 3)
	start := func() pair {
		server, client := accepted(t, l)
		p := pair{server, client}
		go func() {
			_ = fill(p.server)
			ended <- p
		}()
		return p
	}
	first, second := start(), start()
	stays := second
	if <-ended == second { // the one that had waited for longer was closed
		stays = first
	}
	if _, err := io.CopyN(io.Discard, stays.client, 32<<20); err != nil {
		t.Fatal(err)
	}
	third := start()
	<-ended
	stays.server.Close()
	third.server.Close()
	<-ended
}

// A client that sends requests and reads no answers.
func TestPipelineThatReadsNothingEnds(t *testing.T) {
	t.Parallel()
	shown, p := new(listen.Certificate), newPair(t, "a.example.com")
	if err := shown.Set(p.certificate, p.key); err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]*tls.Config{"plain": nil, "TLS": shown.TLSConfig()} {
		l := open(t, "127.0.0.1:0", 1)
		listen.Hurry(l, 60*time.Millisecond, 20*time.Millisecond, 10)
		closed := make(chan struct{})
		server := &http.Server{
			TLSConfig:         config,
			ReadHeaderTimeout: time.Minute,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, strings.Repeat("x", 2000))
			}),
			ConnState: func(_ net.Conn, s http.ConnState) {
				if s == http.StateClosed {
					close(closed)
				}
			},
		}
		startServer(t, server, l)
		conn := dial(t, l)
		if config != nil {
			conn = tls.Client(conn, &tls.Config{RootCAs: p.pool, ServerName: "a.example.com", NextProtos: []string{"http/1.1"}})
		}
		var sender sync.WaitGroup
		sender.Go(func() {
			for {
				if _, err := io.WriteString(conn, strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 100)); err != nil {
					return
				}
			}
		})
		select {
		case <-closed:
		case <-time.After(20 * time.Second):
			t.Errorf("%s: still open", name)
		}
		conn.Close()
		sender.Wait()
	}
}
