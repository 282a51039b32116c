package proxy_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/proxy"
)

// hosts are spellings of the Host header, and what comes of them.
var hosts = map[string]int{
	"argo-cd.example.com":       200,
	"Argo-CD.EXAMPLE.com":       200,
	"argo-cd.example.com:443":   200,
	"argo-cd.example.com:8443":  200,
	"argo-cd.example.com:0443":  200,
	"argo-cd.example.com.":      200,
	"argo-cd.example.com.:443":  200,
	"ARGO-CD.example.com.:8080": 200,

	"":                                      421,
	".":                                     421,
	":443":                                  421,
	"argo-cd.example.com:":                  421,
	"argo-cd.example.com:0":                 421,
	"argo-cd.example.com:65536":             421,
	"argo-cd.example.com:0000443":           421,
	"argo-cd.example.com:443x":              421,
	"argo-cd.example.com:+443":              421,
	"argo-cd.example.com:443:443":           421,
	"argo-cd.example.com..":                 421,
	"argo-cd..example.com":                  421,
	".argo-cd.example.com":                  421,
	"argo-cd.example.com,argo-cd":           421,
	"argo-cd.example.com;x":                 421,
	"argo-cd.example.com%00":                421,
	"argo-cd.example.com%2f":                421,
	"argo-cd%2eexample.com":                 421,
	"[argo-cd.example.com]":                 421,
	"[argo-cd.example.com":                  421,
	"[::1":                                  421,
	"[::1]":                                 421,
	"[::1]:443":                             421,
	"[fe80::1%25eth0]":                      421,
	"::1":                                   421,
	"127.0.0.1":                             421,
	"(argo-cd.example.com)":                 421,
	"'argo-cd.example.com'":                 421,
	"elsewhere.example.com":                 421,
	"argo-cd.example.com.evil.example":      421,
	"xargo-cd.example.com":                  421,
	"argo-cd.example":                       421,
	"xn--argo-cd-example-com":               421,
	strings.Repeat("a.", 130) + "com":       421,
	strings.Repeat("a", 4000):               421,
	"argo-cd.example.com@evil.example":      400, // net/http
	"user@argo-cd.example.com":              400,
	"argo-cd.example.com/x":                 400,
	"argo-cd.example.com#x":                 400,
	"argo-cd.example.com x":                 400,
	"argo-cd.exa\u043cple.com":              400,
	"argo-cd.example.com\xff":               400,
	"argo-cd.example.com\r\nHost: x.y":      400,
	"argo-workflows.example.com\r\nHost: a": 400,
}

func TestOneHostPicksOneUpstreamHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for host, status := range hosts {
		res := g.raw("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\nX-Forwarded-Proto: https\r\nCookie: " + g.as("alice")[1] + "\r\n\r\n")
		if expect(t, host, res, status); status == 200 {
			if sent := echoed(t, res).Header.Get("X-Forwarded-Host"); sent != strings.ToLower(sent) || strings.Contains(sent, ".:") || strings.Contains(sent, ":0") || strings.HasSuffix(sent, ":443") {
				t.Errorf("%q reached the upstream as %q", host, sent)
			}
		}
	}
}

func TestAnUpstreamForEveryHostServesNoneThatIsNone(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), func(o *proxy.Options) {
		o.Config.Upstreams = o.Config.Upstreams[:1]
		o.Config.Upstreams[0].Hosts = []string{"*"}
	})
	names := map[string]bool{ // unknown to the others, yet names
		"[::1]": true, "[::1]:443": true, "127.0.0.1": true, "elsewhere.example.com": true, "argo-cd.example.com.evil.example": true,
		"xargo-cd.example.com": true, "argo-cd.example": true, "xn--argo-cd-example-com": true,
	}
	for host, status := range hosts {
		if status == 200 || names[host] {
			status = http.StatusFound
		}
		res := g.raw("GET /oauth2/start HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\nX-Forwarded-Proto: https\r\n\r\n")
		expect(t, host, res, status)
	}
}

func TestHTTP2AuthoritiesAreReadAsStrictly(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for host, status := range map[string]int{
		"argo-cd.example.com": 200, "ARGO-CD.example.com.:443": 200,
		"": 421, "a b": 421, "argo-cd.example.com x": 421, "user@argo-cd.example.com": 421, "argo-cd.example.com\\x": 421,
		"argo-cd.example.com/..": 421, "argo-cd.exa\u043cple.com": 421, "argo-cd.example.com\xff": 421, "*": 421, "argo-cd.example.com\x00": 421,
	} {
		r := overHTTP2("GET", app, g.as("alice"))
		r.Host = host
		if got := g.serve(r); got.Code != status {
			t.Errorf("%q: %d, want %d", host, got.Code, status)
		}
	}
}

func TestAForwardedHostNeverPicksTheUpstream(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, name := range []string{"X-Forwarded-Host", "X-Original-Host", "X-Host", "Forwarded", "X-Forwarded-Server", "X-Http-Host-Override"} {
		value := "argo-workflows.example.com"
		if name == "Forwarded" {
			value = "host=" + value
		}
		g.do("GET", app, g.as("alice"), []string{name, value})
		all := g.records()
		if r := all[len(all)-1]; r.Upstream != "argocd" || r.Host != "argo-cd.example.com" {
			t.Errorf("%s picked %s for %s", name, r.Upstream, r.Host)
		}
		expect(t, name+" on an unknown host", g.do("GET", "https://elsewhere.example.com/", g.as("alice"), []string{name, value}), http.StatusMisdirectedRequest)
	}
}

