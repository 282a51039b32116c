package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// An early response of a server that never reads the body.
func TestAnEarlyResponseArrivesDuringTheUpload(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	for name, response := range map[string]string{
		"length":     "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno",
		"chunks":     "HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
		"no body":    "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n",
		"no content": "HTTP/1.1 204 No Content\r\n\r\n",
		"close":      "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
		"until end":  "HTTP/1.0 413 Too Large\r\n\r\nno",
	} {
		for what, body := range map[string]func() io.Reader{
			"endless":           func() io.Reader { return endless{} },
			"waits":             func() io.Reader { return io.MultiReader(strings.NewReader("half"), waits{end}) },
			"has not yet begun": func() io.Reader { return waits{end} },
		} {
			for _, length := range []int64{-1, 1 << 40} {
				t.Run(fmt.Sprintf("%s, body %s, length %d", name, what, length), func(t *testing.T) {
					t.Parallel()
					closed := make(chan struct{}, 2)
					s := serve(t, func(p *peer) {
						p.head()
						p.say(response)
						if name == "until end" {
							_ = p.Conn.(*net.TCPConn).CloseWrite()
						}
						_, _ = io.Copy(io.Discard, p)
						closed <- struct{}{}
					})
					tr := newTransport(t)
					for range 2 {
						r := request(t, "POST", s.url(), body())
						r.ContentLength = length
						begun := time.Now()
						_, got, err := do(t, tr, r)
						if err != nil || got != "no" && got != "" || time.Since(begun) > 5*time.Second {
							t.Fatalf("%q, %v after %s", got, err, time.Since(begun))
						}
						within(t, "the connection is closed", closed)
					}
					if s.conns.Load() != 2 {
						t.Errorf("%d connections", s.conns.Load())
					}
				})
			}
		}
	}
}

func TestRequestAndResponseStreamAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := serve(t, func(p *peer) {
		for p.head() != "" {
			p.say(chunkedHead)
			for {
				line, err := p.ReadString('\n') // the size of a chunk
				if err != nil {
					return
				}
				var size int
				_, _ = fmt.Sscanf(line, "%x", &size)
				data := make([]byte, size+2)
				_, _ = io.ReadFull(p, data)
				p.say(line + string(data))
				if size == 0 {
					break
				}
			}
		}
	})
	tr := newTransport(t)
	for range 3 {
		from, to := io.Pipe()
		r := request(t, "POST", s.url(), from)
		res, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			word := strings.Repeat("x", i*1000+1)
			go func() { _, _ = io.WriteString(to, word) }()
			got := make([]byte, len(word))
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != word {
				t.Fatalf("%q %v", got, err)
			}
		}
		to.Close()
		if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
			t.Errorf("%q %v", rest, err)
		}
		res.Body.Close()
	}
	if s.conns.Load() != 1 {
		t.Errorf("%d connections", s.conns.Load())
	}
}

// The server reads the beginning of a large body, answers and closes: the response counts, not
// that the rest could not be written.
func TestAResponseIsPreferredOverAFailureToWrite(t *testing.T) {
	t.Parallel()
	s := serve(t, func(p *peer) {
		p.head()
		_, _ = p.Discard(1000)
		p.say("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
	})
	tr := newTransport(t)
	for range 100 {
		r := request(t, "POST", s.url(), io.LimitReader(endless{}, 3<<20))
		r.ContentLength = 3 << 20
		if res, got, err := do(t, tr, r); err != nil || got != "no" || res.StatusCode != 413 {
			t.Fatalf("%q %v", got, err)
		}
	}
}

func TestASmallBodyIsSentTogetherWithItsHeader(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{5, -1} {
		var writes atomic.Int32
		tr := newTransport(t)
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return writeCounter{conn, &writes}, err
		}
		s := serve(t, func(p *peer) {
			for {
				in, err := http.ReadRequest(p.Reader)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, in.Body)
				p.say(ok)
			}
		})
		for range 3 {
			r := request(t, "POST", s.url(), &atOnce{strings.NewReader("hello")})
			r.ContentLength = length
			if _, _, err := do(t, tr, r); err != nil {
				t.Fatal(err)
			}
		}
		if writes.Load() > 4 { // the goroutine that reads the body may be late
			t.Errorf("length %d: %d writes", length, writes.Load())
		}
	}
}

