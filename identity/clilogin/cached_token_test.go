package clilogin

import (
	"strings"
	"testing"
)

// FuzzRecord holds whatever a file may hold to this: what is printed of it is one
// word, and an error repeats nothing.
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{`{"id_token":"a.b.c","expiry":"2026-03-01T10:00:00Z"}`, `{}`, `null`, `[]`, `{"id_token":"a\nb"}`, `{"expiry":7}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseCachedToken(data)
		if strings.ContainsAny(r.IDToken, " \t\r\n\x00\x1b") {
			t.Errorf("%q would be printed", r.IDToken)
		}
		if err != nil && (r.IDToken != "" || len(err.Error()) > 60) {
			t.Errorf("%v, and %q", err, r.IDToken)
		}
	})
}