func TestTheAddressIsTheOneTheBalancerSaw(t *testing.T) {
	t.Parallel()
	g := newGateBehind(t, "127.0.0.0/8, 10.0.0.0/8, 2001:db8:1::/48", brokenUpstream(t))
	const line = "\r\nX-Forwarded-For: "
	for forwarded, want := range map[string]string{
		"203.0.113.7":                                   "203.0.113.7",
		"203.0.113.7:8080":                              "203.0.113.7",
		"2001:db8::1":                                   "2001:db8::1",
		"[2001:db8::1]":                                 "2001:db8::1",
		"[2001:db8::1]:8080":                            "2001:db8::1",
		"2001:DB8:0:0::1":                               "2001:db8::1",
		"::ffff:203.0.113.7":                            "203.0.113.7",
		"[::ffff:203.0.113.7]:80":                       "203.0.113.7",
		" 203.0.113.7 ":                                 "203.0.113.7",
		"203.0.113.7\t":                                 "203.0.113.7",
		"9.9.9.9, 203.0.113.7":                          "203.0.113.7",
		"9.9.9.9,203.0.113.7":                           "203.0.113.7",
		"203.0.113.7, 10.1.2.3":                         "203.0.113.7",
		"203.0.113.7, 10.1.2.3:55, [2001:db8:1::9]":     "203.0.113.7",
		"9.9.9.9" + line + "203.0.113.7":                "203.0.113.7",
		"203.0.113.7" + line + "10.1.2.3":               "203.0.113.7",
		"10.9.9.9, 10.1.2.3":                            "10.9.9.9",
		strings.Repeat("9.9.9.9, ", 30) + "203.0.113.7": "203.0.113.7",
		strings.Repeat("10.1.1.1, ", 2000) + "10.1.1.2": "10.1.1.1",
		"for=203.0.113.7":                               "127.0.0.1",
		"203.0.113.7, garbage":                          "127.0.0.1",
		"203.0.113.7, garbage, 10.1.2.3":                "10.1.2.3",
		"203.0.113.7,":                                  "127.0.0.1",
		",":                                             "127.0.0.1",
		"":                                              "127.0.0.1",
		"unknown":                                       "127.0.0.1",
		"_hidden":                                       "127.0.0.1",
		"203.0.113.7]":                                  "127.0.0.1",
		"[203.0.113.7":                                  "127.0.0.1",
		"[2001:db8::1":                                  "127.0.0.1",
		"203.0.113.7:":                                  "127.0.0.1",
		"203.0.113.7:99999":                             "127.0.0.1",
		"203.0.113":                                     "127.0.0.1",
		"0203.0.113.7":                                  "127.0.0.1",
		"0xcb.0.113.7":                                  "127.0.0.1",
		"fe80::1%eth0":                                  "127.0.0.1",
		"[fe80::1%eth0]:80":                             "127.0.0.1",
		"203.0.113.7 10.1.2.3":                          "127.0.0.1",
		"203.0.113.7; 10.1.2.3":                         "127.0.0.1",
		`"203.0.113.7"`:                                 "127.0.0.1",
		"203.0.113.7\r\n ,10.1.2.3":                     "203.0.113.7", // obs-fold
	} {
		g.do("GET", app, g.as("alice"), []string{"X-Forwarded-For", forwarded})
		all := g.records()
		if got := all[len(all)-1].Remote; got != want {
			t.Errorf("X-Forwarded-For %q: %s, want %s", forwarded, got, want)
		}
	}
}

func TestTheSchemeIsTheBalancersWord(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	secure := func(headers ...string) bool {
		head := "GET /oauth2/start HTTP/1.1\r\nHost: argo-cd.example.com\r\nConnection: close\r\n"
		for i := 0; i < len(headers); i += 2 {
			head += headers[i] + ": " + headers[i+1] + "\r\n"
		}
		return strings.Contains(g.raw(head+"\r\n").Header.Get("Location"), "redirect_uri=https%3A%2F%2Fargo-cd")
	}
	for said, want := range map[string]bool{
		"https": true, "HTTPS": true, " https ": true, "wss": true, "http, https": true,
		"http": false, "ws": false, "https, http": false, "": false, "ftp": false, "https;": false, "httpss": false, "on": false,
	} {
		if secure("X-Forwarded-Proto", said) != want {
			t.Errorf("X-Forwarded-Proto %q: https is %v", said, !want)
		}
	}
	if !secure("X-Forwarded-Proto", "http", "X-Forwarded-Proto", "https") || secure("X-Forwarded-Proto", "https", "X-Forwarded-Proto", "http") {
		t.Error("the last line is the balancer's")
	}
	for _, name := range []string{"X-Forwarded-Scheme", "X-Forwarded-Ssl", "Front-End-Https", "X-Scheme", "Forwarded", "X-Url-Scheme"} {
		if secure(name, "https") || secure(name, "on") || secure(name, "proto=https") {
			t.Errorf("%s was trusted", name)
		}
	}
	if (&gate{Proxy: g.Proxy, t: t}).serve(overHTTP2("GET", own+"/start")).Code != http.StatusFound {
		t.Error("HTTP/2 behind the same proxy")
	}
}

func TestPeersBehindAUnixSocketAreTrustedByName(t *testing.T) {
	t.Parallel()
	for trusted, want := range map[string]string{"unix": "203.0.113.7", "127.0.0.1": ""} {
		g := newGateBehind(t, trusted, brokenUpstream(t))
		socket := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(g)
		server.Listener.Close()
		server.Listener = l
		server.Start()
		t.Cleanup(server.Close)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", socket)
		}}}
		for range 2 {
			r, _ := http.NewRequest("GET", "http://argo-cd.example.com/", nil)
			r.Header.Set("X-Forwarded-For", "203.0.113.7")
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}
		if r := g.records()[1]; r.Remote != want {
			t.Errorf("trustedProxies %s: address %q, want %q", trusted, r.Remote, want)
		}
	}
}
