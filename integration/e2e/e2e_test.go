// Package e2e_test tests the authgate binary from end to end: with a real Dex and its real
// `github` connector, users who log in, and dashboards. It imports nothing of authgate; the
// binary is built with the race detector and runs as a process.
package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
	"github.com/example-org/authgate/integration/wait"
)

var binaries stage.Binaries // set by TestMain, never after

func TestMain(m *testing.M) {
	os.Exit(func() int {
		// The race detector sleeps for a second at the end of each process, lest
		// reports be lost; authgate's own are written before it ends.
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
		dir, err := os.MkdirTemp("", "authgate-e2e-")
		if err == nil {
			defer os.RemoveAll(dir) // a temporary folder
			binaries, err = stage.Build(context.Background(), dir, true, os.Stderr)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// set sets a stage of the test's own, and holds authgate to its manners at the end.
func set(t *testing.T, o stage.Options) *stage.Stage {
	t.Helper()
	o.Dir, o.Dex, o.Authgate = t.TempDir(), binaries.Dex, binaries.Authgate
	s, err := stage.Start(t.Context(), slog.New(slog.DiscardHandler), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.FindLeaks(context.Background()); err != nil { // the test's own context has ended
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		log, err := s.Files.ReadLog()
		if err != nil && !o.NoAuthgate {
			t.Error(err)
		}
		for _, bad := range []string{"DATA RACE", "panic:", "goroutine "} {
			if strings.Contains(log, bad) {
				t.Errorf("authgate's log holds %q:\n%s", bad, log)
			}
		}
		if t.Failed() {
			t.Logf("authgate's log:\n%s", log)
		}
	})
	return s
}

func arrive(t *testing.T, s *stage.Stage, login string) *visitor.Visitor {
	t.Helper()
	v, err := s.Visitor(login)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func open(t *testing.T, v *visitor.Visitor, address string) visitor.Answer {
	t.Helper()
	a, err := v.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func fetch(t *testing.T, v *visitor.Visitor, method, address string, headers ...string) visitor.Answer {
	t.Helper()
	a, err := v.Fetch(t.Context(), method, address, "", headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func curl(t *testing.T, address string, headers ...string) visitor.Answer {
	t.Helper()
	a, err := visitor.Curl(t.Context(), http.MethodGet, address, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// signedIn is a user who opened Argo CD and saw a page, whatever it said.
func signedIn(t *testing.T, s *stage.Stage, login string) *visitor.Visitor {
	t.Helper()
	v := arrive(t, s, login)
	a := open(t, v, s.ArgoCD+"/")
	if !a.Via("/oauth2/callback") || fetch(t, v, http.MethodGet, s.ArgoCD+"/oauth2/userinfo").Status != http.StatusOK {
		t.Fatalf("%s is not signed in: ended at %s with %d: %s", login, a.URL, a.Status, shown(a))
	}
	return v
}

// atCallback is a user who stopped just before authgate's callback, and the
// way there: its URL is the address that the browser was about to open.
func atCallback(t *testing.T, s *stage.Stage, login string) (*visitor.Visitor, visitor.Answer) {
	t.Helper()
	v := arrive(t, s, login)
	v.StopAt(s.ArgoCD + "/oauth2/callback")
	a := open(t, v, s.ArgoCD+"/")
	if a.URL.Path != "/oauth2/callback" || a.URL.Query().Get("code") == "" {
		t.Fatalf("the login of %s stopped at %s", login, a.URL)
	}
	v.StopAt("")
	return v, a
}

// shown is what a page says, without its head and style sheet.
func shown(a visitor.Answer) string {
	_, main, found := strings.Cut(a.Body, "<main>")
	if !found {
		return a.Body
	}
	return main
}

func wantPage(t *testing.T, a visitor.Answer, status int, words ...string) {
	t.Helper()
	if a.Status != status || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("%s answers %d %s, want a page with %d: %s", a.URL, a.Status, a.Header.Get("Content-Type"), status, shown(a))
	}
	for _, word := range words {
		if !strings.Contains(a.Body, word) {
			t.Errorf("the page at %s does not say %q: %s", a.URL, word, shown(a))
		}
	}
}

func wantProblem(t *testing.T, a visitor.Answer, status int) {
	t.Helper()
	if a.Status != status || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s answers %d %s, want problem+json with %d: %s", a.URL, a.Status, a.Header.Get("Content-Type"), status, shown(a))
	}
}

var idOnPage = regexp.MustCompile(`ID <code>([^<]+)</code>`)

// explained returns the log's lines about the id that a page shows.
func explained(t *testing.T, s *stage.Stage, a visitor.Answer) string {
	t.Helper()
	m := idOnPage.FindStringSubmatch(a.Body)
	if m == nil {
		t.Fatalf("the page shows no id: %s", shown(a))
	}
	var about []string
	eventually(t, "the log to hold the id "+m[1], func() bool {
		log, err := s.Files.ReadLog()
		if err != nil {
			t.Fatal(err)
		}
		about = nil
		for line := range strings.Lines(log) {
			if strings.Contains(line, m[1]) {
				about = append(about, line)
			}
		}
		return len(about) > 0
	})
	return strings.Join(about, "")
}

// eventually waits for something that happens soon, but not at once.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	wait.For(t, 30*time.Second, what, holds)
}
