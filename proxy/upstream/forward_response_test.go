package upstream

import (
	"io"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// piecewise is a response body that arrives in pieces, each after a while.
type piecewise struct {
	pieces []string
	after  time.Duration
	failed error
}

func (p *piecewise) Read(to []byte) (int, error) {
	time.Sleep(p.after)
	switch {
	case len(p.pieces) > 0:
		n := copy(to, p.pieces[0])
		p.pieces = p.pieces[1:]
		if len(p.pieces) == 0 && p.failed == nil {
			return n, io.EOF
		}
		return n, nil
	default:
		return 0, p.failed
	}
}

func (*piecewise) Close() error { return nil }

// flushes records when a response was sent, and how much of it.
type flushes struct {
	http.ResponseWriter
	begun   time.Time
	written int
	sent    []string
}

func (f *flushes) Header() http.Header         { return http.Header{} }
func (f *flushes) WriteHeader(int)             {}
func (f *flushes) Write(b []byte) (int, error) { f.written += len(b); return len(b), nil }

func (f *flushes) FlushError() error {
	f.sent = append(f.sent, time.Since(f.begun).String()+" "+time.Duration(f.written).String())
	return nil
}

type noFinal struct{ Exchange }

func (noFinal) FinalizeHeader(int, http.Header) bool { return false }

func TestAResponseOfUnknownLengthIsSentAsItArrives(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body  piecewise
		want  []string // after how long, and how many bytes (as nanoseconds)
		fails bool
	}{
		"a short one that is complete is sent with its end":  {body: piecewise{pieces: []string{"abc"}}},
		"each piece when it arrives, the header before them": {body: piecewise{pieces: []string{"a", "b"}, after: time.Second}, want: []string{"1ms 0s", "1s 1ns"}},
		"no more after the end":                              {body: piecewise{pieces: []string{"a"}, failed: io.EOF}, want: []string{"0s 1ns"}},
		"what came before it broke off":                      {body: piecewise{pieces: []string{"a"}, failed: io.ErrUnexpectedEOF}, want: []string{"0s 1ns"}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &flushes{begun: time.Now()}
				f := forwardingTo(t, w)
				err := f.copyBody(&http.Response{ContentLength: -1, Body: &test.body})
				if (err != nil) != test.fails || len(w.sent) != len(test.want) {
					t.Fatalf("%v, sent at %q, want %q", err, w.sent, test.want)
				}
				for i := range test.want {
					if w.sent[i] != test.want[i] {
						t.Errorf("sent at %q, want %q", w.sent, test.want)
					}
				}
				time.Sleep(time.Minute)
				if len(w.sent) != len(test.want) {
					t.Errorf("flushed after the end: %q", w.sent)
				}
			})
		})
	}
}

func forwardingTo(t *testing.T, w http.ResponseWriter) *forwarding {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://argo-cd.example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	recorder := MakeRecorder(w, r, "", nil, noFinal{})
	f := &forwarding{Forwarder: &Forwarder{}, Request: Request{Recorder: &recorder, Upstream: testUpstream()}, ctx: t.Context()}
	f.R = r
	return f
}

func testUpstream() *Upstream {
	return New(Options{Name: "argocd", Log: slog.New(slog.DiscardHandler)}, 0)
}

// What an upstream sends a large download in is not what it is copied in.
func TestALargeBodyIsCopiedWhole(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{smallBuffer, smallBuffer + 1, largeBuffer + 1, 3*largeBody + 7} {
		for _, length := range []int64{size, -1} {
			w := &flushes{}
			res := &http.Response{ContentLength: length, Body: io.NopCloser(io.LimitReader(zeros{}, size))}
			if err := forwardingTo(t, w).copyBody(res); err != nil || int64(w.written) != size {
				t.Errorf("%d bytes with the length %d: %d arrived, %v", size, length, w.written, err)
			}
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
