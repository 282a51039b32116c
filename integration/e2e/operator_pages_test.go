package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/example-org/authgate/integration/redis"
	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

const operatorToken = "operator-token-of-the-test-2026"

// withAdminToken also changes the configuration as another function says.
func withAdminToken(t *testing.T, next func(string, stage.Files) string) func(string, stage.Files) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "admin-token")
	if err := os.WriteFile(file, []byte(operatorToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(yaml string, f stage.Files) string {
		yaml += "\nadminToken: {file: " + file + "}\n"
		if next != nil {
			yaml = next(yaml, f)
		}
		return yaml
	}
}

// operator is a browser that is signed in on the admin port.
func operator(t *testing.T, s *stage.Stage) *visitor.Visitor {
	t.Helper()
	v, err := visitor.New("operator", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	a := open(t, v, s.Admin+"/refusals")
	form := formsOf(t, a)["/login"]
	if a.Status != http.StatusUnauthorized || form == nil {
		t.Fatalf("without the token: %d %s", a.Status, shown(a))
	}
	form.Set("token", "wrong")
	if a = submit(t, v, s.Admin+"/login", form); a.Status != http.StatusUnauthorized {
		t.Fatalf("a wrong token: %d %s", a.Status, shown(a))
	}
	form.Set("token", operatorToken)
	if a = submit(t, v, s.Admin+"/login", form); a.Status != http.StatusOK || a.URL.Path != "/refusals" {
		t.Fatalf("the token leads to %s: %d %s", a.URL, a.Status, shown(a))
	}
	return v
}

func submit(t *testing.T, v *visitor.Visitor, address string, form url.Values) visitor.Answer {
	t.Helper()
	a, err := v.Submit(t.Context(), address, form)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// elements gives the elements of a page that have a name, in its order.
func elements(t *testing.T, a visitor.Answer, name string) (found []*html.Node) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(a.Body))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			found = append(found, n)
		}
	}
	return found
}

// attribute is empty where an element has none of that name.
func attribute(n *html.Node, name string) string {
	i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
	if i < 0 {
		return ""
	}
	return n.Attr[i].Val
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// formsOf gives the fields of each form of a page, by its action.
func formsOf(t *testing.T, a visitor.Answer) map[string]url.Values {
	t.Helper()
	forms := map[string]url.Values{}
	for _, form := range elements(t, a, "form") {
		values := url.Values{}
		for n := range form.Descendants() {
			if name := attribute(n, "name"); name != "" {
				values.Add(name, attribute(n, "value"))
			}
		}
		forms[attribute(form, "action")] = values
	}
	return forms
}

// rowsOf gives the rows of all tables of a page, as text.
func rowsOf(t *testing.T, a visitor.Answer) (rows []string) {
	t.Helper()
	for _, row := range elements(t, a, "tr") {
		rows = append(rows, textOf(row))
	}
	return rows
}

func hasRow(rows []string, parts ...string) bool {
	return slices.ContainsFunc(rows, func(row string) bool {
		return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(row, part) })
	})
}

func TestOperatorPagesShowWhatHappened(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: withAdminToken(t, nil)})
	bob := signedIn(t, s, "bob")
	denied := fetch(t, bob, http.MethodPost, s.ArgoCD+guestbook+"/sync?token=query-secret")
	open(t, arrive(t, s, "alice"), s.ArgoCD+"/oauth2/callback?code=code-secret&state=unknown")
	curl(t, s.ArgoCD+"/", "Host", "other.example.com")

	v := operator(t, s)
	a := open(t, v, s.Admin+"/refusals")
	if strings.Contains(a.Body, "query-secret") || strings.Contains(a.Body, "code-secret") || strings.Contains(a.Body, "example-org:dev") {
		t.Errorf("the page has more than who was refused what: %s", shown(a))
	}
	rows := rowsOf(t, a)
	for what, parts := range map[string][]string{
		"the denied sync":  {"bob@example.com", "argocd", "POST " + guestbook + "/sync", "403", "denied"},
		"the failed login": {"login_failed", "/oauth2/callback", "login_expired"},
		"the unknown host": {"other.example.com", "421", "unknown_host"},
	} {
		if !hasRow(rows, parts...) {
			t.Errorf("%s is missing in\n%s", what, strings.Join(rows, "\n"))
		}
	}
	rows = rowsOf(t, open(t, v, s.Admin+"/refusals?user=bob%40example.com&upstream=argocd&reason=denied"))
	if len(rows) != 2 || !hasRow(rows, "bob@example.com", "/sync") {
		t.Errorf("filtered:\n%s\nthe refused request: %d", strings.Join(rows, "\n"), denied.Status)
	}

	a = open(t, v, s.Admin+"/explain?group=example-org%3Adev&method=POST&target=argocd:"+guestbook+"/sync")
	if a.Status != http.StatusOK || !strings.Contains(shown(a), "Denied") || !hasRow(rowsOf(t, a), "example-org:dev -> role:viewer") {
		t.Errorf("explained: %d %s", a.Status, shown(a))
	}
	a = open(t, v, s.Admin+"/explain?group=example-org:argo&group=x&method=post&target="+url.QueryEscape(s.ArgoCD+guestbook+"/sync"))
	if a.Status != http.StatusOK || !strings.Contains(shown(a), "Allowed") {
		t.Errorf("explained: %d %s", a.Status, shown(a))
	}
	if a = open(t, v, s.Admin+"/explain?group=a&method=GET&target=argocds:/"); a.Status != 422 || !strings.Contains(shown(a), "did you mean") {
		t.Errorf("an unknown upstream: %d %s", a.Status, shown(a))
	}
	printed, _ := s.Run(t.Context(), "policy", "explain", "--config", s.Files.Config, "--group", "example-org:dev", "GET", "argocd:/applications", "-o", "json")
	if a := curl(t, s.Admin+"/explain?group=example-org:dev&method=GET&target=argocd:/applications", "Authorization", "Bearer "+operatorToken, "Accept", "application/json"); !sameJSON(t, a.Body, printed) {
		t.Errorf("the page says\n%s\nand the command\n%s", a.Body, printed)
	}
}

