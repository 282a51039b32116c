package fakegithub_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/fakegithub"
)

var app = fakegithub.App{ClientID: "app", ClientSecret: "secret", Callback: "http://dex.example.com/callback"}

func start(t *testing.T) (*fakegithub.Server, *http.Client) {
	t.Helper()
	gh, err := fakegithub.Start(t.Context(), slog.New(slog.DiscardHandler), app,
		fakegithub.Account{ID: 7, Login: "alice", Email: "alice@example.com", Orgs: []string{"example-org"}},
		fakegithub.Account{ID: 8, Login: "bob", Email: "bob@example.com"},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gh.Close(); err != nil {
			t.Error(err)
		}
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(gh.CA())
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return gh, &http.Client{
		Jar:           jar,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func do(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() // only read
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func get(t *testing.T, c *http.Client, address, token string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, c, req)
}

func post(t *testing.T, c *http.Client, address string, form url.Values) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	return do(t, c, req)
}

func authorizeURL(gh *fakegithub.Server) string {
	return gh.URL() + "/login/oauth/authorize?" + url.Values{"client_id": {app.ClientID}, "state": {"xyz"}}.Encode()
}

func codeFor(t *testing.T, gh *fakegithub.Server, c *http.Client, login string) string {
	t.Helper()
	res, _ := get(t, c, authorizeURL(gh)+"&login="+login, "")
	to, err := res.Location()
	if err != nil {
		t.Fatal(err)
	}
	return to.Query().Get("code")
}

func trade(t *testing.T, gh *fakegithub.Server, c *http.Client, code, secret string) map[string]string {
	t.Helper()
	_, body := post(t, c, gh.URL()+"/login/oauth/access_token", url.Values{
		"client_id": {app.ClientID}, "client_secret": {secret}, "code": {code},
	})
	var answer map[string]string
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return answer
}

func TestPageAsksOnceThenRemembers(t *testing.T) {
	t.Parallel()
	gh, c := start(t)

	res, body := get(t, c, authorizeURL(gh), "")
	if res.StatusCode != http.StatusOK || !strings.Contains(body, `value="alice"`) || !strings.Contains(body, `value="bob"`) {
		t.Fatalf("the first visit is not asked who it is: %d %s", res.StatusCode, body)
	}
	query := url.Values{"client_id": {app.ClientID}, "state": {"xyz"}}.Encode()
	res, _ = post(t, c, gh.URL()+"/login/oauth/authorize", url.Values{"query": {query}, "login": {"bob"}})
	if to := res.Header.Get("Location"); !strings.HasPrefix(to, app.Callback+"?code=") || !strings.HasSuffix(to, "state=xyz") {
		t.Fatalf("the button leads to %q", to)
	}
	if res, _ = get(t, c, authorizeURL(gh), ""); res.StatusCode != http.StatusFound {
		t.Errorf("the second visit is asked again: %d", res.StatusCode)
	}
	if _, body = get(t, c, gh.URL()+"/", ""); !strings.Contains(body, "signed in as <b>bob</b>") {
		t.Errorf("the home page does not know bob: %s", body)
	}
	post(t, c, gh.URL()+"/logout", nil)
	if res, _ = get(t, c, authorizeURL(gh), ""); res.StatusCode != http.StatusOK {
		t.Errorf("after signing out the visit is not asked: %d", res.StatusCode)
	}
}

func TestCodeWorksOnceAndOnlyWithTheSecret(t *testing.T) {
	t.Parallel()
	gh, c := start(t)

	if got := trade(t, gh, c, codeFor(t, gh, c, "alice"), "wrong")["error"]; got != "incorrect_client_credentials" {
		t.Errorf("a wrong secret gives error %q", got)
	}
	code := codeFor(t, gh, c, "alice")
	if trade(t, gh, c, code, app.ClientSecret)["access_token"] == "" {
		t.Error("a good code gives no token")
	}
	if got := trade(t, gh, c, code, app.ClientSecret)["error"]; got != "bad_verification_code" {
		t.Errorf("a used code gives error %q", got)
	}
}

func TestUnknownAppOrCallbackIsShownNotRedirected(t *testing.T) {
	t.Parallel()
	gh, c := start(t)
	for query, want := range map[string]int{
		"client_id=other": http.StatusNotFound,
		"client_id=app&redirect_uri=http://evil.example.com": http.StatusBadRequest,
	} {
		if res, _ := get(t, c, gh.URL()+"/login/oauth/authorize?"+query, ""); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", query, res.StatusCode, want)
		}
	}
}

func TestAPIAnswersAsGitHubDoes(t *testing.T) {
	t.Parallel()
	gh, c := start(t)
	token := trade(t, gh, c, codeFor(t, gh, c, "alice"), app.ClientSecret)["access_token"]
	status := func(path string) int {
		res, _ := get(t, c, gh.URL()+"/api/v3"+path, token)
		return res.StatusCode
	}
	for path, want := range map[string]int{
		"/user":                           200,
		"/orgs/example-org/members/alice": 204,
		"/orgs/example-org/members/bob":   404,
		"/orgs/other-org/members/alice":   404,
	} {
		if got := status(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if res, _ := get(t, c, gh.URL()+"/api/v3/user", "gho_unknown"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("an unknown token: %d", res.StatusCode)
	}
	gh.SetAPIState(fakegithub.RateLimited)
	if got := status("/user"); got != http.StatusForbidden {
		t.Errorf("rate limit: %d", got)
	}
	gh.SetAPIState(fakegithub.Healthy)
	gh.Revoke("alice")
	if got := status("/user"); got != http.StatusUnauthorized {
		t.Errorf("revoked grant: %d", got)
	}
}

func TestListsArePagedByLink(t *testing.T) {
	t.Parallel()
	gh, c := start(t)
	for i := range 61 {
		slug := "t" + strconv.Itoa(i)
		if err := gh.Join("alice", fakegithub.Team{Org: "example-org", Name: slug, Slug: slug}); err != nil {
			t.Fatal(err)
		}
	}
	token := trade(t, gh, c, codeFor(t, gh, c, "alice"), app.ClientSecret)["access_token"]

	next := regexp.MustCompile(`<([^>]+)>; rel="next"`)
	var sizes []int
	for at := gh.URL() + "/api/v3/user/teams"; at != ""; {
		res, body := get(t, c, at, token)
		var teams []any
		if err := json.Unmarshal([]byte(body), &teams); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(teams))
		at = ""
		if m := next.FindStringSubmatch(res.Header.Get("Link")); m != nil {
			at = m[1]
		}
	}
	if len(sizes) != 3 || sizes[0] != 30 || sizes[2] != 1 {
		t.Errorf("pages hold %v teams, want 30, 30, 1", sizes)
	}
}
