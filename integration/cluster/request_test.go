//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/visitor"
)

func request(t *testing.T, client *http.Client, address string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close() // only read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// load is users who make requests all the time.
type load struct {
	stop  context.CancelFunc
	users sync.WaitGroup

	mu     sync.Mutex
	count  int
	failed []string
}

// pause is between two requests of a user.
const pause = 15 * time.Millisecond

// startLoad has users make requests: half of them on connections that are kept, half on
// one for each request. A POST is not repeated by Go's client where a connection ends.
func startLoad(t *testing.T, address string, users int) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop}
	for i := range users {
		v := arrive(t, "alice")
		see(t, v, address, http.StatusOK, "alice")
		ask := func() (visitor.Answer, error) { return v.Fetch(ctx, http.MethodPost, address, "{}") }
		if i%2 == 1 {
			cookies, err := v.Cookies(address)
			if err != nil {
				t.Fatal(err)
			}
			header := ""
			for _, c := range cookies {
				header += c.Name + "=" + c.Value + "; "
			}
			ask = func() (visitor.Answer, error) { return visitor.Curl(ctx, http.MethodGet, address, "Cookie", header) }
		}
		l.users.Go(func() { l.repeat(ctx, ask) })
	}
	return l
}

func (l *load) repeat(ctx context.Context, ask func() (visitor.Answer, error)) {
	for ctx.Err() == nil {
		began := time.Now()
		a, err := ask()
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		l.count++
		if err != nil || a.Status != http.StatusOK {
			l.failed = append(l.failed, fmt.Sprintf("%s: %v %d %.200s", began.Format("15:04:05.000"), err, a.Status, a.Body))
		}
		l.mu.Unlock()
		time.Sleep(pause) // the rate of a user
	}
}

// end stops the users, and fails the test where a request of theirs has failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.users.Wait()
	t.Logf("%d requests, %d of them failed", l.count, len(l.failed))
	for i, f := range l.failed {
		if t.Errorf("a request failed at %s", f); i == 10 {
			break
		}
	}
	if l.count < 50 {
		t.Errorf("%d requests are too few to say anything", l.count)
	}
}
