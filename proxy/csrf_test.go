package proxy_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/proxy/upstream"
)

// What a request with alice's cookie may do, by where a browser says it is from.
type origins struct {
	name         string
	headers      []string
	write        bool // POST, PUT, PATCH, DELETE
	upgrade      bool
	effect       bool // a GET that changes something
	ours         bool // and sign out: no one lists origins for authgate's own endpoints
	anythingElse bool // not looked at: refused before
}

var (
	everything = origins{write: true, upgrade: true, effect: true, ours: true}
	listed     = origins{write: true, upgrade: true, effect: true}
	nothing    = origins{}
	writeAlone = origins{write: true, ours: true}
)

func from(o origins, name string, headers ...string) origins {
	o.name, o.headers = name, headers
	return o
}

const (
	site    = "Sec-Fetch-Site"
	here    = "https://argo-cd.example.com"
	sibling = "https://argo-workflows.example.com"
	friend  = "https://friend.example.com"
	evil    = "https://evil.example"
)

var originTable = []origins{
	// Browsers of today, on https.
	from(everything, "own page", site, "same-origin", "Origin", here),
	from(everything, "own page, no Origin", site, "same-origin"),
	from(everything, "own page with Referer", site, "same-origin", "Referer", here+"/applications"),
	from(everything, "typed or bookmarked", site, "none"),
	from(nothing, "typed, yet with an Origin", site, "none", "Origin", here),
	from(nothing, "typed, yet with another Origin", site, "none", "Origin", evil),
	from(nothing, "typed, yet with a null Origin", site, "none", "Origin", "null"),
	from(nothing, "sibling dashboard", site, "same-site", "Origin", sibling),
	from(nothing, "sibling, no Origin", site, "same-site"),
	from(nothing, "sibling that claims our Origin", site, "same-site", "Origin", here),
	from(nothing, "sibling with our Referer", site, "same-site", "Referer", here+"/"),
	from(nothing, "http page of the same name", site, "cross-site", "Origin", "http://argo-cd.example.com"),
	from(nothing, "other site", site, "cross-site", "Origin", evil),
	from(nothing, "other site, no Origin", site, "cross-site"),
	from(nothing, "other site, our Referer", site, "cross-site", "Referer", here+"/"),
	from(nothing, "other site, our Origin", site, "cross-site", "Origin", here),
	from(nothing, "sandboxed frame", site, "cross-site", "Origin", "null"),
	from(nothing, "word in another case", site, "Same-Origin"),
	from(nothing, "word in capitals", site, "SAME-ORIGIN"),
	from(nothing, "none in another case", site, "None"),
	from(nothing, "empty word", site, ""),
	from(nothing, "empty word, our Origin", site, "", "Origin", here),
	from(nothing, "two words", site, "same-origin, cross-site"),
	from(nothing, "two words, other way round", site, "cross-site, same-origin"),
	from(nothing, "unknown word", site, "same-origin-ish"),
	from(nothing, "quoted", site, `"same-origin"`),
	// Listed origins.
	from(listed, "listed", site, "cross-site", "Origin", friend),
	from(listed, "listed, same site", site, "same-site", "Origin", friend),
	from(listed, "listed, without the word", "Origin", friend),
	from(listed, "listed, with port", "Origin", friend+":443"),
	from(listed, "listed, upper case", "Origin", "HTTPS://FRIEND.example.com"),
	from(listed, "listed, with dot", "Origin", "https://friend.example.com."),
	from(nothing, "listed, by Referer", site, "cross-site", "Referer", friend+"/"),
	from(nothing, "listed name on http", "Origin", "http://friend.example.com"),
	from(nothing, "listed name on another port", "Origin", friend+":8443"),
	from(nothing, "below a listed name", "Origin", "https://x.friend.example.com"),
	from(nothing, "above a listed name", "Origin", "https://example.com"),
	from(nothing, "listed as a prefix", "Origin", friend+".evil.example"),
	from(nothing, "listed as a suffix", "Origin", "https://evil-friend.example.com"),
	from(nothing, "listed as user", "Origin", friend+"@evil.example"),
	from(nothing, "listed behind a comma", "Origin", evil+", "+friend),
	from(nothing, "listed before a comma", "Origin", friend+", "+evil),
	from(nothing, "listed before a blank", "Origin", friend+" "+evil),
	from(nothing, "listed with a path", "Origin", friend+"/"),
	// Older browsers, and every browser on plain http: Origin decides.
	from(everything, "older browser", "Origin", here),
	from(everything, "older browser, with port", "Origin", here+":443"),
	from(everything, "older browser, upper case", "Origin", "HTTPS://Argo-CD.example.com"),
	from(nothing, "older browser, sibling", "Origin", sibling),
	from(nothing, "older browser, http page", "Origin", "http://argo-cd.example.com"),
	from(nothing, "older browser, http page with port", "Origin", "http://argo-cd.example.com:443"),
	from(nothing, "older browser, other port", "Origin", here+":8443"),
	from(nothing, "older browser, other site", "Origin", evil),
	from(nothing, "older browser, null", "Origin", "null"),
	from(nothing, "older browser, empty", "Origin", ""),
	from(nothing, "no URL", "Origin", "foo:x"),
	from(nothing, "no scheme", "Origin", "argo-cd.example.com"),
	from(nothing, "scheme-relative", "Origin", "//argo-cd.example.com"),
	from(nothing, "only a scheme", "Origin", "https://"),
	from(nothing, "other scheme", "Origin", "chrome-extension://argo-cd.example.com"),
	from(nothing, "file", "Origin", "file://"),
	from(nothing, "with a user", "Origin", "https://a@argo-cd.example.com"),
	from(nothing, "with a path", "Origin", here+"/x"),
	from(nothing, "with a backslash", "Origin", here+`\@evil.example`),
	from(nothing, "with a port of no digits", "Origin", here+":x"),
	// Neither header: no browser writes so, yet every one fetches images so.
	from(writeAlone, "program"),
	from(origins{write: true, effect: true, ours: true}, "plain http, own page", "Referer", here+"/applications/x"),
	from(origins{write: true, effect: true, ours: true}, "plain http, own start page", "Referer", here),
	from(writeAlone, "plain http, sibling", "Referer", sibling+"/"),
	from(writeAlone, "plain http, our name as a prefix", "Referer", here+".evil.example/"),
	from(writeAlone, "plain http, our name as user", "Referer", here+"@evil.example/"),
	from(writeAlone, "plain http, our name in the path", "Referer", evil+"/"+here),
	from(writeAlone, "plain http, two Referers", "Referer", here+"/", "Referer", evil+"/"),
	from(writeAlone, "plain http, empty Referer", "Referer", ""),
	// Said twice, there are two readers.
	from(origins{anythingElse: true}, "two sites", site, "same-origin", site, "cross-site"),
	from(origins{anythingElse: true}, "two origins", "Origin", here, "Origin", evil),
}

