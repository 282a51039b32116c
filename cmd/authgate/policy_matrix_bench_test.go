package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkPolicyMatrix measures the whole command: it reads 10,000 rows, on one upstream
// or on ten, and writes the tables.
func BenchmarkPolicyMatrix(b *testing.B) {
	for _, upstreams := range []int{1, 10} {
		b.Run(fmt.Sprintf("upstreams=%d", upstreams), func(b *testing.B) {
			var text strings.Builder
			for i := range 10_000 {
				path, method, effect := fmt.Sprintf("/projects/p-%d/**", i), "GET", "allow"
				switch i % 10 {
				case 3:
					path, method = fmt.Sprintf("/applications/app-%d/*/sync", i), "POST"
				case 5:
					path, method = fmt.Sprintf("/assets/v%d/*.js", i), "*"
				case 7:
					path, effect = fmt.Sprintf("/projects/p-%d/secrets/*", i-1), "deny"
				}
				fmt.Fprintf(&text, "p, role:r%d, app-%d, %s, %s, %s\n", i%10, i%upstreams, path, method, effect)
			}
			file := filepath.Join(b.TempDir(), "policy.csv")
			if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if code := run(b.Context(), []string{"policy", "matrix", "--policy", file}, io.Discard, io.Discard); code != 0 {
					b.Fatalf("exit code %d", code)
				}
			}
		})
	}
}