func TestOverviewShowsAPolicyThatWasRefused(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{Config: withAdminToken(t, nil)})
	v := operator(t, s)
	text, err := s.Files.ReadPolicy()
	if err != nil {
		t.Fatal(err)
	}
	a := open(t, v, s.Admin+"/")
	rows := rowsOf(t, a)
	if !hasRow(rows, "policy.csv") || !hasRow(rows, "role:viewer", "GET on") || !hasRow(rows, "role:admin", "* on") || !strings.Contains(shown(a), "None since the start") {
		t.Errorf("at first: %s", shown(a))
	}
	if err := s.Files.WritePolicy(text + "p, role:viewer, argocd, /x, GET, Allow\np, role:viewer, nope, /x, GET, allow\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refused policy on the page", func() bool {
		a = open(t, v, s.Admin+"/")
		return strings.Contains(shown(a), "is not in force")
	})
	lines := strings.Count(text, "\n")
	for _, want := range []string{fmt.Sprintf("policy.csv:%d:34", lines+1), fmt.Sprintf("policy.csv:%d:17", lines+2), "write &#34;allow&#34;"} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("%s is missing in %s", want, shown(a))
		}
	}
	if err := s.Files.WritePolicy(text + "p, role:typo, argocd, /x, GET, allow\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the next policy on the page", func() bool {
		a = open(t, v, s.Admin+"/")
		return strings.Contains(shown(a), "A later change was put in force")
	})
	if !hasRow(rowsOf(t, a), "AG107", "role:typo") {
		t.Errorf("lint: %s", shown(a))
	}
}

func TestOperatorRevokesASessionOnThePage(t *testing.T) {
	t.Parallel()
	_, config := startRedis(t, redis.Options{})
	s := set(t, stage.Options{Config: withAdminToken(t, config)})
	alice, bob := signedIn(t, s, "alice"), signedIn(t, s, "bob")
	v := operator(t, s)
	a := open(t, v, s.Admin+"/sessions?user=bob@example.com")
	form := formsOf(t, a)["/sessions/revoke"]
	if form == nil || !hasRow(rowsOf(t, a), "bob@example.com") || hasRow(rowsOf(t, a), "alice@example.com") {
		t.Fatalf("the sessions of bob: %s", shown(a))
	}
	form = url.Values{"user": {"bob@example.com"}, "csrf": form["csrf"]}
	forged := url.Values{"user": {"bob@example.com"}}
	if a := submit(t, v, s.Admin+"/sessions/revoke", forged); a.Status != http.StatusForbidden {
		t.Errorf("without the form's own value: %d %s", a.Status, shown(a))
	}
	if fetch(t, bob, http.MethodGet, s.ArgoCD+"/oauth2/userinfo").Status != http.StatusOK {
		t.Error("a forged form ended the session")
	}
	if a := submit(t, v, s.Admin+"/sessions/revoke", form); a.Status != http.StatusOK || !strings.Contains(shown(a), "1 session ended") {
		t.Errorf("revoking: %d %s", a.Status, shown(a))
	}
	if a := fetch(t, bob, http.MethodGet, s.ArgoCD+"/oauth2/userinfo"); a.Status != http.StatusUnauthorized {
		t.Errorf("bob after it: %d", a.Status)
	}
	if a := fetch(t, alice, http.MethodGet, s.ArgoCD+"/oauth2/userinfo"); a.Status != http.StatusOK {
		t.Errorf("alice after it: %d", a.Status)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var values [2]any
	for i, text := range []string{a, b} {
		if err := json.Unmarshal([]byte(text), &values[i]); err != nil {
			t.Errorf("%v in %s", err, text)
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}
