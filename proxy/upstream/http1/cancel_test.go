package http1_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

var errLeft = errors.New("the client has left")

// endless is a body that always has more.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// waits is a body that has nothing yet.
type waits struct{ ended chan struct{} }

func (w waits) Read([]byte) (int, error) { <-w.ended; return 0, io.ErrUnexpectedEOF }

func TestARequestIsCancelledAtEveryStage(t *testing.T) {
	t.Parallel()
	dialing := make(chan struct{})
	for name, c := range map[string]struct {
		play    func(p *peer, reached func())
		prepare func(*http.Request)
		dial    func(ctx context.Context, network, address string) (net.Conn, error)
		head    bool // the response header arrives before
	}{
		"dial": {dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			close(dialing)
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		"TLS": {
			play:    func(p *peer, reached func()) { _, _ = p.ReadByte(); reached(); _, _ = io.Copy(io.Discard, p) },
			prepare: func(r *http.Request) { r.URL.Scheme = "https" },
		},
		"write": {
			play: func(p *peer, reached func()) { p.head(); reached(); _, _ = io.Copy(slowly{}, p) },
			prepare: func(r *http.Request) {
				r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(endless{}), 1<<40
			},
		},
		"read of the body": {
			play: func(p *peer, reached func()) { p.head(); reached(); _, _ = io.Copy(io.Discard, p) },
			prepare: func(r *http.Request) {
				r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(waits{r.Context().Value(ended{}).(chan struct{})}), 5
			},
		},
		"100 Continue": {
			play: func(p *peer, reached func()) { p.head(); reached(); _, _ = io.Copy(io.Discard, p) },
			prepare: func(r *http.Request) {
				r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(strings.NewReader("hello")), 5
				r.Header.Set("Expect", "100-continue")
			},
		},
		"header": {
			play: func(p *peer, reached func()) { p.head(); reached(); _, _ = io.Copy(io.Discard, p) },
		},
		"half a header": {
			play: func(p *peer, reached func()) {
				p.head()
				p.say("HTTP/1.1 200 OK\r\nX-A")
				reached()
				_, _ = io.Copy(io.Discard, p)
			},
		},
		"body": {
			play: func(p *peer, reached func()) {
				p.head()
				p.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
				_, _ = io.Copy(io.Discard, p)
			},
			head: true,
		},
		"chunks": {
			play: func(p *peer, reached func()) {
				p.head()
				p.say(chunkedHead + "4\r\nhalf\r\n")
				_, _ = io.Copy(io.Discard, p)
			},
			head: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reached, gone, end := make(chan struct{}), make(chan struct{}), make(chan struct{})
			if c.play == nil {
				reached = dialing
				close(gone)
			}
			s := serve(t, func(p *peer) {
				defer close(gone)
				c.play(p, func() { close(reached) })
			})
			tr := newTransport(t)
			tr.TLSClientConfig = &tls.Config{ServerName: "x"}
			if c.dial != nil {
				tr.DialContext = c.dial
			}
			ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), ended{}, end))
			defer cancel(nil)
			r := request(t, "GET", s.url(), nil).WithContext(ctx)
			if c.prepare != nil {
				c.prepare(r)
			}
			failed := make(chan error, 1)
			go func() {
				res, err := tr.RoundTrip(r)
				if err == nil {
					close(reached)
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				failed <- err
			}()
			within(t, "the stage", reached)
			begun := time.Now()
			cancel(errLeft)
			if err := <-failed; !errors.Is(err, errLeft) {
				t.Errorf("%v", err)
			}
			if time.Since(begun) > 5*time.Second {
				t.Errorf("after %s", time.Since(begun))
			}
			within(t, "the connection is closed", gone)
			close(end)
		})
	}
}

type ended struct{}

// slowly takes little, so that writes wait.
type slowly struct{}

func (slowly) Write(b []byte) (int, error) { time.Sleep(time.Millisecond); return len(b), nil }

func TestARequestThatIsCancelledBeforeIsNotSent(t *testing.T) {
	t.Parallel()
	s := serve(t, always(ok))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errLeft)
	body := newCloses(strings.NewReader("x"))
	r := request(t, "PUT", s.url(), nil).WithContext(ctx)
	r.Body, r.ContentLength = body, 1
	if _, _, err := do(t, newTransport(t), r); !errors.Is(err, errLeft) {
		t.Error(err)
	}
	within(t, "the body is closed", body.closed)
	if s.conns.Load() != 0 {
		t.Error("a connection was made")
	}
}

