package session_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

// benched gives a browser with other cookies around its session.
func benched(b *testing.B, g identity.TokenSet, now func() time.Time) (*session.Cookies, http.Header) {
	b.Helper()
	c := cookies(b, clocked(now), func(o *session.CookieOptions) { o.IdleTimeout = 10 * time.Hour })
	h := save(b, c, session.New(g, noon, time.Hour), true)
	h["Cookie"][0] = "theme=dark; " + h["Cookie"][0] + "; argocd.sidebar=narrow"
	return c, h
}

func BenchmarkOpenASessionSeenBefore(b *testing.B) {
	for name, g := range map[string]identity.TokenSet{"one-piece": alice(20), "three-pieces": incompressible(sizes[2])} {
		b.Run(name, func(b *testing.B) {
			c, h := benched(b, g, at(noon))
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
	c, h := benched(b, alice(20), at(noon.Add(2*time.Hour))) // what is over is decrypted, and not remembered
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Open(b.Context(), h, true)
	}
}

func BenchmarkGiveNothingNew(b *testing.B) {
	c, h := benched(b, alice(20), at(noon))
	s, err := c.Open(b.Context(), h, true)
	if err != nil {
		b.Fatal(err)
	}
	w := browser{}
	b.ReportAllocs()
	for b.Loop() {
		c.WriteCookie(w, h, s, true)
	}
	if len(w) > 0 {
		b.Error("it gave something")
	}
}

func BenchmarkBeginASession(b *testing.B) {
	c, s := cookies(b), session.New(alice(20), noon, time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Create(b.Context(), browser{}, nil, s, true); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStrip(b *testing.B) {
	c, h := benched(b, alice(20), at(noon))
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
