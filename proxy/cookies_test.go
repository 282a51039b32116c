package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// TestOnlyTheVeryCookieIsASession holds acceptance and removal to section after
// section of how servers read cookies: a session is accepted in one spelling, and
// taken out in all.
func TestOnlyTheVeryCookieIsASession(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	_, value, _ := strings.Cut(g.as("alice")[1], "=")
	_, other, _ := strings.Cut(g.as("bob")[1], "=")
	many := strings.Repeat("a=1; ", 3001)
	for _, test := range []struct {
		name   string
		sent   []string // lines; SEALED is the session
		opens  bool
		passed []string // what the upstream gets, where it gets anything
	}{
		{"alone", []string{"__Host-authgate=SEALED"}, true, nil},
		{"first", []string{"__Host-authgate=SEALED; a=1"}, true, []string{"a=1"}},
		{"last", []string{"a=1; __Host-authgate=SEALED"}, true, []string{"a=1"}},
		{"between", []string{"a=1; __Host-authgate=SEALED; b=2"}, true, []string{"a=1; b=2"}},
		{"without blanks", []string{"a=1;__Host-authgate=SEALED;b=2"}, true, []string{"a=1;b=2"}},
		{"many blanks", []string{"a=1;  \t __Host-authgate=SEALED ; b=2"}, true, []string{"a=1; b=2"}},
		{"line of its own", []string{"a=1", "__Host-authgate=SEALED", "b=2"}, true, []string{"a=1", "b=2"}},
		{"behind 3,001 others", []string{many + "__Host-authgate=SEALED"}, true, []string{strings.TrimRight(many, "; ")}},
		{"before 3,001 others", []string{"__Host-authgate=SEALED; " + many + "b=2"}, true, []string{many + "b=2"}},
		{"next to a login", []string{"__Host-authgate-login-abc=x; __Host-authgate=SEALED"}, true, nil},
		{"next to others of like name", []string{"__Host-authgateway=1; authgate2=2; xauthgate=3; __Host-authgate=SEALED"}, true, []string{"__Host-authgateway=1; authgate2=2; xauthgate=3"}},
		{"odd neighbours", []string{`a="1; __Host-authgate=SEALED; b=2"`}, true, []string{`a="1; b=2"`}},
		{"8-bit neighbours", []string{"a=\u00e9; __Host-authgate=SEALED; b=x y; c=\"q\""}, true, []string{"a=\u00e9; b=x y; c=\"q\""}},
		{"nameless neighbours", []string{"plain; =x; __Host-authgate=SEALED; ;;"}, true, []string{"plain; =x; ;;"}},
		{"$Version", []string{"$Version=1; __Host-authgate=SEALED; $Path=/"}, true, []string{"$Version=1; $Path=/"}},
		{"the plain name planted next to it", []string{"authgate=planted; __Host-authgate=SEALED"}, true, nil},
		{"another case planted next to it", []string{"__host-authgate=planted; __HOST-AUTHGATE=planted; __Host-authgate=SEALED; a=1"}, true, []string{"a=1"}},

		{"the same twice", []string{"__Host-authgate=SEALED; __Host-authgate=SEALED"}, true, nil},
		{"the same on two lines", []string{"__Host-authgate=SEALED", "__Host-authgate=SEALED; a=1"}, true, []string{"a=1"}},
		{"what is no session before it", []string{"__Host-authgate=x; __Host-authgate=SEALED"}, true, nil},
		{"what is no session behind it", []string{"__Host-authgate=SEALED; __Host-authgate="}, true, nil},
		{"another user's as well", []string{"__Host-authgate=SEALED; __Host-authgate=" + other}, false, nil},
		{"empty", []string{"__Host-authgate="}, false, nil},
		{"no value", []string{"__Host-authgate"}, false, nil},
		{"lower-case prefix", []string{"__host-authgate=SEALED"}, false, nil},
		{"upper case", []string{"__HOST-AUTHGATE=SEALED"}, false, nil},
		{"no prefix", []string{"authgate=SEALED"}, false, nil},
		{"another prefix", []string{"__Secure-authgate=SEALED"}, false, nil},
		{"both prefixes", []string{"__Secure-__Host-authgate=SEALED"}, false, []string{"__Secure-__Host-authgate=SEALED"}},
		{"prefix twice", []string{"__Host-__Host-authgate=SEALED"}, false, []string{"__Host-__Host-authgate=SEALED"}},
		{"blank before the sign", []string{"__Host-authgate =SEALED"}, false, nil},
		{"tab before the sign", []string{"__Host-authgate\t=SEALED"}, false, nil},
		{"no-break blank before", []string{"\u00a0__Host-authgate=SEALED"}, false, nil},
		{"wide blank before", []string{"\u2000__Host-authgate=SEALED"}, false, nil},
		{"next line before", []string{"\u0085__Host-authgate=SEALED"}, false, nil},
		{"bare 8-bit before", []string{"\xa0__Host-authgate=SEALED"}, false, nil},
		{"8-bit behind", []string{"__Host-authgate\u2000=SEALED"}, false, nil},
		{"quoted name", []string{`"__Host-authgate"=SEALED`}, false, nil},
		{"quoted value", []string{`__Host-authgate="SEALED"`}, false, nil},
		{"blank before the value", []string{"__Host-authgate= SEALED"}, false, nil},
		{"value with more behind", []string{"__Host-authgate=SEALED,x"}, false, nil},
		{"value twice", []string{"__Host-authgate=SEALEDSEALED"}, false, nil},
		{"nameless", []string{"=__Host-authgate=SEALED"}, false, nil},
		{"nameless, blank", []string{" = __Host-authgate=SEALED"}, false, nil},
		{"a login's name", []string{"__Host-authgate-login-abcdefgh=SEALED"}, false, nil},
		{"a comma for a semicolon", []string{"a=1, __Host-authgate=SEALED"}, false, []string{"a=1, __Host-authgate=SEALED"}},
	} {
		var headers []string
		for _, line := range test.sent {
			headers = append(headers, "Cookie", strings.ReplaceAll(line, "SEALED", value))
		}
		res := g.do("GET", app, headers)
		if want := map[bool]int{true: 200, false: 401}[test.opens]; res.StatusCode != want {
			t.Errorf("%s: %d, want %d", test.name, res.StatusCode, want)
		}
		// Where anonymous requests may go, whatever came along is seen.
		got := echoed(t, g.do("GET", here+"/api/dex/keys", headers)).Header["Cookie"]
		for i, line := range test.passed {
			test.passed[i] = strings.ReplaceAll(line, "SEALED", value)
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.passed) {
			t.Errorf("%s: the upstream got %.300q, want %.300q", test.name, got, test.passed)
		}
	}
}