func TestWhatRidesOnASessionComesFromTheSameOrigin(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	alice := g.as("alice")
	ask := func(method, path string, headers ...[]string) int {
		return g.do(method, here+path, append(headers, alice)...).StatusCode
	}
	handshake := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", "x", "Sec-WebSocket-Version", "13"}
	for _, o := range originTable {
		if o.anythingElse {
			for _, method := range []string{"GET", "POST"} {
				if status := ask(method, "/api/v1/applications", o.headers); status != http.StatusBadRequest {
					t.Errorf("%s: %s: %d", o.name, method, status)
				}
			}
			continue
		}
		check := func(what string, status int, may bool) {
			t.Helper()
			if (status == http.StatusForbidden) == may {
				t.Errorf("%s: %s was answered with %d", o.name, what, status)
			}
		}
		for _, method := range []string{"POST", "DELETE", "PROPFIND"} {
			check(method, ask(method, "/api/v1/applications", o.headers), o.write)
		}
		check("an upgrade", ask("GET", "/api/v1/stream", handshake, o.headers), o.upgrade)
		for _, path := range []string{"/api/v1/repositories/x?forceRefresh=true", "/extensions/x/y", "/api/v1/applications/web?refresh=hard", "/terminal?pod=a"} {
			check("GET "+path, ask("GET", path, o.headers), o.effect)
		}
		check("HEAD", ask("HEAD", "/extensions/x/y", o.headers), o.effect)
		check("signing out", g.do("POST", here+"/oauth2/sign_out", o.headers, g.as("alice")).StatusCode, o.ours)
		for _, path := range []string{"/api/v1/applications", "/api/v1/applications/web", "/oauth2/sign_out", "/oauth2/start", "/reports/x?refresh=hard"} {
			check("GET "+path, ask("GET", path, o.headers), true)
		}
		check("OPTIONS", ask("OPTIONS", "/api/v1/applications", o.headers), true)
	}
}

