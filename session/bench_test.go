package session_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/session"
)

func benched(b *testing.B, now func() time.Time) (*session.Cookies, http.Header) {
	b.Helper()
	k, err := session.ParseKeys(session.NewKey())
	if err != nil {
		b.Fatal(err)
	}
	c, err := session.NewCookies(k, "authgate", "", now)
	if err != nil {
		b.Fatal(err)
	}
	w := header{}
	if err := c.Save(w, session.Begin(alice(20), noon, time.Hour), true); err != nil {
		b.Fatal(err)
	}
	sealed, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return c, http.Header{"Cookie": {"theme=dark; " + sealed + "; argocd.sidebar=narrow"}}
}

// header is the least that a cookie is saved to.
type header http.Header

func (h header) Header() http.Header         { return http.Header(h) }
func (h header) Write(b []byte) (int, error) { return len(b), nil }
func (h header) WriteHeader(int)             {}

func BenchmarkOpenASessionSeenBefore(b *testing.B) {
	c, h := benched(b, at(noon))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Open(h, true); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(h.Get("Cookie"))), "B/cookie")
}

func BenchmarkOpenASessionNeverSeen(b *testing.B) {
	c, h := benched(b, at(noon.Add(2*time.Hour))) // what is over is decrypted, and not remembered
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Open(h, true)
	}
}

func BenchmarkStrip(b *testing.B) {
	c, h := benched(b, at(noon))
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
