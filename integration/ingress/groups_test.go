package ingress_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/fakegithub"
	"github.com/example-org/authgate/integration/stage"
)

const manyGroups = 250

// joinGroups puts a user who is in one group into so many. Their names barely
// compress, so that the session's cookies are long, too.
func (d *ingress) joinGroups(login string) {
	d.t.Helper()
	for i := range manyGroups - 1 {
		slug := fmt.Sprintf("team-%x", sha256.Sum256([]byte{byte(i)}))[:40]
		if err := d.GitHub.Join(login, fakegithub.Team{Org: stage.Org, Name: slug, Slug: slug}); err != nil {
			d.t.Fatal(err)
		}
	}
}

// TestUserInManyGroupsPassesNginx has headers that nginx's own defaults reject: at
// the callback, at each question, and in what the browser sends.
func TestUserInManyGroupsPassesNginx(t *testing.T) {
	t.Parallel()
	d := open(t)
	d.joinGroups("alice")
	alice := d.signedIn("alice")
	for _, path := range []string{"/applications", "/applications?a=b"} {
		d.behind.saw()
		a := d.fetch(alice, http.MethodGet, path)
		if a.Status != http.StatusOK {
			t.Fatalf("%s: %d %.300s", path, a.Status, a.Body)
		}
		saw := d.behind.saw()
		for _, header := range []string{"X-Auth-Request-Groups", "X-Forwarded-Groups"} {
			if n := len(strings.Split(saw.Header.Get(header), ",")); n != manyGroups {
				t.Errorf("%s: Argo CD saw %d groups in %s (%d bytes)", path, n, header, len(saw.Header.Get(header)))
			}
		}
	}
	ofDashboard := "dashboard=" + strings.Repeat("x", 3<<10)
	if a := d.fetch(alice, http.MethodGet, "/applications", "Cookie", ofDashboard); a.Status != http.StatusOK {
		t.Errorf("with the dashboard's own cookies: %d %.300s", a.Status, a.Body)
	}
	if a := d.fetch(alice, http.MethodPost, "/api/v1/applications/guestbook/sync"); a.Status != http.StatusOK {
		t.Errorf("a write: %d %.300s", a.Status, a.Body)
	}
	page, err := alice.Open(t.Context(), d.ArgoCD+"/oauth2/")
	if err != nil || page.Status != http.StatusOK {
		t.Errorf("the portal, which names all groups: %d, %v", page.Status, err)
	}
}
