package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// http2Round is a round by clients of HTTP/2, which wrk does not know: as many requests at a time as
// wrk has connections, over four connections.
func http2Round(ctx context.Context, c *contender, l load, length time.Duration) (sample, error) {
	before, err := c.cpu()
	if err != nil {
		return sample{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	begun := time.Now()
	var mu sync.Mutex // took, failed
	var took []time.Duration
	var failed error
	var clients sync.WaitGroup
	for range 4 {
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // a proxy of the bench
			ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1, DisableCompression: true,
		}
		defer transport.CloseIdleConnections()
		for worker := range caseLoad / 4 {
			clients.Go(func() {
				mine, err := askUntil(ctx, transport, l, c, worker)
				mu.Lock()
				defer mu.Unlock()
				took = append(took, mine...)
				failed = errors.Join(failed, err)
			})
		}
	}
	clients.Wait()
	elapsed := time.Since(begun)
	if failed != nil || len(took) == 0 {
		return sample{}, fmt.Errorf("%s: %d answers, then %w\n%s", c.name, len(took), failed, c.process.Tail(5))
	}
	after, err := c.cpu()
	slices.Sort(took)
	return sample{
		contender: c.name, connections: caseLoad,
		perSecond: float64(len(took)) / elapsed.Seconds(), cpu: (after - before) / float64(len(took)),
		p50: float64(took[len(took)/2].Microseconds()), p99: float64(took[len(took)*99/100].Microseconds()),
	}, err
}

// askUntil asks again and again until ctx ends.
func askUntil(ctx context.Context, by http.RoundTripper, l load, c *contender, worker int) (took []time.Duration, err error) {
	for turn := worker; ; turn++ {
		begun := time.Now()
		_, err := ask(ctx, by, l, c, http.MethodGet, turn, nil, 0)
		if ctx.Err() != nil {
			return took, nil
		}
		if err != nil {
			return took, err
		}
		took = append(took, time.Since(begun))
	}
}

// ask sends one request, and gives the bytes of its response.
func ask(
	ctx context.Context, by http.RoundTripper, l load, c *contender, method string, turn int, body io.Reader, size int64,
) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, method, l.url(c), body)
	if err != nil {
		return 0, err
	}
	req.Header, req.Host, req.ContentLength = l.header(), l.host, size
	if len(l.cookies) > 0 {
		req.Header.Set("Cookie", l.cookies[turn%len(l.cookies)])
	}
	res, err := by.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return n, err
}

// measureTransfers measures one large download and one large upload at a time.
func (s *scene) measureTransfers(ctx context.Context, o options, progress io.Writer) (rows []caseRow, err error) {
	mebibytes := 1024
	if o.check || o.length < 2*time.Second {
		mebibytes = 16
	}
	last := s.cases[len(s.cases)-1].contenders // authgate is the last of every case, tuned the first
	contenders := []*contender{last[0], last[len(last)-1]}
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		name := fmt.Sprintf("download of %d MiB", mebibytes)
		if method == http.MethodPut {
			name = fmt.Sprintf("upload of %d MiB", mebibytes)
		}
		speeds := make([][]float64, len(contenders))
		for round := range min(o.rounds, 3) {
			for i, c := range contenders {
				_, _ = fmt.Fprintf(progress, "\r%s, round %d: %-30s", name, round+1, c.name)
				speed, err := s.transfer(ctx, c, method, mebibytes)
				if err != nil {
					return nil, fmt.Errorf("%s by %s: %w", name, c.name, err)
				}
				speeds[i] = append(speeds[i], speed)
			}
		}
		for i, c := range contenders {
			mine := speeds[i]
			rows = append(rows, caseRow{
				Case: name, Name: c.name, Unit: "MiB/s",
				PerSecond: median(len(mine), func(i int) float64 { return mine[i] }),
				ToTuned:   median(len(mine), func(i int) float64 { return mine[i] / speeds[0][i] }),
			})
		}
	}
	return rows, nil
}

// transfer gives the MiB/s of one transfer.
func (s *scene) transfer(ctx context.Context, c *contender, method string, mebibytes int) (float64, error) {
	l := s.plain()
	size := int64(mebibytes) << 20
	var body io.Reader
	sent, want := int64(0), int64(1<<10)
	if method == http.MethodPut {
		body, sent = io.LimitReader(zeros{}, size), size
	} else {
		l.path, want = fmt.Sprint(downloadPath, mebibytes), size
	}
	transport := &http.Transport{DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10}
	defer transport.CloseIdleConnections()
	begun := time.Now()
	got, err := ask(ctx, transport, l, c, method, 0, body, sent)
	if err == nil && got != want {
		err = fmt.Errorf("%d bytes came, %d were expected", got, want)
	}
	return float64(mebibytes) / time.Since(begun).Seconds(), err
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
