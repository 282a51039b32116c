package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/example-org/authgate/proxy/upstream/http1"
)

const (
	soakWorkers  = 16
	soakRequests = 150 // each
)

// TestEveryRequestEndsWhateverTheServerDoes has a server that cuts, stalls and talks garbage at
// any byte. Every request ends with its own response or an error, and nothing is left over.
func TestEveryRequestEndsWhateverTheServerDoes(t *testing.T) { // not parallel: it counts goroutines
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)
	var conns sync.WaitGroup
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns.Go(func() {
		for seed := uint64(1); ; seed++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
				p := &faulty{peer: &peer{Conn: conn, Reader: bufio.NewReader(conn)}, random: rand.New(rand.NewPCG(seed, 0))}
				for p.respond() {
				}
			})
		}
	})
	tr := &http1.Transport{
		MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Second, ResponseHeaderTimeout: 50 * time.Millisecond,
		ExpectContinueTimeout: 10 * time.Millisecond,
	}
	var counts [4]atomic.Int32
	var workers sync.WaitGroup
	for w := range soakWorkers {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for n := range soakRequests {
				counts[soakRequest(t, tr, "http://"+l.Addr().String(), fmt.Sprintf("%d-%d", w, n), random)].Add(1)
			}
		})
	}
	workers.Wait()
	t.Logf("%d complete, %d refused, %d cut, %d timeouts", counts[0].Load(), counts[1].Load(), counts[2].Load(), counts[3].Load())
	for i := range counts {
		if counts[i].Load() == 0 {
			t.Errorf("no request ended in way %d", i)
		}
	}
	tr.CloseIdleConnections()
	l.Close()
	conns.Wait()
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "no descriptor is left", func() bool { return openDescriptors(t) <= descriptors })
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // not Linux
	}
	return len(all)
}

// faulty is a server's end of a connection.
type faulty struct {
	*peer
	random *rand.Rand
}

// respond answers one request, perhaps. The body repeats the id and what it has of the request.
func (p *faulty) respond() bool {
	in, err := http.ReadRequest(p.Reader)
	if err != nil {
		return false
	}
	if p.random.IntN(20) == 0 {
		return false
	}
	if p.random.IntN(20) == 0 { // before the body
		p.say("HTTP/1.1 413 Too Large\r\nX-Id: " + in.Header.Get("X-Id") + "\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, p)
		return false
	}
	if in.Header.Get("Expect") != "" && p.random.IntN(2) == 0 {
		p.say("HTTP/1.1 100 Continue\r\n\r\n")
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, in.Body); err != nil {
		return false
	}
	id := in.Header.Get("X-Id")
	body := id + strings.Repeat(fmt.Sprintf(" %x", sum.Sum(nil)), 1+p.random.IntN(200))
	head := "HTTP/1.1 200 OK\r\nX-Id: " + id + "\r\n"
	var response string
	last := false
	switch p.random.IntN(4) {
	case 0:
		response = "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	case 1:
		half := p.random.IntN(len(body)-1) + 1
		response = head + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x;a=b\r\n%s\r\n0\r\nX-Trailer: yes\r\n\r\n", half, body[:half], len(body)-half, body[half:])
	case 2:
		response = head + fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		last = true
	default:
		response = head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	if in.Method == "HEAD" {
		response = head + "Content-Length: 10\r\n\r\n"
	}
	at := p.random.IntN(len(response) + 1)
	switch p.random.IntN(10) {
	case 0: // cut
		p.say(response[:at])
		if p.random.IntN(2) == 0 {
			_ = p.Conn.(*net.TCPConn).SetLinger(0)
		}
		return false
	case 1: // stall
		p.say(response[:at])
		_, _ = io.Copy(io.Discard, p)
		return false
	case 2: // garbage in the header or in the framing
		if headEnd := strings.Index(response, "\r\n\r\n"); headEnd > 0 {
			at = p.random.IntN(headEnd)
		}
		garbage := make([]byte, 1+p.random.IntN(20))
		for i := range garbage {
			garbage[i] = byte(p.random.IntN(32)) // so that no other response comes of it
		}
		p.say(response[:at] + string(garbage) + response[at:])
		_, _ = io.Copy(io.Discard, p)
		return false
	case 3: // surplus
		p.say(response + "HTTP/1.1 200 OK\r\nX-Id: evil\r\nContent-Length: 4\r\n\r\nevil")
	case 4: // in pieces
		p.say(response[:at])
		runtime.Gosched()
		p.say(response[at:])
	default:
		p.say(response)
	}
	return !last
}

// soakRequest returns how the request ended: 0 complete, 1 refused, 2 cut, 3 timeout.
func soakRequest(t *testing.T, tr *http1.Transport, url, id string, random *rand.Rand) int {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	method := []string{"GET", "GET", "HEAD", "POST", "PUT", "PUT"}[random.IntN(6)]
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	r.Header.Set("X-Id", id)
	var payload []byte
	if method == "POST" || method == "PUT" {
		payload = bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(2)*random.IntN(200_000))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(payload)), int64(len(payload))
		if random.IntN(2) == 0 {
			r.ContentLength = -1
		}
		if random.IntN(4) == 0 {
			r.Header.Set("Expect", "100-continue")
		}
	}
	res, err := tr.RoundTrip(r)
	var got []byte
	if err == nil {
		if res.Header.Get("X-Id") != id {
			t.Errorf("request %s got the response of %q", id, res.Header.Get("X-Id"))
		}
		if random.IntN(20) > 0 {
			got, err = io.ReadAll(res.Body)
		}
		res.Body.Close()
	}
	var broken http1.ProtocolError
	switch {
	case err == nil:
		want := fmt.Sprintf(" %x", sha256.Sum256(payload))
		if rest, found := strings.CutPrefix(string(got), id); len(got) > 0 && (!found || strings.ReplaceAll(rest, want, "") != "") {
			t.Errorf("request %s of %d bytes got %.200q", id, len(payload), got)
		}
		return 0
	case errors.As(err, &broken):
		return 1
	case isTimeout(err):
		return 3
	default:
		return 2
	}
}
