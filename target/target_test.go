package target_test

import (
	"strings"
	"testing"

	"github.com/example-org/authgate/target"
)

func TestOneCanonicalForm(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"/":                                   "/",
		"/a/b":                                "/a/b",
		"/a/b/":                               "/a/b/",
		"/a?b=//..;c#d":                       "/a",
		"/%41%7e%2D":                          "/A~-",
		"/a%3Ab":                              "/a%3Ab",
		"/a%3ab":                              "/a%3Ab",
		"/a:b":                                "/a:b",
		"/a|b":                                "/a%7Cb",
		"/a%7cb":                              "/a%7Cb",
		"/caf\xc3\xa9":                        "/caf%C3%A9",
		"/caf%c3%a9":                          "/caf%C3%A9",
		"/a%20b":                              "/a%20b",
		"/100%25":                             "/100%25",
		"/100%25/x":                           "/100%25/x",
		"/...":                                "/...",
		"/.well-known/x":                      "/.well-known/x",
		"/a*b/(c)[d]!$&'+,=@":                 "/a*b/(c)[d]!$&'+,=@",
		"/a%2fb":                              "/a%2Fb",
		"/clusters/https%3A%2F%2Fhost%3A6443": "/clusters/https%3A%2F%2Fhost%3A6443",
		"/clusters/https:%2f%2fhost/x":        "/clusters/https:%2F%2Fhost/x",
		"/r/git%40github.com%3Ao%2Fr.git":     "/r/git%40github.com%3Ao%2Fr.git",
	} {
		got, err := target.Parse(raw)
		if err != nil {
			t.Errorf("Parse(%q): %v", raw, err)
			continue
		}
		if got.String() != want {
			t.Errorf("Parse(%q) = %q, want %q", raw, got, want)
		}
		if coded := strings.Contains(want, "%2F"); got.HasEncodedSlash() != coded {
			t.Errorf("Parse(%q).HasCodedSlash() = %v, want %v", raw, got.HasEncodedSlash(), coded)
		}
	}
}

func TestCanonicalPathCostsNoAllocation(t *testing.T) {
	raw := "/api/v1/applications/guestbook/resource-tree?x=1"
	if n := testing.AllocsPerRun(100, func() { _, _ = target.Parse(raw) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = target.Parse("/api/v1/applications/guestbook/resource-tree?x=1")
	}
}
