package proxy_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

const argo = "https://argo-cd.example.com"

// ask asks forward-auth: the ingress calls authgate by a name of its own and says
// nothing but what the headers say.
func (g *gate) ask(headers ...[]string) *http.Response {
	g.t.Helper()
	head := "GET /oauth2/auth HTTP/1.1\r\nHost: authgate.internal:8080\r\nConnection: close\r\n"
	for _, pairs := range headers {
		for i := 0; i < len(pairs); i += 2 {
			head += pairs[i] + ": " + pairs[i+1] + "\r\n"
		}
	}
	return g.raw(head + "\r\n")
}

// The forms in which ingresses tell of the original request.
var forms = map[string]func(method, rawURL string) []string{
	"nginx": func(method, rawURL string) []string {
		return []string{"X-Original-URL", rawURL, "X-Original-Method", method}
	},
	"parts": byParts,
	"both": func(method, rawURL string) []string {
		return append(byParts(method, rawURL), "X-Original-URL", rawURL, "X-Original-Method", method)
	},
}

func byParts(method, rawURL string) []string {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	host, uri := rest, ""
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		host, uri = rest[:end], rest[end:]
	}
	return []string{
		"X-Forwarded-Method", method, "X-Forwarded-Proto", scheme, "X-Forwarded-Host", host, "X-Forwarded-Uri", uri,
	}
}

// handshake is what opens a WebSocket, as it is sent to the proxy, and as nginx
// and Traefik pass it on: headers of one hop are gone.
var (
	handshake       = []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	handshakeBeyond = handshake[4:]
)

// TestForwardAuthAnswersAsTheProxyDoes asks both the same questions.
func TestForwardAuthAnswersAsTheProxyDoes(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	evil := []string{"Origin", "https://evil.example.com", "Sec-Fetch-Site", "cross-site"}
	sibling := []string{"Origin", "https://argo-workflows.example.com", "Sec-Fetch-Site", "same-site"}
	friend := []string{"Origin", "https://friend.example.com", "Sec-Fetch-Site", "cross-site"}
	own := []string{"Origin", argo, "Sec-Fetch-Site", "same-origin"}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for _, q := range []struct {
		who, method, url string
		headers          []string
	}{
		{"alice", "GET", argo + "/", nil},
		{"alice", "GET", argo + "/api/v1/applications?name=a%20b&x=1", nil},
		{"alice", "HEAD", argo + "/", nil},
		{"alice", "OPTIONS", argo + "/", nil},
		{"alice", "get", argo + "/", nil},
		{"alice", "TRACE", argo + "/", nil},
		{"alice", "G_T", argo + "/", nil},
		{"alice", "POST", argo + "/api/v1/applications", nil},
		{"alice", "POST", argo + "/api/v1/applications", own},
		{"alice", "POST", argo + "/api/v1/applications", evil},
		{"alice", "POST", argo + "/api/v1/applications", sibling},
		{"alice", "POST", argo + "/api/v1/applications", friend},
		{"alice", "POST", argo + "/api/v1/applications", []string{"Origin", "null"}},
		{"alice", "POST", argo + "/api/v1/applications", []string{"Origin", argo}},
		{"alice", "POST", argo + "/api/v1/applications", []string{"Origin", "http://argo-cd.example.com"}},
		{"alice", "POST", argo + "/api/v1/applications", []string{"Origin", argo, "Origin", argo}},
		{"alice", "POST", argo + "/api/v1/applications", form},
		{"alice", "DELETE", argo + "/api/v1/applications/x", sameSite},
		{"alice", "DELETE", argo + "/api/v1/applications/x", evil},
		{"alice", "PATCH", argo + "/api/v1/applications/x", sibling},
		{"alice", "GET", argo + "/terminal", append(own, handshake...)},
		{"alice", "GET", argo + "/terminal", append(sibling, handshake...)},
		{"alice", "GET", argo + "/terminal", append(evil, handshake...)},
		{"alice", "GET", argo + "/terminal", handshake},
		{"alice", "GET", argo + "/any/socket", append(own, handshake...)},
		{"alice", "GET", argo + "/any/socket", append(sibling, handshake...)},
		{"alice", "GET", argo + "/any/socket", append(evil, handshake...)},
		{"alice", "GET", argo + "/any/socket", handshake},
		{"alice", "GET", argo + "/api/v1/applications?refresh=hard", evil},
		{"alice", "GET", argo + "/api/v1/applications/x?refresh=hard", evil},
		{"alice", "GET", argo + "/api/v1/applications/x?refresh=hard", own},
		{"alice", "POST", argo + "/application.ApplicationService/List", []string{"Content-Type", "application/grpc"}},
		{"carol", "POST", argo + "/application.ApplicationService/List", []string{"Content-Type", "application/grpc"}},
		{"", "POST", argo + "/application.ApplicationService/List", []string{"Content-Type", "application/grpc"}},
		{"carol", "POST", argo + "/application.ApplicationService/List", []string{"Content-Type", "application/grpc-web+proto"}},
		{"bob", "GET", argo + "/api/v1/applications", nil},
		{"bob", "GET", argo + "/secret/x", nil},
		{"bob", "GET", argo + "/%73ecret/x", nil},
		{"bob", "GET", argo + "/secret", nil},
		{"bob", "GET", argo + "/Secret/x", nil},
		{"bob", "GET", argo + "//secret/x", nil},
		{"bob", "GET", argo + "/./secret/x", nil},
		{"bob", "GET", argo + "/a/../secret/x", nil},
		{"bob", "GET", argo + "/a/%2e%2e/secret/x", nil},
		{"bob", "GET", argo + "/a%2F..%2Fsecret/x", nil},
		{"bob", "GET", argo + "/secret%2Fx", nil},
		{"bob", "GET", argo + "/secret%252Fx", nil},
		{"bob", "GET", argo + "/secret;a=b/x", nil},
		{"bob", "GET", argo + `/\secret/x`, nil},
		{"bob", "GET", argo + "/a#/secret/x", nil},
		{"bob", "GET", argo + "/secret/x?a=/public", nil},
		{"bob", "GET", argo + "/%zz", nil},
		{"bob", "GET", argo + "/%00", nil},
		{"bob", "GET", argo + "/\xff", nil},
		{"bob", "GET", argo + "/%C3%A9|", nil},
		{"bob", "GET", argo + "/api/v1/clusters/https%3A%2F%2Fkubernetes.default.svc", nil},
		{"bob", "GET", argo + "/api/v1/projects/a%2Fb", nil},
		{"bob", "POST", argo + "/api/v1/applications", own},
		{"bob", "GET", argo + "/reports/", nil},
		{"bob", "GET", argo + "/reports/x", nil},
		{"bob", "GET", "https://argo-workflows.example.com/mine", nil},
		{"bob", "GET", "https://argo-workflows.example.com/", nil},
		{"bob", "GET", "https://ARGO-CD.example.com/", nil},
		{"bob", "GET", "https://argo-cd.example.com:443/", nil},
		{"bob", "GET", "https://argo-cd.example.com.:443/", nil},
		{"bob", "GET", "https://argo-cd.example.com:8443/", nil},
		{"bob", "GET", "https://elsewhere.example.com/", nil},
		{"bob", "GET", "https://argo-cd.example.com,elsewhere.example.com/", nil},
		{"bob", "GET", argo + "/", []string{"Authorization", "Bearer nonsense"}},
		{"bob", "GET", argo + "/api/dex/keys", []string{"Authorization", "Basic eDp5"}},
		{"carol", "GET", argo + "/welcome", nil},
		{"carol", "GET", argo + "/", browser},
		{"carol", "GET", argo + "/api/dex/keys", nil},
		{"", "GET", argo + "/", browser},
		{"", "GET", argo + "/", nil},
		{"", "POST", argo + "/", browser},
		{"", "GET", argo + "/api/dex/keys", nil},
		{"", "POST", argo + "/api/dex/token", evil},
		{"", "GET", argo + "/reports/", nil},
		{"", "GET", argo + "/reports", nil},
		{"", "GET", argo + "/", []string{"Cookie", "__Host-authgate=forged"}},
	} {
		var cookie []string
		if q.who != "" {
			cookie = g.as(q.who)
		}
		proxied := g.do(q.method, q.url, cookie, q.headers)
		want := classOf(proxied)
		passedOn := q.headers
		if i := slices.Index(q.headers, "Upgrade"); i > 0 {
			passedOn = append(slices.Clone(q.headers[:i-1]), handshakeBeyond...)
		}
		for name, form := range forms {
			got := g.ask(https[:0], form(q.method, q.url), cookie, passedOn)
			if got.StatusCode != want {
				t.Errorf("%s: %s %s %s %q: %d, want %d as the proxy answered %d: %s",
					name, q.who, q.method, q.url, q.headers, got.StatusCode, want, proxied.StatusCode, body(t, got))
			}
		}
	}
}

// classOf is what forward-auth must answer where the proxy answered so.
func classOf(proxied *http.Response) int {
	switch status := proxied.Header.Get("Grpc-Status"); {
	case status == "14": // passed on: the upstream speaks no HTTP/2
		return http.StatusAccepted
	case status == "16":
		return http.StatusUnauthorized
	case status != "":
		return http.StatusForbidden
	}
	switch {
	case proxied.StatusCode == http.StatusOK: // the upstream's echo
		return http.StatusAccepted
	case proxied.StatusCode == http.StatusFound, proxied.StatusCode == http.StatusUnauthorized:
		return http.StatusUnauthorized
	default:
		return http.StatusForbidden
	}
}

