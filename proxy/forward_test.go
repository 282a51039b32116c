package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestUpstreamIsToldWhoAsksAndFromWhere(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	got := echoed(t, g.do("GET", app, g.as("bob"), []string{"X-Forwarded-For", "9.9.9.9, 203.0.113.7"}))
	for name, want := range map[string]string{
		"X-Forwarded-User": "sub-bob", "X-Auth-Request-User": "sub-bob",
		"X-Forwarded-Email": "bob@example.com", "X-Auth-Request-Email": "bob@example.com",
		"X-Forwarded-Preferred-Username": "bob", "X-Auth-Request-Preferred-Username": "bob",
		"X-Forwarded-Groups": "example-org:dev,odd%2C group%25%0A", "X-Auth-Request-Groups": "example-org:dev,odd%2C group%25%0A",
		"X-Forwarded-For": "203.0.113.7", "X-Real-Ip": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "argo-cd.example.com",
	} {
		if values := got.Header[name]; len(values) != 1 || values[0] != want {
			t.Errorf("%s: %q, want %q", name, values, want)
		}
	}
	if got.Host != "argo-cd.example.com" {
		t.Errorf("Host %q", got.Host)
	}
	if got := echoed(t, g.do("GET", "https://argo-workflows.example.com/", g.as("alice"))); got.Host != "inside.example.com" || got.Header.Get("X-Forwarded-User") != "" {
		t.Errorf("hostHeader and no identity.headers: Host %q, user %q", got.Host, got.Header.Get("X-Forwarded-User"))
	}
	if got := echoed(t, g.do("GET", "https://argo-cd.example.com/welcome", g.as("carol"))); got.Header.Get("X-Forwarded-Email") != "" {
		t.Errorf("an e-mail that is not verified was told: %q", got.Header)
	}
}

func TestWhatAClientSaysAboutItselfNeverReachesTheUpstream(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	names := []string{
		"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Access-Token", "X-Auth-Request-User",
		"Remote-User", "X-Remote-User", "X-WebAuth-User", "X-Authenticated-User", "Impersonate-User", "Impersonate-Extra-Scopes",
		"X-Amzn-Oidc-Data", "X-Goog-Iap-Jwt-Assertion", "Tailscale-User-Login", "Grpc-Metadata-Token", "Argocd-User-Groups",
		"Forwarded", "X-Forwarded-Prefix", "X-Forwarded-Port", "X-Forwarded-Uri", "X-Original-Url", "X-Rewrite-Url",
		"X-Http-Method-Override", "X-Method-Override", "X-Client-Ip", "Via", "Proxy", "X-Accel-Redirect", "Cf-Access-Jwt-Assertion",
	}
	for _, name := range names {
		for _, spelling := range []string{
			name, strings.ToLower(name), strings.ToUpper(name),
			strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.Replace(name, "-", "_", 1),
		} {
			headers := []string{spelling, "spoofed", spelling, "spoofed-again"}
			for how, extra := range map[string][]string{
				"alone": {}, "in Connection": {"Connection", name + ", X-Forwarded-User"},
			} {
				got := echoed(t, g.do("GET", app, g.as("bob"), headers, extra))
				for seen, values := range got.Header {
					if strings.Contains(strings.Join(values, ","), "spoofed") {
						t.Errorf("%s %s: the upstream got %s: %q", spelling, how, seen, values)
					}
				}
				if user := got.Header.Get("X-Forwarded-User"); user != "sub-bob" {
					t.Errorf("%s %s: X-Forwarded-User is %q", spelling, how, user)
				}
			}
		}
	}
	// As a trailer, which net/http also accepts without announcement.
	got := echoed(t, g.raw("POST /api/dex/token HTTP/1.1\r\nHost: argo-cd.example.com\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Forwarded-User\r\n\r\n"+
		"2\r\nhi\r\n0\r\nX-Forwarded-User: spoofed\r\n\r\n"))
	if len(got.Trailer) != 0 || got.Header.Get("Trailer") != "" || got.Body != "hi" {
		t.Errorf("trailers went on: %+v", got)
	}
}

func TestSignedInUsersReachPublicPaths(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, who := range []string{"bob", "carol"} {
		got := echoed(t, g.do("POST", "https://argo-cd.example.com/api/dex/token", g.as(who), sameSite))
		if got.Header.Get("X-Forwarded-User") != "" {
			t.Errorf("%s is anonymous, yet the upstream is told %q", who, got.Header.Get("X-Forwarded-User"))
		}
	}
	all := g.records()
	if r := all[len(all)-1]; r.Subject != "sub-carol" || r.Rule != "policy.csv:2" || r.Decision != "allow" {
		t.Errorf("%+v", r)
	}
	res := g.do("GET", "https://argo-cd.example.com/api/dex/internal", g.as("bob"))
	expect(t, "where a row forbids it", res, http.StatusForbidden)
}

func TestSessionNeverReachesTheUpstream(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	cookie := g.as("alice")[1]
	got := echoed(t, g.do("GET", app, []string{"Cookie", "theme=dark; " + cookie + "; argocd.tokens=x"}))
	if got.Header.Get("Cookie") != "theme=dark; argocd.tokens=x" {
		t.Errorf("Cookie %q", got.Header.Get("Cookie"))
	}
}

func TestUpstreamCannotSpeakForAuthgate(t *testing.T) {
	t.Parallel()
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Set-Cookie"] = []string{"__Host-authgate=mine; Path=/", "theme=dark", "AUTHGATE-login-x=y", "__Host-authgate =z"}
		h.Set("Alt-Svc", `h3=":443"`)
		h["Content-Type"] = nil
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "<html>not announced as such")
	}))
	res := g.do("GET", app, g.as("alice"))
	if got := res.Header["Set-Cookie"]; len(got) != 1 || got[0] != "theme=dark" {
		t.Errorf("Set-Cookie %q", got)
	}
	if res.Header.Get("Alt-Svc") != "" || res.Header.Get("Content-Type") != "" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%q", res.Header)
	}
}

