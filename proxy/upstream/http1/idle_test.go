package http1_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/example-org/authgate/proxy/upstream/http1"
)

// counting counts the open connections of a transport.
func counting(tr *http1.Transport) *atomic.Int32 {
	var open atomic.Int32
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return &countedConn{TCPConn: conn.(*net.TCPConn), open: &open}, nil
	}
	return &open
}

type countedConn struct {
	*net.TCPConn
	open *atomic.Int32
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.TCPConn.Close()
}

func TestAConnectionThatTheServerHasClosedIsNoticed(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*peer){
		"end":                  func(*peer) {},
		"reset":                func(p *peer) { _ = p.Conn.(*net.TCPConn).SetLinger(0) },
		"unsolicited response": func(p *peer) { p.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil") },
		"408":                  func(p *peer) { p.say("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n") },
		"one byte":             func(p *peer) { p.say("H") },
		"one byte, no end":     func(p *peer) { p.say("H") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idle, done := make(chan struct{}), make(chan struct{})
			s := serve(t, func(p *peer) {
				p.head()
				_, _ = p.Discard(1)
				p.say(ok)
				<-idle
				end(p)
				if name != "one byte, no end" {
					p.Close()
				}
				done <- struct{}{}
				_, _ = io.Copy(io.Discard, p)
			})
			tr := newTransport(t)
			for i := range 5 {
				r := request(t, "POST", s.url(), strings.NewReader("x")) // is not repeated
				if _, got, err := do(t, tr, r); err != nil || got != "ok" {
					t.Fatalf("request %d: %q %v", i, got, err)
				}
				idle <- struct{}{}
				<-done
			}
			if s.conns.Load() != 5 {
				t.Errorf("%d connections", s.conns.Load())
			}
		})
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	s, tr := serve(t, always(ok)), newTransport(t)
	tr.IdleConnTimeout = 100 * time.Millisecond
	open := counting(tr)
	if _, err := get(t, tr, s.url()); err != nil || open.Load() != 1 {
		t.Fatal(err, open.Load())
	}
	eventually(t, "it is closed after the timeout", func() bool { return open.Load() == 0 })

	tr.IdleConnTimeout = time.Nanosecond // older than that is not used, even before the timer
	for range 3 {
		if _, err := get(t, tr, s.url()); err != nil {
			t.Fatal(err)
		}
	}
	if s.conns.Load() != 4 {
		t.Errorf("%d connections", s.conns.Load())
	}
	eventually(t, "they are closed", func() bool { return open.Load() == 0 })
}

func TestAConnectionThatTheServerEndsIsClosedWithoutARequest(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	s := serve(t, func(p *peer) { p.head(); p.say(ok); <-end })
	tr := newTransport(t)
	open := counting(tr)
	if _, err := get(t, tr, s.url()); err != nil || open.Load() != 1 {
		t.Fatal(err, open.Load())
	}
	close(end)
	eventually(t, "it is closed", func() bool { return open.Load() == 0 })
}

func TestIdleConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	const at = 10
	all := make(chan struct{})
	var arrived atomic.Int32
	s := serve(t, func(p *peer) {
		for p.head() != "" {
			if arrived.Add(1) == at {
				close(all)
			}
			<-all
			p.say(ok)
		}
	})
	tr := newTransport(t)
	tr.MaxIdleConnsPerHost = 3
	open := counting(tr)
	var requests sync.WaitGroup
	for range at {
		requests.Go(func() {
			if _, err := get(t, tr, s.url()); err != nil {
				t.Error(err)
			}
		})
	}
	requests.Wait()
	if n := open.Load(); n != 3 {
		t.Errorf("%d connections are kept", n)
	}
	tr.CloseIdleConnections()
	if n := open.Load(); n != 0 {
		t.Errorf("%d connections are open", n)
	}
}

func TestConnectionsInUseAreClosedLater(t *testing.T) {
	t.Parallel()
	s, tr := serve(t, always(ok)), newTransport(t)
	open := counting(tr)
	res, err := tr.RoundTrip(request(t, "GET", s.url(), nil))
	if err != nil {
		t.Fatal(err)
	}
	tr.CloseIdleConnections()
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != "ok" {
		t.Errorf("%q %v", got, err)
	}
	if n := open.Load(); n != 0 {
		t.Errorf("%d connections are open", n)
	}
	if _, err := get(t, tr, s.url()); err != nil || open.Load() != 1 {
		t.Errorf("a later connection is not kept: %v", err)
	}
}