func TestHTTP2CookiesComeInOneOrInPieces(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	alice := g.as("alice")[1]
	for _, lines := range [][]string{{"a=1; " + alice + "; b=2"}, {"a=1", alice, "b=2"}} {
		r := overHTTP2("GET", app)
		r.Header["Cookie"] = lines
		w := g.serve(r)
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "authgate=") || !strings.Contains(w.Body.String(), "b=2") {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
	}
}

func TestUpstreamsCannotSetAuthgatesCookies(t *testing.T) {
	t.Parallel()
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Set-Cookie"] = []string{r.Header.Get("X-Set")}
		w.Header().Set("Set-Cookie2", `authgate="x"; Version="1"`)
		w.Header().Set("Clear-Site-Data", `"cache"`)
		w.Header().Set("Alt-Svc", `h3="evil.example:443"`)
		w.Header().Set("Strict-Transport-Security", "max-age=1")
		_, _ = io.WriteString(w, "<html>")
	}))
	for set, passes := range map[string]bool{
		"__Host-authgate=x; Path=/; Secure":      false,
		"__Host-authgate=; Max-Age=0":            false,
		"__host-authgate=x":                      false,
		"__HOST-AUTHGATE=x":                      false,
		"authgate=x":                             false,
		"AuthGate=x; Domain=example.com":         false,
		"__Secure-authgate=x; Secure":            false,
		"__Host-authgate-login-abcdefgh=x":       false,
		"authgate-0=x":                           false,
		"__Host-authgate =x":                     false,
		"__Host-authgate\t=x":                    false,
		"\u00a0__Host-authgate=x":                false,
		`"__Host-authgate"=x`:                    false,
		"=__Host-authgate=x":                     false,
		"=authgate=x; Domain=example.com":        false,
		"__Host-authgate":                        false,
		"__Host-authgate; Path=/":                false,
		"authgate; Domain=example.com":           false,
		"argocd.token=x; Path=/; HttpOnly":       false, // of its own login
		"argocd.token-1=x; Path=/":               false,
		"argocd.oauthstate=x; Path=/":            true,
		"theme=dark":                             true,
		"authgateway=x":                          true,
		"a=__Host-authgate=x":                    true,
		"a=1; Comment=authgate=x":                true,
		"session=authgate; Domain=example.com":   true,
		"x=y; Path=/; authgate=also":             true,
		"__Secure-theme=dark; Secure; Path=/":    true,
		"a=" + strings.Repeat("x", 3000):         true,
		"authorization=x; SameSite=None; Secure": true,
	} {
		res := g.do("GET", app, g.as("alice"), []string{"X-Set", set})
		got := res.Header["Set-Cookie"]
		if passes && (len(got) != 1 || got[0] != set) || !passes && len(got) != 0 {
			t.Errorf("%q: the browser got %q", set, got)
		}
		if res.Header.Get("Alt-Svc") != "" || res.Header.Get("Set-Cookie2") != "" {
			t.Errorf("%q", res.Header)
		}
		if res.Header.Get("Clear-Site-Data") == "" || res.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("what is the upstream's to say is gone: %q", res.Header)
		}
	}
}

