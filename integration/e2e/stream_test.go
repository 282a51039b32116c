package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/example-org/authgate/integration/stage"
)

func TestEventsArriveWhileTheStreamIsOpen(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice := signedIn(t, s, "alice")
	stream, err := alice.Listen(t.Context(), s.ArgoCD+"/api/v1/stream/applications")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close() // only read
	if got := stream.Header.Get("Content-Type"); stream.Status != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("the stream answers %d %s", stream.Status, got)
	}
	for range 3 { // what is there
		if _, err := stream.Next(); err != nil {
			t.Fatal(err)
		}
	}
	// What happens: it must come through although nothing follows it.
	if a := fetch(t, alice, http.MethodPost, s.ArgoCD+guestbook+"/sync"); a.Status != http.StatusOK {
		t.Fatalf("sync: %d %s", a.Status, shown(a))
	}
	event, err := stream.Next()
	if err != nil || !strings.Contains(event, "MODIFIED") {
		t.Errorf("got %q %v", event, err)
	}
	eventually(t, "the gauge of open streams", func() bool {
		n, err := s.Metric(t.Context(), "authgate_streams", "upstream", "argocd")
		return err == nil && n == 1
	})
}

func TestTerminalSpeaksBothWays(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	terminal := strings.Replace(s.ArgoCD, "http", "ws", 1) + "/terminal"
	c, _, err := signedIn(t, s, "alice").Dial(t.Context(), terminal, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow() // the test has ended
	var got struct{ Data string }
	if err := wsjson.Read(t.Context(), c, &got); err != nil || !strings.Contains(got.Data, "alice") {
		t.Fatalf("the greeting is %q %v", got.Data, err)
	}
	for _, typed := range []string{"ls", strings.Repeat("x", 20_000)} {
		if err := wsjson.Write(t.Context(), c, map[string]string{"operation": "stdin", "data": typed}); err != nil {
			t.Fatal(err)
		}
		if err := wsjson.Read(t.Context(), c, &got); err != nil || got.Data != typed {
			t.Fatalf("typed %d bytes, got %d back: %v", len(typed), len(got.Data), err)
		}
	}
}

// A user who loses a permission loses the streams that it allowed, and no other user does.
func TestRevokedStreamsAreCutWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice, bob := signedIn(t, s, "alice"), signedIn(t, s, "bob")
	terminal := strings.Replace(s.ArgoCD, "http", "ws", 1) + "/terminal"
	c, _, err := alice.Dial(t.Context(), terminal, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow() // the test has ended
	var greeting struct{ Data string }
	if err := wsjson.Read(t.Context(), c, &greeting); err != nil {
		t.Fatal(err)
	}
	watching, err := bob.Listen(t.Context(), s.ArgoCD+"/api/v1/stream/applications")
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Close() // only read
	for range 3 {
		if _, err := watching.Next(); err != nil {
			t.Fatal(err)
		}
	}

	policy, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	changed := time.Now()
	if err := s.Files.WritePolicy(policy + "p, user:alice@example.com, argocd, /terminal, *, deny\n"); err != nil {
		t.Fatal(err)
	}
	_, _, err = c.Read(t.Context())
	if code := websocket.CloseStatus(err); code != websocket.StatusPolicyViolation {
		t.Errorf("the terminal ends with %v", err)
	}
	if took := time.Since(changed); took > 2*time.Second {
		t.Errorf("after %s", took)
	}
	eventually(t, "both records", func() bool {
		records, err := s.Files.ReadAudit()
		if err != nil {
			t.Fatal(err)
		}
		var cut map[string]any
		for _, r := range records {
			switch {
			case r["event"] == "stream_cut":
				cut = r
			case cut != nil && r["id"] == cut["id"]:
				return r["event"] == "request" && cut["reason"] == "denied" && cut["path"] == "/terminal" && r["status"] == 101.0
			}
		}
		return false
	})
	if a := fetch(t, alice, http.MethodPost, s.ArgoCD+guestbook+"/sync"); a.Status != http.StatusOK {
		t.Fatalf("sync: %d %s", a.Status, shown(a))
	}
	if event, err := watching.Next(); err != nil || !strings.Contains(event, "MODIFIED") {
		t.Errorf("bob's events: %q %v", event, err)
	}
	if n, err := s.Metric(t.Context(), "authgate_streams_cut_total", "reason", "denied"); err != nil || n != 1 {
		t.Errorf("%v cut, %v", n, err)
	}
}

func TestTerminalIsClosedToWhoMayNotAndToOtherSites(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	terminal := strings.Replace(s.ArgoCD, "http", "ws", 1) + "/terminal"
	alice, bob := signedIn(t, s, "alice"), signedIn(t, s, "bob")

	if _, a, err := bob.Dial(t.Context(), terminal, ""); err == nil || a.Status != http.StatusForbidden {
		t.Errorf("bob: %d %v", a.Status, err)
	}
	if _, a, err := arrive(t, s, "").Dial(t.Context(), terminal, ""); err == nil || a.Status != http.StatusUnauthorized {
		t.Errorf("anonymous: %d %v", a.Status, err)
	}
	for _, page := range []string{"https://evil.example.com", s.Workflows} {
		if _, a, err := alice.Dial(t.Context(), terminal, page); err == nil || a.Status != http.StatusForbidden {
			t.Errorf("alice's browser, for a page of %s: %d %v", page, a.Status, err)
		}
	}
}

func TestWriteOfASiblingDashboardIsRefused(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice := signedIn(t, s, "alice")
	wantProblem(t, fetch(t, alice, http.MethodPost, s.ArgoCD+guestbook+"/sync",
		"Origin", s.Workflows, "Sec-Fetch-Site", "same-site"), http.StatusForbidden)
}

func TestDashboardThatIsDownIsNamedOnAPageWithAnID(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	alice := signedIn(t, s, "alice")
	if err := s.CloseDashboards(); err != nil {
		t.Fatal(err)
	}
	a := open(t, alice, s.ArgoCD+"/")
	wantPage(t, a, http.StatusBadGateway, "argocd")
	if about := explained(t, s, a); !strings.Contains(about, "refused") {
		t.Errorf("the log does not explain it: %s", about)
	}
	if strings.Contains(a.Body, "127.0.0.1") {
		t.Errorf("the page shows the upstream's address: %s", shown(a))
	}
	wantProblem(t, fetch(t, alice, http.MethodGet, s.ArgoCD+"/api/v1/applications"), http.StatusBadGateway)
}

func TestPathThatIsNotCanonicalIsRefused(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	bob := signedIn(t, s, "bob")
	for _, path := range []string{
		"/applications/..%2fterminal", "/applications/%2e%2e/terminal", "//terminal", "/applications%5Cx",
		"/applications;x=1", "/applications/%00", "/applications/%252e%252e/terminal", "/applications/%ff",
	} {
		if a := fetch(t, bob, http.MethodGet, s.ArgoCD+path); a.Status != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", path, a.Status)
		}
	}
	if a := fetch(t, bob, http.MethodGet, s.ArgoCD+"/%61pplications"); a.Status != http.StatusOK {
		t.Errorf("an escaped letter: %d, want 200", a.Status)
	}
}
