package proxy_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestWritesWithASessionComeFromTheSameOrigin(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	const own = "https://argo-cd.example.com"
	for _, test := range []struct {
		name    string
		headers []string
		may     bool
	}{
		{"browser, own page", []string{"Sec-Fetch-Site", "same-origin", "Origin", own}, true},
		{"browser without Origin", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"typed by a person", []string{"Sec-Fetch-Site", "none"}, true},
		{"older browser", []string{"Origin", own}, true},
		{"older browser, with port", []string{"Origin", own + ":443"}, true},
		{"older browser, upper case", []string{"Origin", "HTTPS://Argo-CD.example.com"}, true},
		{"program", nil, true},
		{"listed origin", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://friend.example.com"}, true},
		{"listed origin, older browser", []string{"Origin", "https://friend.example.com:443"}, true},

		{"sibling dashboard", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://argo-workflows.example.com"}, false},
		{"other site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, false},
		{"other site, no Origin", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"older browser, sibling", []string{"Origin", "https://argo-workflows.example.com"}, false},
		{"older browser, http page", []string{"Origin", "http://argo-cd.example.com"}, false},
		{"older browser, other port", []string{"Origin", own + ":8443"}, false},
		{"sandboxed frame", []string{"Origin", "null"}, false},
		{"no URL at all", []string{"Origin", "foo:x"}, false},
		{"word in another case", []string{"Sec-Fetch-Site", "Same-Origin"}, false},
		{"none beside an Origin", []string{"Sec-Fetch-Site", "none", "Origin", "https://evil.example"}, false},
		{"two sites", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, false},
		{"two origins", []string{"Origin", own, "Origin", "https://evil.example"}, false},
		{"prefix of a listed origin", []string{"Origin", "https://friend.example.com.evil.example"}, false},
	} {
		want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[test.may]
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			expect(t, test.name+" "+method, g.do(method, app, g.as("alice"), test.headers), want)
		}
		expect(t, test.name+" GET", g.do("GET", app, g.as("alice"), test.headers), http.StatusOK)

		upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
		if res := g.do("GET", "https://argo-cd.example.com/terminal", g.as("alice"), upgrade, test.headers); (res.StatusCode == http.StatusForbidden) == (test.may && test.headers != nil) {
			t.Errorf("%s: an upgrade was answered with %d", test.name, res.StatusCode)
		}
	}
}

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

func TestUserinfoTellsWhatIsKnown(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	expect(t, "nobody", g.do("GET", "https://argo-cd.example.com/oauth2/userinfo"), http.StatusUnauthorized)
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
	g := newGateBehind(t, "10.0.0.0/8", "http://127.0.0.1:1")
	res := g.do("GET", own+"/start", browser, []string{"X-Forwarded-For", "203.0.113.7"})
	if c := res.Cookies()[0]; c.Secure || !strings.HasPrefix(c.Name, "authgate-") {
		t.Errorf("https was believed: %v", c)
	}
	if to := res.Header.Get("Location"); !strings.Contains(to, "redirect_uri=http%3A%2F%2Fargo-cd.example.com%2F") {
		t.Errorf("https was believed: %s", to)
	}
	if r := g.records()[1]; r.Remote != "127.0.0.1" {
		t.Errorf("the address was believed: %s", r.Remote)
	}
}

func TestEveryAddressFormOfABalancerIsRead(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for forwarded, want := range map[string]string{
		"203.0.113.7":                         "203.0.113.7",
		"9.9.9.9, 203.0.113.7":                "203.0.113.7",
		"203.0.113.7:8080":                    "203.0.113.7",
		"2001:db8::1":                         "2001:db8::1",
		"[2001:db8::1]":                       "2001:db8::1",
		"[2001:db8::1]:8080":                  "2001:db8::1",
		"203.0.113.7, 127.0.0.1":              "203.0.113.7",
		" 203.0.113.7 ,127.0.0.1 ":            "203.0.113.7",
		"1.1.1.1, garbage, 127.0.0.1":         "127.0.0.1",
		"garbage":                             "127.0.0.1",
		"":                                    "127.0.0.1",
		"::ffff:203.0.113.7":                  "203.0.113.7",
		"1.1.1.1\r\nX-Forwarded-For: 2.2.2.2": "2.2.2.2",
	} {
		g.do("GET", app, g.as("alice"), []string{"X-Forwarded-For", forwarded})
		all := g.records()
		if got := all[len(all)-1].Remote; got != want {
			t.Errorf("X-Forwarded-For %q: %s, want %s", forwarded, got, want)
		}
	}
}
