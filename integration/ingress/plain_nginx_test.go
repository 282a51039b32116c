package ingress_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/wait"
)

// startPlainNginx runs the lines of docs/troubleshooting.md: a reverse proxy that does not ask.
func (d *ingress) startPlainNginx() {
	d.t.Helper()
	location := strings.Replace(shownIn(d.t, "docs/troubleshooting.md", "nginx.conf"), "http://127.0.0.1:8080", d.authgate, 1)
	d.runNginx("map $http_upgrade $connection_upgrade { default upgrade; '' ''; }\nserver { listen " + d.address + ";\n" + location + "}")
}

// TestThePlainNginxOfTheTroubleshootingPageIsEnough: logins, WebSockets and encoded slashes
// pass through it, and the audit has the client's address.
func TestThePlainNginxOfTheTroubleshootingPageIsEnough(t *testing.T) {
	t.Parallel()
	d := openBy(t, (*ingress).startPlainNginx)
	alice := d.signedIn("alice")
	if a := d.fetch(alice, http.MethodPost, "/api/v1/applications/guestbook/sync"); a.Status != http.StatusOK {
		t.Errorf("alice's sync: %d %s", a.Status, a.Body)
	}
	conn, a, err := alice.Dial(t.Context(), d.ArgoCD+"/terminal", d.ArgoCD)
	if err != nil {
		t.Fatalf("a WebSocket: %v %d %s", err, a.Status, a.Body)
	}
	_ = conn.CloseNow() // it was opened
	const cluster = "/api/v1/clusters/https%3A%2F%2Fkubernetes.default.svc"
	d.fetch(alice, http.MethodGet, cluster)
	if got := d.recordOf(cluster)["remote"]; got != "127.0.0.1" {
		t.Errorf("the audit has the address %v", got)
	}
	const list = "/api/v1/applications"
	if a := d.fetch(alice, http.MethodGet, list, "X-Forwarded-For", "192.0.2.1"); a.Status != http.StatusOK {
		t.Errorf("a client that names another address: %d", a.Status)
	}
	if got := d.recordOf(list)["remote"]; got != "127.0.0.1" {
		t.Errorf("a client chose its address: %v", got)
	}
}

// recordOf waits for the audit record of a path, as authgate got it.
func (d *ingress) recordOf(path string) (record map[string]any) {
	d.t.Helper()
	wait.For(d.t, 10*time.Second, "a record of "+path, func() bool {
		records, err := d.Files.ReadAudit()
		if err != nil {
			d.t.Fatal(err)
		}
		for _, record = range slices.Backward(records) {
			if record["path"] == path {
				return true
			}
		}
		return false
	})
	return record
}
