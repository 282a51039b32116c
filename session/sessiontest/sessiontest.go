// Package sessiontest holds what the tests of several session packages share.
package sessiontest

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session/seal"
)

// Noon is the time at which tests begin.
var Noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Keys reads session keys, one a line.
func Keys(t testing.TB, lines ...string) seal.Keys {
	t.Helper()
	k, err := seal.ParseKeys(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// DexURL is the issuer of the test users.
const DexURL = "https://dex.example.com"

// BearerToken is a token that a user obtained apart from their sessions.
func BearerToken(who, sid string, issued time.Time) *identity.Token {
	return &identity.Token{
		Principal: identity.Principal{Issuer: DexURL, Subject: who, Email: who + "@example.com"},
		IssuedAt:  issued.Truncate(time.Second), SessionID: sid, Digest: sha256.Sum256([]byte(who + sid)),
	}
}

// Browser is a browser that keeps what it is given.
type Browser map[string]string

// Headers are those of a request with all its cookies.
func (b Browser) Headers() http.Header {
	var line []string
	for name, value := range b {
		line = append(line, name+"="+value)
	}
	return http.Header{"Cookie": {strings.Join(line, "; ")}}
}

// Take stores the cookies of a response.
func (b Browser) Take(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b, c.Name)
			continue
		}
		b[c.Name] = c.Value
	}
}

// Heap is how many bytes the program holds.
func Heap() int64 {
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far from it
}
