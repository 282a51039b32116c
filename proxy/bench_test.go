package proxy_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/policy"
)

// BenchmarkDecide is step 4 for a user who is signed in, with a candidate
// policy. x-alone is what that costs over the same without one, an
// operation is 200 decisions of either.
func BenchmarkDecide(b *testing.B) {
	run := func(name string, rows int, candidate *policy.Snapshot) {
		b.Run(name, func(b *testing.B) {
			plain, shadowed := newGate(b, nil), newGate(b, nil)
			plain.SetPolicy(manyRows(b, rows))
			shadowed.SetPolicy(manyRows(b, rows))
			shadowed.SetShadow(candidate)
			without, with := deciding(b, plain), deciding(b, shadowed)
			b.ReportAllocs()
			var alone, ratios []float64 // by turns, and the median: other work on the machine hits both
			for b.Loop() {
				one, two := timed(without), timed(with)
				alone, ratios = append(alone, one), append(ratios, two/one)
			}
			slices.Sort(alone)
			slices.Sort(ratios)
			b.ReportMetric(alone[len(alone)/2], "ns-alone")
			b.ReportMetric(ratios[len(ratios)/2], "x-alone")
		})
	}
	for _, rows := range []int{10, 1_000, 10_000} {
		run(fmt.Sprintf("rows=%d", rows), rows, manyRows(b, rows+1))
	}
	run("rows=10000/candidate-differs", 10_000, load(b, "p, role:unused, *, /**, *, allow\ng, example-org:argo, role:unused\n"))
}

// timed gives the nanoseconds that one of many calls takes.
func timed(decide func() bool) float64 {
	const calls = 200
	begun := time.Now()
	for range calls {
		decide()
	}
	return float64(time.Since(begun).Nanoseconds()) / calls
}

func manyRows(tb testing.TB, rows int) *policy.Snapshot {
	tb.Helper()
	var csv strings.Builder
	csv.WriteString("g, example-org:dev, role:viewer\n")
	for i := range rows - 1 {
		fmt.Fprintf(&csv, "p, role:filler-%d, argocd, /api/v1/%d/*/things, GET, allow\n", i%50, i)
	}
	csv.WriteString("p, role:viewer, argocd, /api/v1/applications/**, GET, allow\n")
	return load(tb, csv.String())
}

func deciding(b *testing.B, g *gate) func() bool {
	b.Helper()
	r := httptest.NewRequest("GET", "/api/v1/applications/guestbook/resource-tree", nil)
	r.RemoteAddr, r.Host = "127.0.0.1:1", "argo-cd.example.com"
	cookie := g.as("bob")
	r.Header.Set(cookie[0], cookie[1])
	r.Header.Set("X-Forwarded-Proto", "https")
	decide, ok := g.Deciding(httptest.NewRecorder(), r)
	if !ok || !decide() {
		b.Fatal("the request is not allowed")
	}
	return decide
}
