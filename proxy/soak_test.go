package proxy_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	soakClients = 30 // at a time, each of which does everything that is in soakers
	soakRounds  = 6
)

// soakers are ways to be a burden. Each opens a connection, and leaves it to the
// end of the client, who drops it without a word.
var soakers = map[string]func(c *soakClient){
	"a host that does not exist": func(c *soakClient) {
		c.ask("GET /"+rand.Text()+" HTTP/1.1\r\nHost: "+rand.Text()+".example.com\r\n\r\n", 421)
	},
	"a login that is never finished": func(c *soakClient) {
		c.ask("GET /oauth2/start?rd=/"+rand.Text()+" HTTP/1.1\r\nHost: argo-cd.example.com\r\n\r\n", 302)
	},
	"a callback without a login": func(c *soakClient) {
		c.ask("GET /oauth2/callback?code=x&state="+rand.Text()+" HTTP/1.1\r\nHost: argo-cd.example.com\r\n\r\n", 400)
	},
	"a forged cookie": func(c *soakClient) {
		c.ask("GET / HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nCookie: __Host-authgate="+strings.Repeat(rand.Text(), 100)+"\r\n\r\n", 401)
	},
	"an address of one's own choice": func(c *soakClient) {
		c.ask("GET /"+rand.Text()+" HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-For: 198.51.100."+fmt.Sprint(c.number)+"\r\n\r\n", 401)
	},
	"a body that never comes": func(c *soakClient) {
		c.ask("POST /x HTTP/1.1\r\nHost: argo-cd.example.com\r\nContent-Length: 1000\r\n\r\n", 401)
	},
	"half a header": func(c *soakClient) { c.say("GET / HTTP/1.1\r\nHost: argo-") },
	"a header of many lines": func(c *soakClient) {
		c.ask("GET /api/dex/auth HTTP/1.1\r\nHost: argo-cd.example.com\r\n"+strings.Repeat("X-A: b\r\n", 150)+"\r\n", 200)
	},
	"a method of one's own": func(c *soakClient) {
		c.ask(strings.ToUpper(rand.Text()[:12])+" /api/dex/auth HTTP/1.1\r\nHost: argo-cd.example.com\r\n\r\n", 0)
	},
	"an upstream's odd status": func(c *soakClient) {
		c.ask(fmt.Sprintf("GET /api/dex/status/%d HTTP/1.1\r\nHost: argo-cd.example.com\r\n\r\n", 600+c.number), 600+c.number)
	},
	"a download that is left": func(c *soakClient) {
		c.ask("GET /api/dex/large HTTP/1.1\r\nHost: argo-cd.example.com\r\n\r\n", 200)
	},
	"events that are left":     func(c *soakClient) { c.ask(c.mine("GET /events"), 200) },
	"a terminal that is left":  func(c *soakClient) { c.ask(c.upgrade("/ws"), 101) },
	"an upgrade that is not":   func(c *soakClient) { c.ask(c.upgrade("/refused"), 403) },
	"an upgrade of one's own":  func(c *soakClient) { c.ask(c.upgrade("/other"), 502) },
	"an upload that is broken": func(c *soakClient) { c.say(c.mine("POST /upload", "Transfer-Encoding: chunked") + "5\r\nhello\r\n") },
}

// soakClient is one who does each of them, one after the other.
type soakClient struct {
	t       *testing.T
	address string
	number  int
	cookie  string
	conns   []net.Conn
}

// TestNothingGrowsWhateverClientsDo has many of them at it, round after round,
// and then looks at what is left of them: goroutines, memory and metric series.
func TestNothingGrowsWhateverClientsDo(t *testing.T) {
	g := newGate(t, http.HandlerFunc(serveSoak))
	cookie := g.as("alice")
	var settled soakCount
	for round := range soakRounds {
		var clients sync.WaitGroup
		for n := range soakClients {
			clients.Go(func() {
				c := &soakClient{t: t, address: g.address, number: n, cookie: cookie[0] + ": " + cookie[1]}
				defer c.leave()
				for _, burden := range soakers {
					burden(c)
				}
			})
		}
		clients.Wait()
		if t.Failed() {
			return
		}
		now := g.count(settled.goroutines)
		t.Logf("after round %d: %d goroutines, %d KiB, %d series", round, now.goroutines, now.heap>>10, now.series)
		if round < 2 { // pools and caches fill
			settled = now
			continue
		}
		if now.goroutines > settled.goroutines+soakClients {
			t.Errorf("%d goroutines after round %d, %d after the second", now.goroutines, round, settled.goroutines)
		}
		if now.heap > settled.heap+2<<20 {
			t.Errorf("%d KiB of heap after round %d, %d after the second", now.heap>>10, round, settled.heap>>10)
		}
		if now.series > settled.series+5 { // a status that came late, but not one for each host, path or method
			t.Errorf("%d metric series after round %d, %d after the second", now.series, round, settled.series)
		}
	}
}

type soakCount struct {
	goroutines, series int
	heap               uint64
}

// count waits until as many goroutines as before are left, or no more go, and
// counts what is there.
func (g *gate) count(before int) soakCount {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for last, still := 0, 0; runtime.NumGoroutine() > before && still < 20 && ctx.Err() == nil; <-tick.C {
		if now := runtime.NumGoroutine(); now != last {
			last, still = now, 0
		}
		still++
	}
	g.audit.Reset()
	g.log.Reset()
	runtime.GC()
	runtime.GC() // the second empties the pools
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	families, err := g.registry.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	count := soakCount{goroutines: runtime.NumGoroutine(), heap: memory.HeapAlloc}
	for _, f := range families {
		count.series += len(f.GetMetric())
	}
	return count
}

// mine is the head of a request of a user who is signed in.
func (c *soakClient) mine(line string, headers ...string) string {
	return line + " HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nSec-Fetch-Site: same-origin\r\n" +
		strings.Join(append(headers, c.cookie), "\r\n") + "\r\n\r\n"
}

func (c *soakClient) upgrade(path string) string {
	return c.mine("GET "+path, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==")
}

func (c *soakClient) say(request string) net.Conn {
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		c.t.Error(err)
		return nil
	}
	c.conns = append(c.conns, conn)
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		c.t.Error(err)
	}
	return conn
}

// ask reads the head of the answer and no more. Status 0 is any.
func (c *soakClient) ask(request string, status int) {
	conn := c.say(request)
	if conn == nil {
		return
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	switch {
	case err != nil:
		c.t.Errorf("no answer to %.60q: %v", request, err)
	case status != 0 && res.StatusCode != status:
		c.t.Errorf("%.60q: status %d, want %d", request, res.StatusCode, status)
	}
}

func (c *soakClient) leave() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// serveSoak is a dashboard with something for each of them.
func serveSoak(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/dex/status/"):
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/api/dex/status/%d", &status)
		w.WriteHeader(status)
	case r.URL.Path == "/api/dex/large":
		_, _ = io.CopyN(w, zeroes{}, 64<<20)
	case r.URL.Path == "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case r.URL.Path == "/ws", r.URL.Path == "/other":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		protocol := map[string]string{"/ws": "websocket", "/other": "h2c"}[r.URL.Path]
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	case r.URL.Path == "/refused":
		w.WriteHeader(http.StatusForbidden)
	default:
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }
