package proxy_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
)

const app = "https://argo-cd.example.com/api/v1/applications"

func TestAnAnonymousBrowserIsSentToLoginAndBack(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	res := g.do("GET", "https://argo-cd.example.com/applications?view=tiles&x=%2F", browser)
	expect(t, "navigation", res, http.StatusFound)
	if got, want := res.Header.Get("Location"), "/oauth2/start?rd=%2Fapplications%3Fview%3Dtiles%26x%3D%252F"; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		t.Error("the redirect may be cached")
	}
}

func TestAnAnonymousClientGetsJSON(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for name, headers := range map[string][]string{
		"curl":          {"Accept", "*/*"},
		"no Accept":     {},
		"script":        {"Accept", "text/html", "Sec-Fetch-Mode", "cors"},
		"old script":    {"Accept", "text/html", "X-Requested-With", "XMLHttpRequest"},
		"event stream":  {"Accept", "text/event-stream"},
		"bad cookie":    {"Cookie", "__Host-authgate=made-up"},
		"wrong q order": {"Accept", "application/json, text/htmlx"},
	} {
		res := g.do("GET", app, headers)
		expect(t, name, res, http.StatusUnauthorized)
		if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s: content type %q", name, got)
		}
		if res.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
		var p struct {
			Type, Title, Detail, ID, Login string
			Status                         int
		}
		if err := json.Unmarshal([]byte(body(t, res)), &p); err != nil || p.Status != 401 || p.Type != "urn:authgate:problem:login_required" || p.ID == "" || p.Login != "/oauth2/start" {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestDeniedBrowserSeesItsGroupsAndWhoWouldGetIn(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	res := g.do("GET", "https://argo-cd.example.com/", browser, g.as("carol"))
	expect(t, "carol", res, http.StatusForbidden)
	page := body(t, res)
	for _, want := range []string{"carol@example.com", "no groups", "example-org:argo", "example-org:dev"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in:\n%s", want, page)
		}
	}
	if !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("policy of the page: %q", res.Header.Get("Content-Security-Policy"))
	}
	res = g.do("GET", "https://argo-cd.example.com/secret/x", browser, g.as("bob"))
	if page = body(t, res); !strings.Contains(page, "policy.csv:5") {
		t.Errorf("the row that forbids is not named in:\n%s", page)
	}
}

func TestDeniedProgramIsToldInJSON(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	res := g.do("POST", app+"/web/sync", g.as("bob"), sameSite)
	expect(t, "bob", res, http.StatusForbidden)
	var p struct {
		Type, User       string
		Groups, Admitted []string
	}
	if err := json.Unmarshal([]byte(body(t, res)), &p); err != nil {
		t.Fatal(err)
	}
	if p.Type != "urn:authgate:problem:denied" || p.User != "bob@example.com" || len(p.Groups) != 2 || len(p.Admitted) != 1 || p.Admitted[0] != "example-org:argo" {
		t.Errorf("%+v", p)
	}
}

func TestGRPCIsAnsweredInItsOwnTerms(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for status, headers := range map[string][]string{"16": {}, "7": g.as("bob")} {
		res := g.do("POST", "https://argo-cd.example.com/version.VersionService/Version", headers, sameSite, []string{"Content-Type", "application/grpc"})
		expect(t, status, res, http.StatusOK)
		if got := res.Header.Get("Grpc-Status"); got != status {
			t.Errorf("grpc-status %q, want %q", got, status)
		}
	}
}

func TestUnknownHostIsMisdirected(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, host := range []string{"other.example.com", "argo-cd.example.com.evil.com", "xargo-cd.example.com", "argo-cd.example.com:x", "argo-cd.example.com:80:80", ""} {
		for _, path := range []string{"/", "/oauth2/start", "/oauth2/userinfo"} {
			expect(t, host+path, g.do("GET", "https://"+host+path, browser, g.as("alice")), http.StatusMisdirectedRequest)
		}
	}
	res := g.do("GET", "https://other.example.com/", g.as("alice"), []string{"X-Forwarded-Host", "argo-cd.example.com"})
	expect(t, "X-Forwarded-Host", res, http.StatusMisdirectedRequest)
	for _, host := range []string{"argo-cd.example.com", "ARGO-CD.example.com", "argo-cd.example.com.", "argo-cd.example.com:8443"} {
		expect(t, host, g.do("GET", "https://"+host+"/", g.as("alice")), http.StatusOK)
	}
}

func TestAmbiguousTargetsAreRefused(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	cookie := "X-Forwarded-Proto: https\r\nCookie: " + g.as("alice")[1] + "\r\n"
	for _, target := range []string{
		"/a/../b", "/a/%2e%2e/b", "//evil.example/x", "/a//b", "/a;x=1", "/a%00", "/a\\b", "/a%5Cb", "/%ff", "/a%252Fb",
		"/a%2Fb", "http://argo-cd.example.com/", "x:y", "*", "/a#b",
	} {
		res := g.raw("GET " + target + " HTTP/1.1\r\nHost: argo-cd.example.com\r\n" + cookie + "\r\n")
		expect(t, target, res, http.StatusBadRequest)
	}
	for method, want := range map[string]int{"TRACE": 405, "CONNECT": 405, "get": 405, "G!T": 405} {
		expect(t, method, g.raw(method+" / HTTP/1.1\r\nHost: argo-cd.example.com\r\n"+cookie+"\r\n"), want)
	}
}