// A context that ends after its response does no harm to a later request on the connection.
func TestCancellingAfterTheEndHasNoEffect(t *testing.T) {
	t.Parallel()
	s, tr := serve(t, always(ok)), newTransport(t)
	var cancels []context.CancelFunc
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		cancels = append(cancels, cancel)
		if _, got, err := do(t, tr, request(t, "GET", s.url(), nil).WithContext(ctx)); err != nil || got != "ok" {
			t.Fatal(err)
		}
		cancels[len(cancels)/2]()
	}
	for _, cancel := range cancels {
		cancel()
	}
	if s.conns.Load() != 1 {
		t.Errorf("%d connections", s.conns.Load())
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	const short = 50 * time.Millisecond
	for name, c := range map[string]struct {
		play    func(*peer)
		prepare func(*http.Request)
		fails   bool
	}{
		"no header":       {func(p *peer) { p.head(); _, _ = p.ReadByte() }, nil, true},
		"half a header":   {func(p *peer) { p.head(); p.say("HTTP/1.1 200 OK\r\nX"); _, _ = p.ReadByte() }, nil, true},
		"interim only":    {func(p *peer) { p.head(); p.say("HTTP/1.1 103 Early\r\n\r\n"); _, _ = p.ReadByte() }, nil, true},
		"in time":         {func(p *peer) { p.head(); p.say(ok); _, _ = p.ReadByte() }, nil, false},
		"a slow body":     {func(p *peer) { p.head(); p.say(ok[:len(ok)-1]); time.Sleep(3 * short); p.say("k") }, nil, false},
		"after an upload": {func(p *peer) { p.head(); _, _ = io.Copy(io.Discard, p) }, upload(strings.NewReader("hello"), 5), true},
		"TLS": {
			func(p *peer) { _, _ = io.Copy(io.Discard, p) },
			func(r *http.Request) { r.URL.Scheme = "https" }, true,
		},
		// The time begins when the request has been sent.
		"a slow upload": {
			func(p *peer) { p.head(); _, _ = io.ReadFull(p, make([]byte, 5)); p.say(ok) },
			upload(io.MultiReader(strings.NewReader("hell"), readerFunc(func([]byte) (int, error) { time.Sleep(3 * short); return 0, io.EOF }), strings.NewReader("o")), 5), false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, tr := serve(t, c.play), newTransport(t)
			tr.ResponseHeaderTimeout, tr.TLSHandshakeTimeout = short, short
			r := request(t, "GET", s.url(), nil)
			if c.prepare != nil {
				c.prepare(r)
			}
			begun := time.Now()
			_, got, err := do(t, tr, r)
			switch {
			case c.fails && (!isTimeout(err) || time.Since(begun) < short):
				t.Errorf("%q, %v after %s", got, err, time.Since(begun))
			case !c.fails && (err != nil || got != "ok"):
				t.Errorf("%q, %v", got, err)
			}
			if s.conns.Load() != 1 {
				t.Errorf("%d connections", s.conns.Load())
			}
		})
	}
}

func upload(body io.Reader, length int64) func(*http.Request) {
	return func(r *http.Request) { r.Method, r.Body, r.ContentLength = "PUT", io.NopCloser(body), length }
}

// The deadline of an earlier request stays at the socket, and ends nothing else.
func TestAnOldDeadlineEndsNothing(t *testing.T) {
	t.Parallel()
	const limit = 400 * time.Millisecond
	s := serve(t, func(p *peer) {
		p.head()
		p.say(ok)
		for p.head() != "" {
			time.Sleep(limit * 6 / 10)
			p.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsl")
			time.Sleep(limit * 15 / 10)
			p.say("ow")
		}
	})
	tr := newTransport(t)
	tr.ResponseHeaderTimeout = limit
	for range 4 {
		if got, err := get(t, tr, s.url()); err != nil || got != "ok" && got != "slow" {
			t.Fatalf("%q %v", got, err)
		}
	}
	if s.conns.Load() != 1 {
		t.Errorf("%d connections", s.conns.Load())
	}
	tr.ResponseHeaderTimeout = limit / 8
	begun := time.Now()
	if _, err := get(t, tr, s.url()); !isTimeout(err) || time.Since(begun) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
}

func TestABodyCanBeClosedWhileItIsRead(t *testing.T) {
	t.Parallel()
	s := serve(t, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		_, _ = io.Copy(io.Discard, p)
	})
	res, err := newTransport(t).RoundTrip(request(t, "GET", s.url(), nil))
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error)
	go func() {
		_, err := io.ReadAll(res.Body)
		read <- err
	}()
	res.Body.Close()
	if err := <-read; err == nil {
		t.Error("it is complete")
	}
	res.Body.Close()
}
