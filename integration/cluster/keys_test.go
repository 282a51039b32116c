//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/visitor"
)

// The commands of docs/operations.md, with users who are signed in all the time.
func TestRotatingSessionKeysSignsNoUserOut(t *testing.T) {
	install(t)
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("client-id", clientID)
	write("client-secret", clientSecret)
	secret := kubectl(t, "get", "secret", "authgate", "--namespace", namespace, "-o", `go-template={{index .data "session-keys" | base64decode}}`)
	write("session-keys", secret)
	before := pods(t)
	const page = "/"
	old := arrive(t, "alice") // has signed in with the old key
	see(t, old, shared.url(toolsHost)+page, http.StatusOK, "alice")
	l := startLoad(t, shared.url(toolsHost)+page, 4)
	step := func(flag string, reloads int) {
		t.Helper()
		out, err := shell(t, dir, fmt.Sprintf(`authgate keygen %s session-keys
kubectl create secret generic authgate --namespace authgate --from-file=client-id --from-file=client-secret \
  --from-file=session-keys --dry-run=client -o yaml | kubectl apply -f -`, flag))
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, pod := range before {
			eventually(t, pod.Name+" to reload the keys", func() bool {
				return strings.Count(kubectl(t, "logs", pod.Name, "--namespace", namespace), "session keys reloaded") >= reloads
			})
		}
	}
	step("--stage", 1)
	var between []*visitor.Visitor
	for range 3 {
		v := arrive(t, "bob") // signs in while the new key only decrypts
		see(t, v, shared.url(toolsHost)+page, http.StatusOK, "bob")
		between = append(between, v)
	}
	step("--promote", 2)
	see(t, arrive(t, "carol"), shared.url(toolsHost)+page, http.StatusForbidden, "no groups") // signs in with the new key
	for _, v := range append(between, old) {
		if a, err := v.Fetch(t.Context(), http.MethodGet, shared.url(toolsHost)+page, ""); err != nil || a.Status != http.StatusOK {
			t.Errorf("%s is signed out: %v %d", v.Login, err, a.Status)
		}
	}
	l.end(t)
	sameAsBefore(t, before)
}