func TestLongestPathPrefixPicksTheUpstream(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for path, want := range map[string]string{"/": "argocd", "/reports": "reports", "/reports/x": "reports", "/reportsx": "argocd"} {
		expect(t, path, g.do("GET", "https://argo-cd.example.com"+path, g.as("alice")), http.StatusOK)
		all := g.records()
		if got := all[len(all)-1].Upstream; got != want {
			t.Errorf("%s went to %s, want %s", path, got, want)
		}
	}
}

func TestRefusalDoesNotWaitForABodyThatNeverComes(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, framing := range []string{"Content-Length: 100000", "Transfer-Encoding: chunked"} {
		conn, err := net.Dial("tcp", g.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: argo-cd.example.com\r\n"+framing+"\r\n\r\n")
		reader := bufio.NewReader(conn)
		res, err := http.ReadResponse(reader, nil)
		if err != nil || res.StatusCode != http.StatusUnauthorized || !res.Close {
			t.Fatalf("%s: %v, %v", framing, res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		var waited net.Error
		if _, err := reader.ReadByte(); err == nil || errors.As(err, &waited) && waited.Timeout() {
			t.Errorf("%s: the connection is still held: %v", framing, err)
		}
	}
}

func TestCredentialThatIsNotAcceptedIsRefusedAndNotPassedOn(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, credential := range [][]string{
		{"Authorization", "Bearer made.up.token"},
		{"Authorization", "Basic YTpi"},
		{"Proxy-Authorization", "Bearer made.up.token"},
	} {
		res := g.do("GET", app, credential, g.as("alice"), browser)
		expect(t, credential[0], res, http.StatusUnauthorized)
		res = g.do("POST", "https://argo-cd.example.com/api/dex/token", credential)
		expect(t, credential[0]+" on a public path", res, http.StatusOK)
		got := echoed(t, res)
		if strings.HasPrefix(credential[0], "Proxy-") != (got.Header.Get(credential[0]) == "") {
			t.Errorf("%s: the upstream got %q", credential[0], got.Header)
		}
	}
}

// closedAddress is an address that refuses connections. The port of a closed listener would be
// given to another test.
const closedAddress = "127.0.0.1:1"

func TestUpstreamThatIsDownIsExplained(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, "http://"+closedAddress)
	res := g.do("GET", app, g.as("alice"), browser)
	expect(t, "page", res, http.StatusBadGateway)
	page := body(t, res)
	id := g.records()[1].ID
	if !strings.Contains(page, "argocd") || !strings.Contains(page, id) || strings.Contains(page, closedAddress) {
		t.Errorf("the page should name the upstream and the id %s, and no address:\n%s", id, page)
	}
	if !strings.Contains(g.log.String(), id) || !strings.Contains(g.log.String(), "connection refused") {
		t.Errorf("the log does not explain %s:\n%s", id, g.log)
	}
}

func TestEveryRequestLeavesOneRecord(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	g.do("GET", app+"?secret=1", g.as("alice"))
	g.do("POST", app+"/web/sync", g.as("bob"), sameSite)
	g.do("GET", app, browser)
	g.do("GET", "https://other.example.com/")
	g.do("GET", "https://argo-cd.example.com/a//b")
	want := []audit.Record{
		{Event: audit.Policy, Decision: audit.Allow},
		{Event: audit.Request, Decision: audit.Allow, Status: 200, Upstream: "argocd", Subject: "sub-alice", Email: "alice@example.com", Rule: "policy.csv:4", Path: "/api/v1/applications"},
		{Event: audit.Request, Decision: audit.Deny, Status: 403, Upstream: "argocd", Subject: "sub-bob", Email: "bob@example.com", Reason: "denied", Path: "/api/v1/applications/web/sync"},
		{Event: audit.Request, Decision: audit.LoginRequired, Status: 302, Upstream: "argocd", Reason: "login_required", Path: "/api/v1/applications"},
		{Event: audit.Request, Decision: audit.Refuse, Status: 421, Reason: "unknown_host", Path: "/"},
		{Event: audit.Request, Decision: audit.Refuse, Status: 400, Reason: "bad_target"},
	}
	got := g.records()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d:\n%s", len(got), len(want), g.audit)
	}
	for i, r := range got {
		w := want[i]
		if r.Event != w.Event || r.Decision != w.Decision || r.Status != w.Status || r.Upstream != w.Upstream || r.Subject != w.Subject ||
			r.Email != w.Email || r.Reason != w.Reason || r.Rule != w.Rule || r.Path != w.Path || r.Policy == "" || r.Time.IsZero() {
			t.Errorf("record %d:\n got %+v\nwant %+v", i, r, w)
		}
	}
	if r := got[1]; r.Roles[0] != "role:admin" || r.Bytes == 0 || r.Millis <= 0 || r.Remote != "127.0.0.1" || r.Method != "GET" || r.Host != "argo-cd.example.com" {
		t.Errorf("%+v", r)
	}
}