func TestHostsShareNoConnections(t *testing.T) {
	t.Parallel()
	a, b, tr := serve(t, always(ok)), serve(t, always(ok)), newTransport(t)
	for range 3 {
		for _, s := range []*server{a, b} {
			if _, err := get(t, tr, s.url()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a.conns.Load() != 1 || b.conns.Load() != 1 {
		t.Errorf("%d and %d connections", a.conns.Load(), b.conns.Load())
	}
}

// dying answers the first request of a connection, and reads the second and closes.
func dying(t *testing.T, seen *atomic.Int32, mark string) *server {
	return serve(t, func(p *peer) {
		for first := true; ; first = false {
			in, err := http.ReadRequest(p.Reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, in.Body)
			if in.URL.Path == mark {
				seen.Add(1)
				if !first {
					return
				}
			}
			p.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
}

func TestARequestIsRepeatedOnceAndOnlyWhereThatIsSafe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method string
		body   func() io.Reader
		length int64
		seen   int32
	}{
		"GET":             {"GET", nil, 0, 2},
		"HEAD":            {"HEAD", nil, 0, 2},
		"OPTIONS":         {"OPTIONS", nil, 0, 2},
		"DELETE":          {"DELETE", nil, 0, 2},
		"PUT":             {"PUT", bodyOf(5), 5, 2},
		"PUT of 64 KiB":   {"PUT", bodyOf(64 << 10), 64 << 10, 2},
		"PUT of more":     {"PUT", bodyOf(64<<10 + 1), 64<<10 + 1, 1},
		"PUT in chunks":   {"PUT", bodyOf(64 << 10), -1, 2},
		"PUT, more":       {"PUT", bodyOf(64<<10 + 1), -1, 1},
		"POST":            {"POST", bodyOf(5), 5, 1},
		"POST, no body":   {"POST", nil, 0, 1},
		"PATCH":           {"PATCH", bodyOf(5), 5, 1},
		"another":         {"PURGE", nil, 0, 1},
		"TRACE":           {"TRACE", nil, 0, 1},
		"GET with a body": {"GET", bodyOf(5), 5, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen atomic.Int32
			s, tr := dying(t, &seen, "/marked"), newTransport(t)
			if _, err := get(t, tr, s.url()); err != nil {
				t.Fatal(err)
			}
			r := request(t, c.method, s.url()+"/marked", nil)
			r.Header.Set("Idempotency-Key", "a") // does not make it idempotent
			if c.body != nil {
				r.Body, r.ContentLength = io.NopCloser(c.body()), c.length
			}
			_, _, err := do(t, tr, r)
			if (err == nil) != (c.seen == 2) || seen.Load() != c.seen {
				t.Errorf("%v, and the server got it %d times", err, seen.Load())
			}
		})
	}
}

func bodyOf(n int) func() io.Reader {
	return func() io.Reader { return onlyReader{strings.NewReader(strings.Repeat("x", n))} }
}

func TestNothingIsRepeatedOnANewConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, func(p *peer) { p.head() })
	if _, err := get(t, newTransport(t), s.url()); err == nil || s.conns.Load() != 1 {
		t.Errorf("%v after %d connections", err, s.conns.Load())
	}
}

func TestNothingIsRepeatedOnceTheResponseHasBegun(t *testing.T) {
	t.Parallel()
	for _, beginning := range []string{"HTTP/1.1 103 Early\r\n\r\n", "HTTP/1.1 200 OK\r\nX", "H"} {
		s := serve(t, func(p *peer) {
			p.head()
			p.say(ok)
			p.head()
			p.say(beginning)
		})
		tr := newTransport(t)
		if _, err := get(t, tr, s.url()); err != nil {
			t.Fatal(err)
		}
		if got, err := get(t, tr, s.url()); err == nil || s.conns.Load() != 1 {
			t.Errorf("after %q: %q %v, %d connections", beginning, got, err, s.conns.Load())
		}
	}
}

// The next connection gets what was read of the body, while the rest has yet to come.
func TestABodyThatIsStillToComeIsSentOnTheNextConnection(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{10, -1} {
		reset, bodies := make(chan struct{}), make(chan string, 2)
		s := serve(t, func(p *peer) {
			for first := true; ; first = false {
				in, err := http.ReadRequest(p.Reader)
				if err != nil {
					return
				}
				if in.Method == "PUT" && !first {
					_ = p.Conn.(*net.TCPConn).SetLinger(0)
					p.Close()
					close(reset)
					return
				}
				if b, _ := io.ReadAll(in.Body); len(b) > 0 {
					bodies <- string(b)
				}
				p.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		})
		tr := newTransport(t)
		if _, err := get(t, tr, s.url()); err != nil {
			t.Fatal(err)
		}
		from, to := io.Pipe()
		go func() {
			_, _ = io.WriteString(to, "begin")
			<-reset
			eventually(t, "another connection", func() bool { return s.conns.Load() == 2 })
			_, _ = io.WriteString(to, "&rest")
			to.Close()
		}()
		r := request(t, "PUT", s.url(), from)
		r.ContentLength = length
		if _, _, err := do(t, tr, r); err != nil {
			t.Fatal(err)
		}
		if got := <-bodies; got != "begin&rest" {
			t.Errorf("%q", got)
		}
	}
}

// failing is a connection on which the next write fails before it writes anything.
type failing struct {
	net.Conn
	now *atomic.Bool
}

func (c failing) Write(b []byte) (int, error) {
	if c.now.Load() {
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: net.ErrClosed}
	}
	return c.Conn.Write(b)
}

func TestARequestOfWhichNothingWasWrittenTakesAnotherConnection(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST", "PATCH"} {
		for _, size := range []int{0, 5, 50_000} {
			s := serve(t, func(p *peer) {
				for {
					in, err := http.ReadRequest(p.Reader)
					if err != nil {
						return
					}
					b, _ := io.ReadAll(in.Body)
					p.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(b), b))
				}
			})
			tr := newTransport(t)
			var failNow atomic.Bool
			var dials atomic.Int32
			dial := tr.DialContext
			tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				if dials.Add(1) == 1 {
					conn = failing{conn, &failNow}
				}
				return conn, err
			}
			for range 2 {
				want := strings.Repeat("x", size)
				r := request(t, method, s.url(), onlyReader{strings.NewReader(want)})
				r.ContentLength = int64(size)
				if size == 0 {
					r.Body = nil
				}
				if _, got, err := do(t, tr, r); err != nil || got != want {
					t.Errorf("%s of %d bytes: %d bytes, %v", method, size, len(got), err)
				}
				failNow.Store(true)
			}
			if dials.Load() != 2 {
				t.Errorf("%s: %d connections", method, dials.Load())
			}
		}
	}
}