func TestEachUpstreamListsItsOwnOrigins(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	header := []string{"Origin", friend}
	expect(t, "listed", g.do("POST", app, g.as("alice"), header), http.StatusOK)
	expect(t, "another upstream on the same host", g.do("POST", here+"/reports/x", g.as("alice"), header), http.StatusForbidden)
	expect(t, "another host", g.do("POST", sibling+"/", g.as("alice"), header), http.StatusForbidden)
	expect(t, "signing out", g.do("POST", own+"/sign_out", g.as("alice"), header), http.StatusForbidden)
}

func TestAnInvalidListedOriginAdmitsNoRequest(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), func(o *proxy.Options) {
		o.Config.Upstreams[0].AllowedOrigins = []string{"https://a..b", "null", ""}
	})
	for _, origin := range []string{"null", "", "https://a..b", "https://c..d", "foo:x"} {
		expect(t, origin, g.do("POST", app, g.as("alice"), []string{"Origin", origin}), http.StatusForbidden)
	}
}

func TestTheOriginHasTheSchemeAndPortThatBrowsersSee(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for host, origins := range map[string]map[string]int{
		"argo-cd.example.com:8443": {"https://argo-cd.example.com:8443": 200, here: 403},
		"argo-cd.example.com:443":  {here: 200, here + ":443": 200},
		"argo-cd.example.com.":     {here: 200, here + ".": 200},
	} {
		for origin, status := range origins {
			expect(t, host+" "+origin, g.do("POST", "https://"+host+"/x", g.as("alice"), []string{"Origin", origin}), status)
		}
	}
}

func TestACookieNextToACredentialIsNotUsed(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		for _, value := range []string{"Bearer x", "Basic eDp5", ""} {
			res := g.do("POST", app, g.as("alice"), sameSite, []string{name, value})
			expect(t, name+" "+value, res, http.StatusUnauthorized)
		}
	}
	all := g.records()
	if r := all[len(all)-1]; r.Subject != "" || r.Reason != "credential_refused" {
		t.Errorf("%+v", r)
	}
	got := echoed(t, g.do("POST", here+"/api/dex/token", g.as("alice"), []string{"Authorization", "Basic eDp5", site, "cross-site", "Origin", evil}))
	if got.Header.Get("Authorization") != "Basic eDp5" || got.Header.Get("X-Forwarded-User") != "" || got.Header.Get("Cookie") != "" {
		t.Errorf("a public path: %q", got.Header)
	}
}

func TestAPreflightIsAPolicyQuestionLikeAnyOther(t *testing.T) {
	t.Parallel()
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", friend)
		w.WriteHeader(http.StatusNoContent)
	}))
	preflight := []string{"Origin", friend, "Access-Control-Request-Method", "POST", site, "cross-site", "Sec-Fetch-Mode", "cors"}
	res := g.do("OPTIONS", app, preflight)
	expect(t, "browsers send no cookie with it, so the request is anonymous", res, http.StatusUnauthorized)
	if res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%q", res.Header)
	}
	res = g.do("OPTIONS", here+"/api/dex/token", preflight)
	expect(t, "a public path", res, http.StatusNoContent)
	if res.Header.Get("Access-Control-Allow-Origin") != friend {
		t.Errorf("%q", res.Header)
	}
}

func TestEffectsAreFoundHoweverTheQueryIsWritten(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]bool{
		"refresh=hard": true, "refresh": true, "refresh=": true, "a=1&refresh=x": true, "refresh=x&a=1": true, "a;refresh=x": true,
		"%72efresh=hard": true, "REFRESH=hard": true, "a=%zz&refresh=x": true, "&&refresh": true, "r%65fres%68": true,
		"": false, "a=refresh": false, "refreshed=1": false, "xrefresh=1": false, "a=1&b=2": false, "%zzrefresh=1": false, "a[refresh]=1": false,
		// grpc-gateway takes what is in brackets for a value or a key of a map.
		"refresh[hard]": true, "refresh[hard]=": true, "refresh%5Bhard%5D": true, "refresh%5bhard]=1": true, "Refresh[a][b]=c": true, "refresh[": true,
		"refresh[a=b]=c": true, "refresh[a&b]": true, "%72%65fresh%5B%5D=hard": true, "refresh[%zz]=1": true, "r%65fresh[%zz]=1": true, "x=1;refresh[hard]": true,
		"query.refresh=hard": true, "refresh.value=hard": true, "a.b.refresh[x]=": true, "query%2Erefresh=hard": true, "_refresh_=1": true, "+refresh=1": true,
		"REFRESH[HARD]": true, "a.refreshed=1": false, "refresh/hard": false, "projects[refresh]": false,
	} {
		if upstream.HasParameter(query, "refresh") != want {
			t.Errorf("%q: found is %v", query, !want)
		}
	}
	for _, query := range []string{
		"forceRefresh", "force_refresh=true", "ForceRefresh[true]=", "FORCE_REFRESH", "forcerefresh=1", "force%5Frefresh[true]", "q.force_refresh[true]=x", "force%52efresh%5B1%5D",
	} {
		if !upstream.HasParameter(query, "forceRefresh") {
			t.Errorf("%q: not found", query)
		}
	}
}

