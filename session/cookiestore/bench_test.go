package cookiestore_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/sessiontest"
)

// benched gives a browser with other cookies around its session.
func benched(b *testing.B, g identity.TokenSet, now func() time.Time) (*cookiestore.Store, http.Header) {
	b.Helper()
	c := cookies(b, clocked(now), func(o *cookiestore.Options) { o.IdleTimeout = 10 * time.Hour })
	h := save(b, c, session.New(g, sessiontest.Noon, time.Hour), true)
	h["Cookie"][0] = "theme=dark; " + h["Cookie"][0] + "; argocd.sidebar=narrow"
	return c, h
}

func BenchmarkOpenASessionSeenBefore(b *testing.B) {
	for name, g := range map[string]identity.TokenSet{"one-piece": alice(20), "three-pieces": incompressible(sizes[2])} {
		b.Run(name, func(b *testing.B) {
			c, h := benched(b, g, at(sessiontest.Noon))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Open(b.Context(), h, true); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(h.Get("Cookie"))), "B/cookie")
		})
	}
}

func BenchmarkOpenASessionNeverSeen(b *testing.B) {
	c, h := benched(b, alice(20), at(sessiontest.Noon.Add(2*time.Hour))) // an expired session is decrypted, and not cached
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Open(b.Context(), h, true)
	}
}

func BenchmarkGiveNothingNew(b *testing.B) {
	c, h := benched(b, alice(20), at(sessiontest.Noon))
	s, err := c.Open(b.Context(), h, true)
	if err != nil {
		b.Fatal(err)
	}
	w := responseHeader{}
	b.ReportAllocs()
	for b.Loop() {
		c.WriteCookie(w, h, s, true)
	}
	if len(w) > 0 {
		b.Error("it gave something")
	}
}

func BenchmarkBeginASession(b *testing.B) {
	c, s := cookies(b), session.New(alice(20), sessiontest.Noon, time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Create(b.Context(), responseHeader{}, nil, s, true); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStrip(b *testing.B) {
	c, h := benched(b, alice(20), at(sessiontest.Noon))
	line := h["Cookie"]
	none := []string{"theme=dark; argocd.sidebar=narrow"}
	for name, sent := range map[string][]string{"in-the-middle": line, "nothing-to-strip": none} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h["Cookie"] = sent
				c.Strip(h)
			}
		})
	}
}

// responseHeader is a response that costs the benchmark nothing but its header.
type responseHeader http.Header

func (w responseHeader) Header() http.Header         { return http.Header(w) }
func (w responseHeader) Write(p []byte) (int, error) { return len(p), nil }
func (w responseHeader) WriteHeader(int)             {}
