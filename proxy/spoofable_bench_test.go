package proxy_test

import (
	"net/http"
	"testing"

	"github.com/example-org/authgate/proxy"
)

// What every request pays for headers that nobody may believe.
func BenchmarkDropBelieved(b *testing.B) {
	h := http.Header{}
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Cookie", "Dnt", "If-None-Match", "Origin", "Pragma", "Priority", "Referer",
		"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "User-Agent", "X-Amzn-Trace-Id", "X-Requested-With", "Upgrade-Insecure-Requests",
	} {
		h[name] = []string{"x"}
	}
	b.ReportAllocs()
	for b.Loop() {
		proxy.StripSpoofable(h)
	}
}

func TestDroppingHeadersAllocatesNothing(t *testing.T) {
	h := http.Header{"Accept": {"x"}, "User-Agent": {"x"}, "Sec-Fetch-User": {"?1"}, "X-Requested-With": {"x"}}
	if n := testing.AllocsPerRun(100, func() { proxy.StripSpoofable(h) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
