package proxy_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

var hrefs = regexp.MustCompile(`<a href="([^"]*)"[^>]*>([^<]*)</a>`)

// links are those of a page, by their text.
func links(page string) map[string]string {
	all := make(map[string]string)
	for _, found := range hrefs.FindAllStringSubmatch(page, -1) {
		all[found[2]] = html.UnescapeString(found[1])
	}
	return all
}

func withPages(t *testing.T, lines string) func(*proxy.Options) {
	t.Helper()
	c, err := config.Parse("authgate.yaml", []byte(`issuer: {url: "https://dex.example.com", clientID: a, clientSecret: b}
session: {keys: {file: k}}
upstreams: [{name: a, hosts: ["*"], url: "http://a"}]
pages:
`+lines))
	if err != nil {
		t.Fatal(err)
	}
	return func(o *proxy.Options) { o.Config.Pages = c.Pages }
}

func TestADeniedUserReadsWhatWasNotDoneInWords(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for request, want := range map[string][2]string{
		"POST " + argo + "/api/v1/applications/web/sync": {"sync an application in Argo CD", "Argo CD でアプリケーションを同期する"},
		"DELETE " + argo + "/api/v1/applications/web":    {"delete an application in Argo CD", "アプリケーションを削除する"},
		"PUT " + argo + "/api/v1/x":                      {"change something in Argo CD", "内容を変更する"},
		"DELETE " + argo + "/api/v1/x":                   {"delete something in Argo CD", "内容を削除する"},
		"GET " + argo + "/secret/x":                      {"open this page of Argo CD", "このページを開く"},
	} {
		method, to, _ := strings.Cut(request, " ")
		for i, language := range []string{"en-GB", "ja-JP,ja;q=0.9,en;q=0.5"} {
			res := g.do(method, to, arriving("same-origin"), g.as("bob"), []string{"Accept-Language", language})
			if res.Header.Get("Content-Language") != [2]string{"en", "ja"}[i] || !strings.Contains(res.Header.Get("Vary"), "Accept-Language") {
				t.Errorf("%s: %q", request, res.Header)
			}
			if page := body(t, res); res.StatusCode != http.StatusForbidden || !strings.Contains(page, want[i]) {
				t.Errorf("%s in %s: %d, %q is missing in\n%s", request, language, res.StatusCode, want[i], page)
			}
		}
	}
}

func TestADeniedUserFindsTheWayOn(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), withPages(t, `  requestAccessURL: "https://example.com/new?u={user}&e={email}&g={group}&r={role}&up={upstream}&m={method}&p={path}&id={id}"`))
	res := g.do("POST", app+"/web/sync?x=1", arriving("same-origin"), g.as("bob"), []string{"Referer", argo + "/applications/web?view=tree"})
	page := body(t, res)
	all := links(page)
	ask, err := url.Parse(all["Ask for access"])
	if err != nil || ask.Host != "example.com" {
		t.Fatalf("no link to ask for access: %q, %v\n%s", all, err, page)
	}
	q := ask.Query()
	if q.Get("e") != "bob@example.com" || q.Get("g") != "example-org:argo" || !strings.HasPrefix(q.Get("r"), "role:") || q.Get("up") != "argocd" ||
		q.Get("m") != "POST" || q.Get("p") != "/api/v1/applications/web/sync" || !strings.Contains(page, "<code>"+q.Get("id")+"</code>") {
		t.Errorf("%q", q)
	}
	if all["Back"] != "/applications/web?view=tree" || all["All dashboards"] != "/oauth2/" || !strings.HasPrefix(all["Use another account"], "/oauth2/start?") {
		t.Errorf("%q", all)
	}
	if id, first := strings.Index(page, "<code>"+q.Get("id")), strings.Index(page, "<dl>"); id > first {
		t.Error("the ID is below the details")
	}
	for _, other := range []string{"https://evil.example/x", "//evil.example/x", "https://argo-cd.example.com.evil.example/"} {
		page := body(t, g.do("GET", argo+"/secret/x", arriving("same-origin"), g.as("bob"), []string{"Referer", other}))
		if strings.Contains(page, "evil.example") || links(page)["Back"] != "/" {
			t.Errorf("Referer %s: %q", other, links(page))
		}
	}
}

func TestGroupsThatHaveAccessAreShownOnlyIfTheyMayBe(t *testing.T) {
	t.Parallel()
	for _, shown := range []bool{true, false} {
		lines := "  requestAccessURL: \"https://example.com/?g={group}&r={role}\"\n"
		if !shown {
			lines += "  showGroups: false\n"
		}
		g := newGateTo(t, brokenUpstream(t), withPages(t, lines))
		page := body(t, g.do("POST", app+"/web/sync", arriving("same-origin"), g.as("bob")))
		text := body(t, g.do("POST", app+"/web/sync", g.as("bob"), sameSite))
		if got := strings.Contains(page, "example-org:argo"); got != shown {
			t.Errorf("shown %v:\n%s", shown, page)
		}
		if !shown && links(page)["Ask for access"] != "https://example.com/?g=&r=" {
			t.Errorf("%q", links(page))
		}
		var p map[string]any
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		if _, got := p["admitted"]; got != shown || strings.Contains(text, "example-org:argo") != shown || p["user"] != "bob@example.com" {
			t.Errorf("shown %v: %s", shown, text)
		}
	}
}

// Who has not signed in reads nothing of dashboards, groups or users.
func TestAnUnauthenticatedClientLearnsNothing(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for name, res := range map[string]*http.Response{
		"a form":   g.do("POST", app+"/web/sync", arriving("same-origin")),
		"a script": g.do("GET", app, []string{"Accept", "application/json"}),
		"no host":  g.do("GET", "https://other.example.com/", browser),
		"no path":  g.do("GET", own+"/nothing", browser),
		"bad path": g.do("GET", argo+"/a/../b", browser),
	} {
		page := body(t, res)
		for _, secret := range []string{"argocd", "Argo CD", "example-org", "policy.csv", "role:", "All dashboards"} {
			if strings.Contains(page, secret) {
				t.Errorf("%s: %q is in\n%s", name, secret, page)
			}
		}
	}
}

func TestTitlesAreForUsers(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for to, want := range map[string]string{
		"https://other.example.com/":   "This address is not served here",
		own + "/nothing":               "There is no such page",
		argo + "/a/../b":               "This address is not valid",
		own + "/callback?code=a&state": "This login can no longer be used",
	} {
		page := body(t, g.do("GET", to, browser))
		if !strings.Contains(page, "<h1 class=\"stop\">"+want+"</h1>") || !strings.Contains(page, "<title>"+want+" · authgate</title>") {
			t.Errorf("%s: %q is missing in\n%s", to, want, page)
		}
	}
}