func TestPathAndQueryGoOutAsTheyWereJudged(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for sent, want := range map[string]string{
		"/":                                "/",
		"/a?":                              "/a?",
		"/a?x=1;y=2&z=%zz&q=%2F..//":       "/a?x=1;y=2&z=%zz&q=%2F..//",
		"/a/?b":                            "/a/?b",
		"/%41%3a%7c|":                      "/A%3A%7C%7C",
		"/caf%c3%a9":                       "/caf%C3%A9",
		"/x?" + strings.Repeat("a=1&", 99): "/x?" + strings.Repeat("a=1&", 99),
	} {
		got := echoed(t, g.do("GET", "https://argo-cd.example.com"+sent, g.as("alice")))
		if got.RequestURI != want {
			t.Errorf("%q went out as %q, want %q", sent, got.RequestURI, want)
		}
	}
}

func TestQueriesOfTenThousandParametersArrive(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	query := strings.Repeat("a&", 10_050)
	got := echoed(t, g.do("GET", app+"?"+query, g.as("alice")))
	if !strings.HasSuffix(got.RequestURI, "?"+query) {
		t.Errorf("%d bytes of query arrived", len(got.RequestURI))
	}
}

func TestEarlyHintsCarryNothingOfAuthgate(t *testing.T) {
	t.Parallel()
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
	}))
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: argo-cd.example.com\r\nConnection: close\r\nX-Forwarded-Proto: https\r\nCookie: "+g.as("alice")[1]+"\r\n\r\n")
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	hint, final, _ := strings.Cut(string(all), "\r\n\r\n")
	if hint != "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload" || !strings.HasPrefix(final, "HTTP/1.1 202 ") {
		t.Errorf("got:\n%s", all)
	}
	if r := g.records()[1]; r.Status != http.StatusAccepted {
		t.Errorf("the audit says %d", r.Status)
	}
}

// rawUpstream answers every connection with fixed bytes after the first request.
func rawUpstream(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, answer)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestNonsenseFromAnUpstreamIsABadGateway(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"status below 100":   "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
		"garbage":            "220 smtp.example.com ESMTP\r\n",
		"nothing":            "",
		"two lengths":        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"tunnel unasked for": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
	} {
		g := newGateTo(t, rawUpstream(t, answer))
		expect(t, name, g.do("GET", app, g.as("alice")), http.StatusBadGateway)
		if r := g.records()[1]; r.Status != http.StatusBadGateway {
			t.Errorf("%s: the audit says %d", name, r.Status)
		}
	}
}

func TestOnlyWebSocketsAreTunnelled(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for name, headers := range map[string][]string{
		"h2c":               {"Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABkAAQAAP__"},
		"list":              {"Connection", "Upgrade", "Upgrade", "websocket, h2c"},
		"two":               {"Connection", "Upgrade", "Upgrade", "websocket", "Upgrade", "h2c"},
		"other":             {"Connection", "Upgrade", "Upgrade", "SPDY/3.1"},
		"websocket by POST": {"Connection", "Upgrade", "Upgrade", "websocket", "X-Post", "1"},
	} {
		method := "GET"
		if strings.HasSuffix(name, "POST") {
			method = "POST"
		}
		got := echoed(t, g.do(method, app, g.as("alice"), headers, sameSite))
		if got.Header.Get("Upgrade") != "" || got.Header.Get("Http2-Settings") != "" {
			t.Errorf("%s: the upstream was asked to switch: %q", name, got.Header)
		}
	}
}

func TestWebSocketGoesBothWays(t *testing.T) {
	t.Parallel()
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		line, _ := rw.ReadString('\n')
		fmt.Fprintf(conn, "echo %s", line)
	}))
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET /terminal HTTP/1.1\r\nHost: argo-cd.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Origin: https://argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nCookie: %s\r\n\r\n", g.as("alice")[1])
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	fmt.Fprintln(conn, "hello")
	if line, err := reader.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("%q, %v", line, err)
	}
}

func TestEventsArriveAsTheyAreSent(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for event := range next {
			fmt.Fprintf(w, "data: %s\n\n", event)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET /api/v1/stream/applications HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\nCookie: %s\r\n\r\n", g.as("alice")[1])
	next <- "first"
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	events := bufio.NewReader(res.Body)
	for i, want := range []string{"first", "second", "third"} {
		if i > 0 {
			next <- want // not before the one before it has arrived
		}
		line, err := events.ReadString('\n')
		if err != nil || line != "data: "+want+"\n" {
			t.Fatalf("%q, %v; want %q", line, err, want)
		}
		_, _ = events.ReadString('\n')
	}
	close(next)
}

func TestUpstreamsAreNotReachedThroughHTTPProxy(t *testing.T) {
	trap := rawUpstream(t, "HTTP/1.1 418 Trap\r\nContent-Length: 0\r\n\r\n")
	t.Setenv("HTTP_PROXY", trap)
	t.Setenv("http_proxy", trap)
	if u, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "http", Host: "upstream.invalid"}}); err == nil && u == nil {
		t.Log("the environment was read before this test: the trap is not armed")
	}
	g := newGateTo(t, "http://upstream.invalid:1")
	expect(t, "a name that does not resolve", g.do("GET", app, g.as("alice")), http.StatusBadGateway)
}
