package proxy_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/proxy"
)

func TestRequestsWithoutASessionNeedNoOrigin(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	res := g.do("POST", "https://argo-cd.example.com/api/dex/token", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"})
	expect(t, "anonymous", res, http.StatusOK)
}

func TestOnlyAVerifiedAddressNamesAPerson(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	const mine = "https://argo-workflows.example.com/mine"
	expect(t, "verified", g.do("GET", mine, g.as("bob")), http.StatusOK)
	expect(t, "only claimed", g.do("GET", mine, g.as("carol")), http.StatusForbidden)
}

func TestOnlyAVerifiedAddressIsOfADomain(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, upstreamSaying(t), func(o *proxy.Options) {
		o.Policy = load(t, rules+"p, user:*@example.com, workflows, /domain, GET, allow\n")
	})
	const domain = "https://argo-workflows.example.com/domain"
	expect(t, "verified", g.do("GET", domain, g.as("bob")), http.StatusOK)
	expect(t, "only claimed", g.do("GET", domain, g.as("carol")), http.StatusForbidden)
	all := g.records()
	var groups []string
	for _, r := range all {
		if r.Email == "bob@example.com" && r.Path == "/domain" {
			groups = r.Groups
		}
	}
	if !slices.Contains(groups, "user:*@example.com") {
		t.Errorf("the audit log tells of the groups %q", groups)
	}
}

func TestUserinfoTellsWhatIsKnown(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	expect(t, "anonymous", g.do("GET", "https://argo-cd.example.com/oauth2/userinfo"), http.StatusUnauthorized)
	res := g.do("GET", "https://argo-cd.example.com/oauth2/userinfo", g.as("alice"))
	expect(t, "alice", res, http.StatusOK)
	const want = `{"issuer":"https://dex.example.com","subject":"sub-alice","email":"alice@example.com","email_verified":true,` +
		`"name":"","preferred_username":"alice","groups":["example-org:argo"],"roles":["role:admin"],"expires":"`
	if got := body(t, res); len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("got  %s\nwant %s...", got, want)
	}
}

func TestForwardedHeadersCountFromTrustedProxiesAlone(t *testing.T) {
	t.Parallel()
	g := newGateBehind(t, "10.0.0.0/8", brokenUpstream(t))
	res := g.do("GET", own+"/start", browser, []string{"X-Forwarded-For", "203.0.113.7"})
	if c := res.Cookies()[0]; c.Secure || !strings.HasPrefix(c.Name, "authgate-") {
		t.Errorf("https was trusted: %v", c)
	}
	if to := res.Header.Get("Location"); !strings.Contains(to, "redirect_uri=http%3A%2F%2Fargo-cd.example.com%2F") {
		t.Errorf("https was trusted: %s", to)
	}
	if r := g.records()[1]; r.Remote != "127.0.0.1" {
		t.Errorf("the address was trusted: %s", r.Remote)
	}
}