func TestTwoSessionsAreNoLoginLoop(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	two := []string{"Cookie", g.as("alice")[1] + "; " + g.as("bob")[1]}
	res := g.do("GET", app, two, browser)
	expect(t, "a browser signs in again", res, http.StatusFound)
	taken := false
	for _, c := range res.Cookies() {
		taken = taken || c.Name == "__Host-authgate" && c.MaxAge < 0
	}
	if !taken || !strings.HasPrefix(res.Header.Get("Location"), "/oauth2/start?rd=") {
		t.Errorf("%q", res.Header)
	}
	if r := g.records()[1]; r.Reason != "ambiguous_session" || r.Subject != "" {
		t.Errorf("%+v", r)
	}
	expect(t, "a public path", g.do("GET", here+"/api/dex/keys", two), http.StatusOK)
}

// A response of known length has trailers in HTTP/2, announced or not.
func TestNoUpstreamSpeaksForAuthgateInTrailers(t *testing.T) {
	t.Parallel()
	for _, length := range []int{2, 100_000} {
		upstream := h2cServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(length))
			w.Header().Set("Trailer", "Set-Cookie, X-Sum")
			_, _ = io.WriteString(w, strings.Repeat("x", length))
			w.Header().Set("Set-Cookie", "__Host-authgate=planted")
			w.Header().Set("X-Sum", "1")
			w.Header().Set(http.TrailerPrefix+"Alt-Svc", `h3=":443"`)
		}))
		g := newGateTo(t, "h2c://"+upstream)
		speaks := new(http.Protocols)
		speaks.SetUnencryptedHTTP2(true)
		client := &http.Transport{Protocols: speaks}
		t.Cleanup(client.CloseIdleConnections)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h2cServer(t, g.Proxy)+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "argo-cd.example.com"
		for _, pair := range [][]string{https, g.as("alice")} {
			req.Header.Set(pair[0], pair[1])
		}
		res, err := client.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if whole := body(t, res); len(whole) != length || res.Body.Close() != nil {
			t.Fatalf("status %d, %d bytes of %d", res.StatusCode, len(whole), length)
		}
		if res.Trailer.Get("X-Sum") != "1" || len(res.Trailer["Set-Cookie"]) > 0 || len(res.Trailer["Alt-Svc"]) > 0 {
			t.Errorf("trailers behind %d bytes: %v", length, res.Trailer)
		}
	}
}
