package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/target"
)

// TestUnclearQuestionsAreRefused asks about public paths: every 403 is
// for the question's own sake.
func TestUnclearQuestionsAreRefused(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	const open = argo + "/api/dex/keys"
	nginx, parts := forms["nginx"]("GET", open), byParts("GET", open)
	without := func(headers []string, name string) []string {
		i := slices.Index(headers, name)
		return append(slices.Clone(headers[:i]), headers[i+2:]...)
	}
	with := func(headers []string, more ...string) []string { return append(slices.Clone(headers), more...) }
	for _, c := range []struct {
		what    string
		headers []string
		status  int
		reason  string
	}{
		{"nginx", nginx, 202, ""},
		{"parts", parts, 202, ""},
		{"nginx, and the scheme of a balancer", with(nginx, "X-Forwarded-Proto", "https", "X-Forwarded-Host", "elsewhere.example.com"), 202, ""},
		{"nginx by path and Host", []string{"Host", "argo-cd.example.com", "X-Original-URL", "/api/dex/keys", "X-Original-Method", "GET"}, 202, ""},
		{"nginx by path and another Host", []string{"X-Original-URL", "/api/dex/keys", "X-Original-Method", "GET"}, 403, "unknown_host"},
		{"a WebSocket in Traefik's words", with(without(parts, "X-Forwarded-Proto"), "X-Forwarded-Proto", "wss"), 202, ""},
		{"nothing", nil, 403, "bad_forward_auth"},
		{"nginx without the method", without(nginx, "X-Original-Method"), 403, "bad_forward_auth"},
		{"nginx without the URL", without(nginx, "X-Original-URL"), 403, "bad_forward_auth"},
		{"nginx with an empty URL", with(without(nginx, "X-Original-URL"), "X-Original-URL", ""), 403, "bad_forward_auth"},
		{"nginx with two URLs", with(nginx, "X-Original-URL", open), 403, "bad_forward_auth"},
		{"nginx with two methods", with(nginx, "X-Original-Method", "GET"), 403, "bad_forward_auth"},
		{"nginx with a list of methods", with(without(nginx, "X-Original-Method"), "X-Original-Method", "GET, POST"), 403, "bad_method"},
		{"parts without the scheme", without(parts, "X-Forwarded-Proto"), 403, "bad_forward_auth"},
		{"parts without the host", without(parts, "X-Forwarded-Host"), 403, "bad_forward_auth"},
		{"parts without the URI", without(parts, "X-Forwarded-Uri"), 403, "bad_forward_auth"},
		{"parts without the method", without(parts, "X-Forwarded-Method"), 403, "bad_forward_auth"},
		{"parts with two hosts", with(parts, "X-Forwarded-Host", "argo-cd.example.com"), 403, "bad_forward_auth"},
		{"parts with two URIs", with(parts, "X-Forwarded-Uri", "/api/dex/keys"), 403, "bad_forward_auth"},
		{"parts with an unknown scheme", with(without(parts, "X-Forwarded-Proto"), "X-Forwarded-Proto", "ftp"), 403, "bad_forward_auth"},
		{"parts with a URL for the URI", with(without(parts, "X-Forwarded-Uri"), "X-Forwarded-Uri", open), 403, "bad_target"},
		{"URL of another scheme", []string{"X-Original-URL", "file:///api/dex/keys", "X-Original-Method", "GET"}, 403, "bad_forward_auth"},
		{"URL without a scheme", []string{"X-Original-URL", "argo-cd.example.com/api/dex/keys", "X-Original-Method", "GET"}, 403, "bad_forward_auth"},
		{"URL without a path", []string{"X-Original-URL", argo, "X-Original-Method", "GET"}, 403, "bad_forward_auth"},
		{"URL with a query and no path", []string{"X-Original-URL", argo + "?/api/dex/keys", "X-Original-Method", "GET"}, 403, "bad_target"},
		{"URL with a name before the host", []string{"X-Original-URL", "https://x@argo-cd.example.com/api/dex/keys", "X-Original-Method", "GET"}, 403, "unknown_host"},
		{"URL with a host that a backslash ends", []string{"X-Original-URL", `https://argo-cd.example.com\@evil/api/dex/keys`, "X-Original-Method", "GET"}, 403, "bad_target"},
		{"URL without a host", []string{"X-Original-URL", "https:///api/dex/keys", "X-Original-Method", "GET"}, 403, "unknown_host"},
		{"both, of different methods", with(nginx, byParts("POST", open)...), 403, "bad_forward_auth"},
		{"both, of different paths", with(nginx, byParts("GET", argo+"/api/dex")...), 403, "bad_forward_auth"},
		{"both, of different queries", with(nginx, byParts("GET", open+"?a")...), 403, "bad_forward_auth"},
		{"both, of different hosts", with(nginx, byParts("GET", "https://argo-workflows.example.com/api/dex/keys")...), 403, "bad_forward_auth"},
		{"nginx, and a client's X-Forwarded-Uri", with(nginx, "X-Forwarded-Uri", "/api/dex/keys"), 403, "bad_forward_auth"},
		{"parts, and a client's X-Original-URL", with(parts, "X-Original-URL", open), 403, "bad_forward_auth"},
		{"parts, and a client's X-Original-Method", with(parts, "X-Original-Method", "GET"), 403, "bad_forward_auth"},
		{"about authgate's own endpoint", forms["nginx"]("GET", argo+"/oauth2/userinfo"), 403, "reserved_path"},
		{"about itself", forms["nginx"]("GET", argo+"/oauth2/auth"), 403, "reserved_path"},
		{"with another method to run", with(nginx, "X-HTTP-Method-Override", "DELETE"), 403, "ambiguous_header"},
		{"with another path to run", with(parts, "X-Rewrite-URL", "/secret"), 403, "ambiguous_header"},
		{"for a tunnel", with(nginx, "Upgrade", "h2c"), 403, "ambiguous_header"},
		{"for a tunnel next to a WebSocket", with(with(nginx, handshakeBeyond...), "Upgrade", "h2c"), 403, "ambiguous_header"},
		{"for one of two protocols", with(nginx, "Upgrade", "websocket, h2c"), 403, "ambiguous_header"},
		{"for a WebSocket by POST", with(forms["nginx"]("POST", argo+"/api/dex/token"), handshakeBeyond...), 403, "ambiguous_header"},
	} {
		before := len(g.records())
		var res *http.Response
		if len(c.headers) > 0 && c.headers[0] == "Host" {
			res = g.raw("GET /oauth2/auth HTTP/1.1\r\nConnection: close\r\n" + strings.Join(pairUp(c.headers), "") + "\r\n")
		} else {
			res = g.ask(c.headers)
		}
		expect(t, c.what, res, c.status)
		if records := g.records(); len(records) != before+1 || records[before].Reason != c.reason {
			t.Errorf("%s: audited as %+v, want reason %q", c.what, records[before:], c.reason)
		}
	}
}