func TestALoginFinishesInTheBrowserThatBeganIt(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	// An attacker begins a login, and has the victim's browser finish it.
	state, attackers := g.begin("/")
	_, victims := g.begin("/")
	for name, cookies := range map[string][][]string{
		"without a login":        nil,
		"with one of its own":    {victims},
		"a cookie under another": {{"Cookie", strings.Replace(attackers[1], "__Host-", "", 1)}},
	} {
		res := g.callback("alice", state, cookies...)
		expect(t, name, res, http.StatusBadRequest)
		if sessionOf(res) != nil {
			t.Errorf("%s: signed in as the attacker", name)
		}
	}
	bobs := g.callback("alice", state, []string{"Cookie", victims[1] + "; " + g.as("bob")[1]})
	if expect(t, "in a session", bobs, http.StatusSeeOther); sessionOf(bobs) != nil {
		t.Error("the victim goes on as the attacker")
	}
	expect(t, "the attacker's own browser", g.callback("alice", state, attackers), http.StatusFound)
}

func TestSigningOutNeedsAFormOfOurOwn(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	ended := func(res *http.Response) bool {
		return strings.Contains(strings.Join(res.Header["Set-Cookie"], ","), "__Host-authgate=;")
	}
	res := g.do("GET", own+"/sign_out", g.as("alice"), browser)
	if expect(t, "GET", res, http.StatusOK); ended(res) || !strings.Contains(body(t, res), "<form") {
		t.Error("a link signs out")
	}
	if res = g.do("HEAD", own+"/sign_out", g.as("alice"), browser); ended(res) {
		t.Error("HEAD signs out")
	}
	if res = g.do("POST", own+"/sign_out", g.as("alice"), []string{site, "same-site", "Origin", sibling}); ended(res) {
		t.Error("a sibling signs out")
	}
	if res = g.do("POST", own+"/sign_out", g.as("alice"), sameSite, []string{"Origin", here}); !ended(res) {
		t.Errorf("our own form does not: %q", res.Header)
	}
	for _, method := range []string{"PUT", "DELETE", "OPTIONS"} {
		res = g.do(method, own+"/sign_out", g.as("alice"), sameSite)
		if expect(t, method, res, http.StatusMethodNotAllowed); ended(res) {
			t.Errorf("%s signs out", method)
		}
	}
}

func TestSigningOutEndsTheStreamsOfThatSession(t *testing.T) {
	t.Parallel()
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	open := func(cookie []string) io.ReadCloser {
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+g.address+"/api/v1/stream/applications", nil)
		r.Host = "argo-cd.example.com"
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set(cookie[0], cookie[1])
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return res.Body
	}
	alice, elsewhere := g.as("alice"), g.as("alice") // two browsers of one person
	mine, theirs := open(alice), open(elsewhere)
	defer theirs.Close()
	form := url.Values{"rd": {"/"}}.Encode()
	res := g.raw("POST /oauth2/sign_out HTTP/1.1\r\nHost: argo-cd.example.com\r\nConnection: close\r\nX-Forwarded-Proto: https\r\nSec-Fetch-Site: same-origin\r\nCookie: " + alice[1] +
		"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\n\r\n" + form)
	expect(t, "signing out", res, http.StatusSeeOther)
	if _, err := io.Copy(io.Discard, mine); ctx.Err() != nil {
		t.Fatalf("the stream is still open: %v", err)
	}
	cut := 0
	for _, r := range g.records() {
		if r.Event == "stream_cut" {
			cut++
			if r.Reason != "signed_out" {
				t.Errorf("%+v", r)
			}
		}
	}
	if cut != 1 {
		t.Errorf("%d streams were cut", cut)
	}
}

func TestAFormThatNeverComesIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	res := g.raw("POST /oauth2/sign_out HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nrd=")
	expect(t, "answered, and the connection closed", res, http.StatusOK)
}
