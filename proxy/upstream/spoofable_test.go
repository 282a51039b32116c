package upstream

import (
	"net/http"
	"strings"
	"testing"

	"github.com/example-org/authgate/proxy/client"
)

// The cost of removing spoofable headers, for every request.
func BenchmarkStripSpoofable(b *testing.B) {
	h := http.Header{}
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Cookie", "Dnt", "If-None-Match",
		"Origin", "Pragma", "Priority", "Referer",
		"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "User-Agent", "X-Amzn-Trace-Id",
		"X-Requested-With", "Upgrade-Insecure-Requests",
	} {
		h[name] = []string{"x"}
	}
	b.ReportAllocs()
	for b.Loop() {
		stripSpoofable(h)
	}
}

func TestDroppingHeadersAllocatesNothing(t *testing.T) {
	h := http.Header{"Accept": {"x"}, "User-Agent": {"x"}, "Sec-Fetch-User": {"?1"}, "X-Requested-With": {"x"}}
	if n := testing.AllocsPerRun(100, func() { stripSpoofable(h) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzRequestHeaders: a name is spoofable or not in every case alike, and a request id is what the
// client sent or authgate's own.
func FuzzRequestHeaders(f *testing.F) {
	f.Add("X-Forwarded-User", "x")
	f.Add("X_Forwarded_User", "x")
	f.Add("Grpc-Metadata-Token", "x")
	f.Add("Accept", "text/html")
	f.Fuzz(func(t *testing.T, name, value string) {
		canonical := http.CanonicalHeaderKey(name)
		if name == "" || !isPlainHeaderName(canonical) {
			return
		}
		// The result is the same however a server folds the name.
		for _, folded := range []string{strings.ToLower(name), strings.ToUpper(name)} {
			if isSpoofable(http.CanonicalHeaderKey(folded)) != isSpoofable(canonical) {
				t.Errorf("%q and %q differ", name, folded)
			}
		}
		id := client.RequestID([]string{value}, "own")
		if id != "own" && id != value || strings.ContainsAny(id, " \t\r\n\",;<>&\\%") || len(id) > 128 {
			t.Errorf("%q became %q", value, id)
		}
	})
}