func TestAServerThatNeverReadsIsNotTriedWithoutEnd(t *testing.T) {
	t.Parallel()
	var always, dials atomic.Int32
	tr := newTransport(t)
	var now atomic.Bool
	now.Store(true)
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		dials.Add(1)
		return failing{conn, &now}, err
	}
	s := serve(t, func(p *peer) { always.Add(1); p.head() })
	if _, err := get(t, tr, s.url()); !errors.Is(err, net.ErrClosed) || dials.Load() > 3 {
		t.Errorf("%v after %d connections", err, dials.Load())
	}
}

func TestIdleConnectionsHaveNoGoroutines(t *testing.T) { // not parallel: it counts them
	const many = 50
	all := make(chan struct{})
	var arrived atomic.Int32
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var conns []net.Conn
	served := make(chan struct{})
	go func() { // a goroutine of the server for each would be counted
		defer close(served)
		for range many {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
			arrived.Add(1)
		}
		<-all
		for _, conn := range conns { // a request takes the first connection that is free
			_, _ = http.ReadRequest(bufio.NewReader(conn))
		}
		for _, conn := range conns {
			_, _ = io.WriteString(conn, ok)
		}
	}()
	tr := newTransport(t)
	before := runtime.NumGoroutine()
	var requests sync.WaitGroup
	for range many {
		requests.Go(func() {
			if _, err := get(t, tr, "http://"+l.Addr().String()); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all connections", func() bool { return arrived.Load() == many })
	close(all)
	requests.Wait()
	<-served
	eventually(t, "no goroutine more", func() bool { return runtime.NumGoroutine() <= before })
	for _, conn := range conns {
		conn.Close()
	}
}

func TestARequestThatClosesIsTheLast(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"Close":  func(r *http.Request) { r.Close = true },
		"header": func(r *http.Request) { r.Header.Set("Connection", "close") },
	} {
		s, tr := serve(t, always(ok)), newTransport(t)
		open := counting(tr)
		for range 2 {
			r := request(t, "GET", s.url(), nil)
			change(r)
			if _, _, err := do(t, tr, r); err != nil {
				t.Fatal(err)
			}
		}
		if s.conns.Load() != 2 || open.Load() != 0 {
			t.Errorf("%s: %d connections, %d are open", name, s.conns.Load(), open.Load())
		}
	}
}

func TestARequestTakesAConnectionThatBecomesIdle(t *testing.T) {
	t.Parallel()
	asked, answer, dialing, proceed := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := serve(t, func(p *peer) {
		for p.head() != "" {
			asked <- struct{}{}
			<-answer
			p.say(ok)
		}
	})
	tr := newTransport(t)
	open := counting(tr)
	dial := tr.DialContext
	var dials atomic.Int32
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) > 1 {
			close(dialing)
			<-proceed
		}
		return dial(ctx, network, address)
	}
	done := make(chan error, 2)
	ask := func() { _, err := get(t, tr, s.url()); done <- err }
	go ask()
	<-asked
	go ask()
	<-dialing // the second request, as long as the first is in progress
	answer <- struct{}{}
	<-asked // on the first connection
	close(proceed)
	eventually(t, "the second connection is kept", func() bool { return open.Load() == 2 })
	answer <- struct{}{}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if s.conns.Load() > 2 {
		t.Errorf("%d connections", s.conns.Load())
	}
	tr.CloseIdleConnections()
	eventually(t, "all are closed", func() bool { return open.Load() == 0 })
}
