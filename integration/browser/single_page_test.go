package browser_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/wait"
)

// documentedCall is the function in docs/sessions.md.
func documentedCall(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/sessions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, found := strings.Cut(string(text), "```js\n")
	code, _, closed := strings.Cut(code, "```")
	if !found || !closed {
		t.Fatal("docs/sessions.md has no function for scripts")
	}
	return code
}

func TestASessionThatEndsInAnOpenTabLeadsThroughTheLoginAndBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	call := documentedCall(t)
	var loads, calls atomic.Int64
	s.handle("/board", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>board</title><p id="load">%d</p><p id="result">none</p>
<button id="act">Act</button><script>
%s
document.getElementById("act").onclick = async () => {
  const res = await call("/api/data", {method: "POST"})
  document.getElementById("result").textContent = res.status + " " + await res.text()
}</script>`, loads.Add(1), call)
	})
	s.handle("/api/data", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, "call %d", calls.Add(1)) })

	tab := chromium.Profile(t)
	await := func(selector, text string) {
		t.Helper()
		wait.For(t, 30*time.Second, selector+" to be "+text, func() bool { return tab.Await(selector) == text })
	}
	tab.Open(s.at("other", "/board?view=tiles"))
	tab.Click("#act")
	await("#result", "200 call 1")

	other := tab.NewTab()
	other.Open(s.at("other", "/oauth2/sign_out"))
	other.Click("form button")
	wait.For(t, 30*time.Second, "the sign-out", func() bool { return strings.Contains(other.Address(), "/sign_out/chain") })

	tab.Click("#act")
	await("#load", "2") // through the login
	if got, _, _ := strings.Cut(tab.Address(), "#"); got != s.at("other", "/board?view=tiles") {
		t.Errorf("the login led to %s", got)
	}
	tab.Click("#act")
	await("#result", "200 call 2")
}
