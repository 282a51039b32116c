package ingress_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/fakegithub"
	"github.com/example-org/authgate/integration/stage"
)

// TestUserInManyGroupsPassesNginx has headers that nginx's own defaults reject: at
// the callback, at each question, and in what the browser sends.
func TestUserInManyGroupsPassesNginx(t *testing.T) {
	t.Parallel()
	d := open(t)
	const groups = 250
	for i := range groups - 1 { // alice is in one already
		slug := fmt.Sprintf("platform-engineering-%03d", i)
		if err := d.GitHub.Join("alice", fakegithub.Team{Org: stage.Org, Name: slug, Slug: slug}); err != nil {
			t.Fatal(err)
		}
	}
	alice := d.signedIn("alice")
	for _, path := range []string{"/applications", "/applications?a=b"} {
		d.behind.saw()
		a := d.fetch(alice, http.MethodGet, path)
		if a.Status != http.StatusOK {
			t.Fatalf("%s: %d %.300s", path, a.Status, a.Body)
		}
		saw := d.behind.saw()
		for _, header := range []string{"X-Auth-Request-Groups", "X-Forwarded-Groups"} {
			if n := len(strings.Split(saw.Header.Get(header), ",")); n != groups {
				t.Errorf("%s: Argo CD saw %d groups in %s (%d bytes)", path, n, header, len(saw.Header.Get(header)))
			}
		}
	}
	if a := d.fetch(alice, http.MethodPost, "/api/v1/applications/guestbook/sync"); a.Status != http.StatusOK {
		t.Errorf("a write: %d %.300s", a.Status, a.Body)
	}
	page, err := alice.Open(t.Context(), d.ArgoCD+"/oauth2/")
	if err != nil || page.Status != http.StatusOK {
		t.Errorf("the portal, which names all groups: %d, %v", page.Status, err)
	}
}
