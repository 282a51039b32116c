package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/coder/websocket"
)

// socketsEach is how many of the WebSockets one user opens: terminals and
// logs in a few tabs.
const socketsEach = 50

const openersAtOnce = 32

// countSockets opens idle WebSockets through each contender, sends one message
// to and fro on each, so that buffers were used, and tells what each costs.
func (s *scene) countSockets(ctx context.Context, n int, stdout io.Writer) error {
	if descriptors := raiseFileLimit(); uint64(2*n+100) > descriptors {
		return fmt.Errorf("%d WebSockets need %d descriptors in the proxy, and here are %d: raise ulimit -n", n, 2*n+100, descriptors)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "\tWebSockets\tRSS KiB each\theap KiB each\tstacks KiB each\tgoroutines each\tgoroutines afterwards\t")
	for _, c := range s.contenders {
		before, err := s.footprint(ctx, c)
		if err != nil {
			return err
		}
		sockets, err := s.openSockets(ctx, c, n)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w\n%s", c.name, err, c.process.Tail(5)), closeAll(sockets))
		}
		open, err := s.footprint(ctx, c)
		if err = errors.Join(err, closeAll(sockets)); err != nil {
			return err
		}
		each := func(after, before float64) float64 { return (after - before) / float64(n) }
		if c.admin == "" {
			_, _ = fmt.Fprintf(table, "%s\t%d\t%.1f\t\t\t\t\t\n", c.name, n, each(open.rss, before.rss))
			continue
		}
		left, err := s.settle(ctx, c, before.goroutines)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(table, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.2f\t%+.0f\t\n", c.name, n, each(open.rss, before.rss), each(open.heap, before.heap),
			each(open.stacks, before.stacks), each(open.goroutines, before.goroutines), left-before.goroutines)
	}
	return table.Flush()
}

func (s *scene) openSockets(ctx context.Context, c *contender, n int) (sockets []*websocket.Conn, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex // sockets
	var openers sync.WaitGroup
	for worker := range openersAtOnce {
		openers.Go(func() {
			for i := worker; i < n && ctx.Err() == nil; i += openersAtOnce {
				socket, err := s.openSocket(ctx, c, i)
				if err != nil {
					cancel(err)
				}
				if socket != nil {
					mu.Lock()
					sockets = append(sockets, socket)
					mu.Unlock()
				}
			}
		})
	}
	openers.Wait()
	return sockets, context.Cause(ctx)
}

func (s *scene) openSocket(ctx context.Context, c *contender, i int) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	h := http.Header{
		"Cookie": {s.cookies[i/socketsEach%len(s.cookies)]}, "Origin": {"https://" + host},
		"X-Forwarded-For": {"203.0.113.7"}, "X-Forwarded-Proto": {"https"},
	}
	socket, res, err := websocket.Dial(ctx, "ws://"+c.address+"/terminal", &websocket.DialOptions{HTTPHeader: h, Host: host})
	if err != nil {
		if res != nil && res.Body != nil {
			said, _ := io.ReadAll(res.Body) // as much as came
			return nil, fmt.Errorf("WebSocket %d: %w: %s", i, err, said)
		}
		return nil, fmt.Errorf("WebSocket %d: %w", i, err)
	}
	message := strings.Repeat("x", 200)
	if err := socket.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		return socket, fmt.Errorf("WebSocket %d: %w", i, err)
	}
	if _, got, err := socket.Read(ctx); err != nil || string(got) != message {
		return socket, fmt.Errorf("WebSocket %d does not echo: %w", i, err)
	}
	return socket, nil
}

func closeAll(sockets []*websocket.Conn) (err error) {
	for _, socket := range sockets {
		err = errors.Join(err, socket.CloseNow())
	}
	return err
}

// footprint is what a process holds; of authgate its own numbers as well.
type footprint struct{ rss, heap, stacks, goroutines float64 } // KiB, and a count

func (s *scene) footprint(ctx context.Context, c *contender) (footprint, error) {
	rss, err := residentKiB(c.process.ID())
	f := footprint{rss: float64(rss)}
	if err != nil || c.admin == "" {
		return f, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.admin+"/metrics", nil)
	if err != nil {
		return f, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return f, err
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		value, _ := strconv.ParseFloat(text, 64) // comments have none
		switch name {
		case "go_goroutines":
			f.goroutines = value
		case "go_memstats_heap_inuse_bytes":
			f.heap = value / 1024
		case "go_memstats_stack_inuse_bytes":
			f.stacks = value / 1024
		}
	}
	if f.goroutines == 0 {
		return f, fmt.Errorf("%s shows no go_goroutines in /metrics", c.name)
	}
	return f, nil
}

// settle waits for the goroutines of closed sockets to end, and tells how many
// there are then.
func (s *scene) settle(ctx context.Context, c *contender, before float64) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var left float64
	err := c.process.Await(ctx, func(ctx context.Context) error {
		f, err := s.footprint(ctx, c)
		if left = f.goroutines; err == nil && left > before+10 { // idle connections may go on for a while
			err = fmt.Errorf("%.0f goroutines, %.0f before", left, before)
		}
		return err
	})
	return left, err
}
