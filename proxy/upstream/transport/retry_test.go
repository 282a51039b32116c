package transport

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// closedLater is a connection that net/http has closed by the time that the next
// request is written to it.
type closedLater struct {
	net.Conn
	now *atomic.Bool
}

func (c closedLater) Write(b []byte) (int, error) {
	if c.now.Load() {
		c.Close()
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: net.ErrClosed}
	}
	return c.Conn.Write(b)
}

func TestARequestForAConnectionThatWasJustClosedTakesAnother(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(upstream.Close)
	for _, method := range []string{"POST", "PUT", "PATCH", "GET"} {
		var dials atomic.Int32
		var closed atomic.Bool
		rt := retryTransport{trackConns(&http.Transport{DialContext: func(ctx context.Context, network,
			address string,
		) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil && dials.Add(1) == 1 {
				conn = closedLater{conn, &closed}
			}
			return conn, err
		}})}
		t.Cleanup(rt.CloseIdleConnections)
		for _, body := range []string{"first", "second"} {
			r, err := http.NewRequestWithContext(t.Context(), method, upstream.URL, io.NopCloser(strings.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = int64(len(body))
			res, err := rt.RoundTrip(r)
			if err != nil {
				t.Errorf("%s, %s: %v", method, body, err)
				continue
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if string(got) != body || err != nil {
				t.Errorf("%s, %s: %q %v", method, body, got, err)
			}
			closed.Store(true)
		}
		if dials.Load() != 2 {
			t.Errorf("%s: %d connections", method, dials.Load())
		}
	}
}