func TestForwardAuthTellsWhoAsks(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	spoof := []string{"X-Auth-Request-User", "root", "X-Forwarded-Groups", "example-org:argo", "X_Auth_Request_User", "root", "X-Auth-Request-Access-Token", "x"}
	res := g.ask(forms["nginx"]("GET", argo+"/"), g.as("bob"), spoof)
	expect(t, "bob", res, http.StatusAccepted)
	for name, want := range map[string]string{
		"User": "sub-bob", "Email": "bob@example.com", "Preferred-Username": "bob", "Groups": "example-org:dev,odd%2C group%25%0A", "Access-Token": "",
	} {
		for _, family := range []string{"X-Auth-Request-", "X-Forwarded-"} {
			if got := res.Header.Get(family + name); got != want {
				t.Errorf("%s%s is %q, want %q", family, name, got, want)
			}
		}
	}
	if text := body(t, res); text != "" || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Set-Cookie") != "" {
		t.Errorf("answered %q with %v", text, res.Header)
	}
	for what, res := range map[string]*http.Response{
		"an upstream without headers": g.ask(forms["nginx"]("GET", "https://argo-workflows.example.com/mine"), g.as("bob"), spoof),
		"anonymous":                   g.ask(forms["nginx"]("GET", argo+"/api/dex/keys"), spoof),
		"a user let in as anonymous":  g.ask(forms["nginx"]("GET", argo+"/api/dex/keys"), g.as("carol"), spoof),
	} {
		expect(t, what, res, http.StatusAccepted)
		for name := range res.Header {
			if strings.HasPrefix(name, "X-Auth-Request-") || strings.HasPrefix(name, "X-Forwarded-") {
				t.Errorf("%s: %s: %q", what, name, res.Header[name])
			}
		}
	}
}

func TestForwardAuthIsForTrustedProxiesAlone(t *testing.T) {
	t.Parallel()
	g := newGateBehind(t, "10.0.0.0/8", brokenUpstream(t))
	for name, form := range forms {
		res := g.ask(form("GET", argo+"/api/dex/keys"), []string{"X-Forwarded-For", "10.0.0.1"})
		expect(t, name, res, http.StatusForbidden)
		if text := body(t, res); !strings.Contains(text, "urn:authgate:problem:untrusted_peer") || !strings.Contains(text, "trustedProxies") {
			t.Errorf("%s: %s", name, text)
		}
	}
	for _, r := range g.records() {
		if r.Event == "request" && (r.Path != "/oauth2/auth" || r.Reason != "untrusted_peer" || r.Decision != "refuse" || r.Upstream != "") {
			t.Errorf("audited as %+v", r)
		}
	}
}

func TestForwardAuthIsAuditedAsTheOriginalRequest(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	const place = "https://argo-cd.example.com:8443/api/v1/applications/x?token=hidden"
	for _, c := range []struct {
		who      []string
		status   int
		decision string
	}{{g.as("alice"), 202, "allow"}, {g.as("bob"), 403, "deny"}, {nil, 401, "login"}} {
		res := g.ask(forms["nginx"]("DELETE", place), c.who, []string{"X-Forwarded-For", "203.0.113.9", "Sec-Fetch-Site", "same-origin"})
		expect(t, c.decision, res, c.status)
		all := g.records()
		r := all[len(all)-1]
		if r.Event != "request" || r.Method != "DELETE" || r.Host != "argo-cd.example.com:8443" || r.Path != "/api/v1/applications/x" ||
			r.Upstream != "argocd" || r.Remote != "203.0.113.9" || string(r.Decision) != c.decision || r.Status != c.status {
			t.Errorf("audited as %+v", r)
		}
	}
	families, err := g.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	for _, family := range families {
		if family.GetName() == "authgate_requests_total" {
			counted = len(family.GetMetric())
		}
	}
	if counted != 3 {
		t.Errorf("%d series of requests, want 3", counted)
	}
	for why, c := range map[string]struct {
		asked, path string
		headers     []string
	}{
		"bad_target":       {"https://argo-cd.example.com/a/../b", "", nil},
		"ambiguous_header": {place, "/api/v1/applications/x", []string{"X-HTTP-Method-Override", "GET"}},
	} {
		expect(t, why, g.ask(forms["nginx"]("DELETE", c.asked), c.headers), http.StatusForbidden)
		all := g.records()
		if r := all[len(all)-1]; r.Reason != why || r.Method != "DELETE" || r.Path != c.path {
			t.Errorf("%s: audited as %+v", why, r)
		}
	}
}