// atOnce gives its end together with its last bytes.
type atOnce struct{ from *strings.Reader }

func (a *atOnce) Read(b []byte) (int, error) {
	n, _ := a.from.Read(b)
	if a.from.Len() == 0 {
		return n, io.EOF
	}
	return n, nil
}

type writeCounter struct {
	net.Conn
	writes *atomic.Int32
}

func (c writeCounter) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

func TestInterimResponses(t *testing.T) {
	t.Parallel()
	s := serve(t, always("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"+ok))
	tr := newTransport(t)
	for _, hooked := range []bool{true, false} {
		var got []string
		ctx := t.Context()
		if hooked {
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				got = append(got, fmt.Sprint(code, h["Link"]))
				return nil
			}})
		}
		res, b, err := do(t, tr, request(t, "GET", s.url(), nil).WithContext(ctx))
		if err != nil || b != "ok" || res.Header.Get("Link") != "" {
			t.Errorf("%q %v", b, err)
		}
		if hooked && strings.Join(got, " ") != "102 [] 103 [</a> </b>] 100 []" {
			t.Errorf("%q", got)
		}
	}
	failed := errors.New("no more of them")
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { return failed }})
	if _, _, err := do(t, tr, request(t, "GET", s.url(), nil).WithContext(ctx)); !errors.Is(err, failed) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { cancel(failed); return nil }})
	if _, _, err := do(t, tr, request(t, "GET", s.url(), nil).WithContext(ctx)); !errors.Is(err, failed) {
		t.Error(err)
	}
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		play    func(t *testing.T, p *peer)
		timeout time.Duration
		status  int
		asked   bool // the body is read
		conns   int32
	}{
		"continue": {func(t *testing.T, p *peer) {
			p.say("HTTP/1.1 100 Continue\r\n\r\n")
			p.take(t, "hello")
			p.say(ok)
		}, time.Minute, 200, true, 1},
		"interim first": {func(t *testing.T, p *peer) {
			p.say("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
			p.take(t, "hello")
			p.say(ok)
		}, time.Minute, 200, true, 1},
		"silence": {func(t *testing.T, p *peer) { p.take(t, "hello"); p.say(ok) }, 20 * time.Millisecond, 200, true, 1},
		"late": {func(t *testing.T, p *peer) {
			p.take(t, "hello")
			p.say("HTTP/1.1 100 Continue\r\n\r\n" + ok)
		}, 20 * time.Millisecond, 200, true, 1},
		"declined":       {func(_ *testing.T, p *peer) { p.say("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n") }, time.Minute, 417, false, 2},
		"declined, body": {func(_ *testing.T, p *peer) { p.say("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno") }, time.Minute, 413, false, 2},
		"declined, close": {func(_ *testing.T, p *peer) {
			p.say("HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
		}, time.Minute, 413, false, 2},
		"no waiting": {func(t *testing.T, p *peer) { p.take(t, "hello"); p.say(ok) }, 0, 200, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(p *peer) {
				for head := p.head(); head != ""; head = p.head() {
					if !strings.Contains(head, "\r\nExpect: 100-continue\r\n") {
						t.Errorf("%q", head)
					}
					c.play(t, p)
				}
			})
			tr := newTransport(t)
			tr.ExpectContinueTimeout = c.timeout
			for range 2 {
				var asked atomic.Bool
				closed := newCloses(io.MultiReader(readerFunc(func([]byte) (int, error) { asked.Store(true); return 0, io.EOF }), strings.NewReader("hello")))
				r := request(t, "POST", s.url(), nil)
				r.Body, r.ContentLength = closed, 5
				r.Header.Set("Expect", "100-continue")
				res, _, err := do(t, tr, r)
				if err != nil || res.StatusCode != c.status || asked.Load() != c.asked {
					t.Fatalf("%v %v, the body was read: %v", res, err, asked.Load())
				}
				within(t, "the body is closed", closed.closed)
			}
			if s.conns.Load() != c.conns {
				t.Errorf("%d connections", s.conns.Load())
			}
		})
	}
}