func pairUp(headers []string) (lines []string) {
	for i := 0; i < len(headers); i += 2 {
		lines = append(lines, headers[i]+": "+headers[i+1]+"\r\n")
	}
	return lines
}

// FuzzForwardAuth holds forward-auth to what it answers: leave only for the
// request that the proxy would forward, and never another success.
func FuzzForwardAuth(f *testing.F) {
	for _, rawURL := range []string{argo + "/", argo + "/api/dex/keys?x", "/a", "https://", "https://a?/", argo + `/\x`, argo + "/%2e%2e/", "HTTPS://argo-cd.example.com:443/%41"} {
		f.Add("GET", rawURL, "argo-cd.example.com", "/", "https")
		f.Add("POST", rawURL, "", "", "")
	}
	g := newGate(f, nil)
	f.Fuzz(func(t *testing.T, method, rawURL, host, uri, proto string) {
		h := http.Header{"X-Original-Url": {rawURL}, "X-Original-Method": {method}}
		if uri != "" {
			h["X-Forwarded-Uri"], h["X-Forwarded-Method"], h["X-Forwarded-Host"] = []string{uri}, []string{method}, []string{host}
		}
		if proto != "" {
			h["X-Forwarded-Proto"] = []string{proto}
		}
		w := answerOf(g, &http.Request{
			Method: "GET", RequestURI: "/oauth2/auth", URL: &url.URL{Path: "/oauth2/auth"}, Host: host, RemoteAddr: "127.0.0.1:1",
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: http.NoBody,
		})
		switch w.Code {
		case http.StatusAccepted:
			if !anonymousMay(rawURL) {
				t.Errorf("an anonymous request may not %s %q", method, rawURL)
			}
		case http.StatusUnauthorized, http.StatusForbidden:
		default:
			t.Errorf("%s %q: status %d", method, rawURL, w.Code)
		}
	})
}

// anonymousMay knows the rows of system:anonymous. An address without a host is on
// any.
func anonymousMay(rawURL string) bool {
	path := rawURL
	if _, rest, absolute := strings.Cut(rawURL, "://"); absolute {
		path = rest[max(0, strings.IndexByte(rest, '/')):]
	}
	p, err := target.Parse(path)
	return err == nil && (strings.HasPrefix(p.String()+"/", "/api/dex/") || p.String() == "/reports/")
}

func answerOf(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