// An ingress passes them on, to servers that fold them all into one variable.
func TestAnIngressPassesNoOtherMethodOrPathOnInAnySpelling(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, name := range []string{
		"X-HTTP-Verb", "X_Verb_Override", "X-HttpMethod-Override", "X_HTTP_Host_Override", "X.Host-Override", "X_Override_URL",
		"X!HTTP!Method!Override", "X_HTTP*Verb",
		"X-HTTP-Method-Override", "X_HTTP_Method_Override", "x.http.method.override", "X-HTTP_Method-Override", "X_Http_Method", "X_METHOD_OVERRIDE", "X.Method-Override", "x_rewrite_url",
		"X.Rewrite.URL", "X_Original_URL", "X.Original.Method", "X_Forwarded_Uri", "X_Forwarded_Method", "X-Forwarded_Host",
	} {
		for form, ask := range forms {
			res := g.ask(ask("GET", app), g.as("alice"), sameSite, []string{name, "DELETE"})
			expect(t, form+" with "+name, res, http.StatusForbidden)
			if all := g.records(); all[len(all)-1].Reason != "ambiguous_header" {
				t.Errorf("%s with %s: %q", form, name, all[len(all)-1].Reason)
			}
		}
	}
	expect(t, "another one", g.ask(forms["nginx"]("GET", app), g.as("alice"), sameSite, []string{"X_Trace_Id", "1"}), http.StatusAccepted)
}

// TestForwardAuthLeadsToTheLogin by a page, which Traefik shows, and a Location,
// which nginx and Caddy can make a redirect of.
func TestForwardAuthLeadsToTheLogin(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	const place, start = argo + "/applications?a=1&b=2", "/oauth2/start?rd=%2Fapplications%3Fa%3D1%26b%3D2"
	for name, form := range forms {
		res := g.ask(form("GET", place), browser)
		expect(t, name, res, http.StatusUnauthorized)
		if got := res.Header.Get("Location"); got != argo+start {
			t.Errorf("%s: Location is %q", name, got)
		}
		if text := body(t, res); !strings.Contains(text, `href="`+start+`"`) {
			t.Errorf("%s: the page does not link to %s: %s", name, start, text)
		}
		for what, res := range map[string]*http.Response{
			"a script": g.ask(form("GET", place)),
			"a form":   g.ask(form("POST", place), browser),
		} {
			expect(t, what, res, http.StatusUnauthorized)
			if res.Header.Get("Location") != "" || res.Header.Get("Www-Authenticate") == "" {
				t.Errorf("%s is answered with %v", what, res.Header)
			}
		}
	}
	denied := g.ask(forms["nginx"]("GET", argo+"/secret/x"), browser, g.as("bob"))
	expect(t, "bob", denied, http.StatusForbidden)
	if text := body(t, denied); !strings.Contains(text, "bob@example.com") || !strings.Contains(text, "policy.csv:") {
		t.Errorf("the page does not say who and why: %s", text)
	}
}

// TestIngressBehindATLSBalancerFindsTheSession: it believes to speak http, yet the
// browser keeps a cookie that is sent over https alone.
func TestIngressBehindATLSBalancerFindsTheSession(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for name, form := range forms {
		inside := form("POST", strings.Replace(argo, "https", "http", 1)+"/api/v1/applications")
		expect(t, name, g.ask(inside, g.as("alice"), []string{"Origin", argo}), http.StatusAccepted)
		expect(t, name+", from http", g.ask(inside, g.as("alice"), []string{"Origin", "http://argo-cd.example.com"}), http.StatusForbidden)
	}
	told := g.ask(forms["nginx"]("GET", "http://argo-cd.example.com/"), https, browser)
	if got := told.Header.Get("Location"); !strings.HasPrefix(got, argo+"/oauth2/start") {
		t.Errorf("told of https, it leads to %q", got)
	}
	plain := []string{"Cookie", "authgate=" + strings.TrimPrefix(g.as("alice")[1], "__Host-authgate=")}
	expect(t, "a session under a name that a sibling can plant", g.ask(forms["nginx"]("GET", argo+"/"), plain), http.StatusUnauthorized)
}

func TestForwardAuthDoesNotWaitForABody(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, framing := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
		for who, status := range map[string]int{"alice": 202, "carol": 403} {
			res := g.raw("GET /oauth2/auth HTTP/1.1\r\nHost: a\r\n" + framing + "\r\n" +
				strings.Join(pairUp(append(forms["nginx"]("GET", argo+"/"), g.as(who)...)), "") + "\r\n")
			expect(t, who+" with "+framing, res, status)
		}
	}
}