func (p *peer) take(t *testing.T, want string) {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(p, got); err != nil || string(got) != want {
		t.Errorf("%q %v, want %q", got, err, want)
	}
}

func TestTheHeaderDoesNotWaitForASlowBody(t *testing.T) {
	t.Parallel()
	from, to := io.Pipe()
	s := serve(t, func(p *peer) {
		if p.head() != "" {
			go func() { _, _ = io.WriteString(to, "hello"); to.Close() }()
		}
		p.take(t, "hello")
		p.say(ok)
	})
	r := request(t, "POST", s.url(), from)
	r.ContentLength = 5
	if _, _, err := do(t, newTransport(t), r); err != nil {
		t.Error(err)
	}
}

func TestLargeBodiesBothWays(t *testing.T) {
	t.Parallel()
	payload := make([]byte, 5<<20)
	for i := range payload {
		payload[i] = byte(i * 7 >> 3)
	}
	for _, scheme := range []string{"http", "https"} {
		s, tr := echo(t, scheme)
		for _, length := range []int64{int64(len(payload)), -1} {
			r := request(t, "PUT", s, onlyReader{bytes.NewReader(payload)})
			r.ContentLength = length
			if _, got, err := do(t, tr, r); err != nil || got != string(payload) {
				t.Errorf("%s, %d: %d bytes, %v", scheme, length, len(got), err)
			}
		}
	}
}

func upgradeRequest(t *testing.T, url string) *http.Request {
	r := request(t, "GET", url, nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	return r
}

func TestUpgrades(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	s := serve(t, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nwelcome")
		_, _ = io.Copy(p.Conn, p)
		_ = p.Conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, p)
		ended <- struct{}{}
	})
	tr := newTransport(t)
	tr.ResponseHeaderTimeout = 50 * time.Millisecond // does not apply to the tunnel
	ctx, cancel := context.WithCancel(t.Context())
	res, err := tr.RoundTrip(upgradeRequest(t, s.url()).WithContext(ctx))
	if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "echo" {
		t.Fatalf("%v %v", res, err)
	}
	cancel() // the tunnel is the caller's
	tunnel, isTunnel := res.Body.(io.ReadWriteCloser)
	if !isTunnel {
		t.Fatalf("%T", res.Body)
	}
	time.Sleep(2 * tr.ResponseHeaderTimeout)
	in := bufio.NewReader(tunnel)
	for _, word := range []string{"one", "two", strings.Repeat("x", 10_000)} {
		if _, err := io.WriteString(tunnel, word); err != nil {
			t.Fatal(err)
		}
		want := word
		if word == "one" {
			want = "welcomeone"
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
			t.Fatalf("%q %v", got, err)
		}
	}
	if err := tunnel.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
	tunnel.Close()
	within(t, "the connection is closed", ended)
}

func TestAnUpgradeMayBeRefused(t *testing.T) {
	t.Parallel()
	s, tr := serve(t, always("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno")), newTransport(t)
	for range 3 {
		if res, got, err := do(t, tr, upgradeRequest(t, s.url())); err != nil || res.StatusCode != 426 || got != "no" {
			t.Errorf("%q %v", got, err)
		}
	}
	if s.conns.Load() != 1 {
		t.Errorf("%d connections", s.conns.Load())
	}
}
