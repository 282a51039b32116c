package dashboards_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/example-org/authgate/integration/dashboards"
	"github.com/example-org/authgate/integration/visitor"
)

func serve(t *testing.T, dashboard dashboards.Dashboard) string {
	t.Helper()
	d, err := dashboards.Serve(t.Context(), slog.New(slog.DiscardHandler), dashboard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d.URL()
}

func argoCD(t *testing.T, dexURL string) string {
	t.Helper()
	h, err := dashboards.ArgoCD(slog.New(slog.DiscardHandler), dexURL, dashboards.Links{SignOut: "/oauth2/sign_out"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, h)
}

func TestPageNamesTheUserOfTheIdentityHeaders(t *testing.T) {
	t.Parallel()
	for _, at := range []string{argoCD(t, ""), serve(t, dashboards.Workflows(dashboards.Links{}, nil))} {
		a, err := visitor.Curl(t.Context(), http.MethodGet, at+"/",
			"X-Forwarded-User", "CgQx", "X-Forwarded-Preferred-Username", "alice", "X-Forwarded-Groups", "example-org:argo,b%C3%BCro%2C 2")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"alice", "example-org:argo", "büro, 2"} {
			if !strings.Contains(a.Body, want) {
				t.Errorf("%s does not show %q", at, want)
			}
		}
	}
}

func TestEventStreamStartsWithWhatIsThereAndTellsOfASync(t *testing.T) {
	t.Parallel()
	at := argoCD(t, "")
	v, err := visitor.New("", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := v.Listen(t.Context(), at+"/api/v1/stream/applications")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() // only read
	for range 3 {
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
	}
	a, err := v.Fetch(t.Context(), http.MethodPost, at+"/api/v1/applications/guestbook/sync", "{}")
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("sync: %d %v", a.Status, err)
	}
	event, err := s.Next()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(event, `"MODIFIED"`) || !strings.Contains(event, `"guestbook"`) {
		t.Errorf("the event is %s", event)
	}
}

func TestTerminalRepeatsWhatIsTyped(t *testing.T) {
	t.Parallel()
	v, err := visitor.New("", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := v.Dial(t.Context(), strings.Replace(argoCD(t, ""), "http", "ws", 1)+"/terminal", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow() // the test has ended
	if err := wsjson.Write(t.Context(), c, map[string]string{"operation": "stdin", "data": "ls"}); err != nil {
		t.Fatal(err)
	}
	if got := secondFrame(t.Context(), t, c); got != "ls" {
		t.Errorf("the terminal says %q", got)
	}
}

// secondFrame skips the greeting.
func secondFrame(ctx context.Context, t *testing.T, c *websocket.Conn) string {
	t.Helper()
	var f struct{ Operation, Data string }
	for range 2 {
		if err := wsjson.Read(ctx, c, &f); err != nil {
			t.Fatal(err)
		}
	}
	return f.Data
}

func TestArgoCDTakesNoFormsAsWrites(t *testing.T) {
	t.Parallel()
	a, err := visitor.Curl(t.Context(), http.MethodPost, argoCD(t, "")+"/api/v1/applications/guestbook/sync",
		"Content-Type", "application/x-www-form-urlencoded")
	if err != nil || a.Status != http.StatusUnsupportedMediaType {
		t.Errorf("got %d %v, want 415", a.Status, err)
	}
}

func TestDexIsServedOnArgoCDsHostAndItsRefusalLeadsToTheLoginPage(t *testing.T) {
	t.Parallel()
	dex := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/callback") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "dex saw "+r.URL.RequestURI())
	}))
	t.Cleanup(dex.Close)
	at := argoCD(t, dex.URL)

	a, err := visitor.Curl(t.Context(), http.MethodGet, at+"/api/dex/auth?client_id=x")
	if err != nil || a.Body != "dex saw /api/dex/auth?client_id=x" {
		t.Errorf("got %q %v", a.Body, err)
	}
	a, err = visitor.Curl(t.Context(), http.MethodGet, at+"/api/dex/callback?code=x")
	if err != nil || a.Status != http.StatusSeeOther || a.Header.Get("Location") != "/login?has_sso_error=true" {
		t.Errorf("got %d to %q %v", a.Status, a.Header.Get("Location"), err)
	}
}

func TestSubmittedWorkflowNamesItsCreator(t *testing.T) {
	t.Parallel()
	at := serve(t, dashboards.Workflows(dashboards.Links{}, nil))
	v, err := visitor.New("", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"resourceKind":"WorkflowTemplate","resourceName":"build-image"}`
	a, err := v.Fetch(t.Context(), http.MethodPost, at+"/api/v1/workflows/argo/submit", body, "X-Forwarded-Email", "bob@example.com")
	if err != nil {
		t.Fatal(err)
	}
	var wf struct {
		Metadata struct{ Labels map[string]string }
		Status   struct{ Phase string }
	}
	if err := json.Unmarshal([]byte(a.Body), &wf); err != nil {
		t.Fatalf("%v in %s", err, a.Body)
	}
	if wf.Status.Phase != "Running" || wf.Metadata.Labels["workflows.argoproj.io/creator"] != "bob@example.com" {
		t.Errorf("got %+v", wf)
	}
	// All namespaces have the trailing slash; without it there is no such call.
	for path, want := range map[string]int{"/api/v1/workflows/": 200, "/api/v1/workflows/argo": 200, "/api/v1/workflows": 404} {
		a, err := v.Fetch(t.Context(), http.MethodGet, at+path, "")
		if err != nil || a.Status != want {
			t.Errorf("%s: %d %v, want %d", path, a.Status, err, want)
		}
	}
}
