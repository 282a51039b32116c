package proxy_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/proxy"
)

// overHTTP2 is a request as net/http gives it when it came over HTTP/2, which
// lets through what HTTP/1 cannot say.
func overHTTP2(method, rawURL string, headers ...[]string) *http.Request {
	host, path, _ := strings.Cut(strings.TrimPrefix(rawURL, "https://"), "/")
	r := httptest.NewRequest(method, "/"+path, nil)
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	r.Host, r.RemoteAddr = host, "127.0.0.1:1"
	for _, pairs := range append([][]string{https}, headers...) {
		for i := 0; i < len(pairs); i += 2 {
			r.Header.Add(pairs[i], pairs[i+1])
		}
	}
	return r
}

func (g *gate) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

// spoofs are names under which some server believes what only a proxy may say.
var spoofs = strings.Fields(`
X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username X-Forwarded-Access-Token
X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Groups X-Auth-Request-Preferred-Username X-Auth-Request-Access-Token X-Auth-Request-Redirect
Remote-User Remote-Name Remote-Email Remote-Groups X-Remote-User X-Remote-Group X-Remote-Extra-Scopes X-Remote-Addr
X-WebAuth-User X-WebAuth-Name X-WebAuth-Email X-WebAuth-Groups X-WebAuth-Role X-WebAuth-Orgs X-Authenticated-User X-User X-Email X-Groups
X-Authentik-Username X-Vouch-User X-Pomerium-Jwt-Assertion X-Goog-Authenticated-User-Email X-Goog-Iap-Jwt-Assertion
X-Ms-Client-Principal X-Ms-Client-Principal-Name X-Ms-Token-Aad-Id-Token X-Token-Subject Cf-Access-Jwt-Assertion Tailscale-User-Login Sm-User Gap-Auth
X-Amzn-Oidc-Data X-Amzn-Oidc-Identity X-Amzn-Oidc-Accesstoken X-Amzn-Mtls-Clientcert X-Amzn-Tls-Version X-Client-Cert X-Ssl-Client-Cert Ssl-Client-Verify
X-Forwarded-Client-Cert X-Forwarded-Tls-Client-Cert X-Forwarded-Tls-Client-Cert-Info Client-Cert Client-Cert-Chain
Impersonate-User Impersonate-Group Impersonate-Uid Impersonate-Extra-Scopes
Grpc-Metadata-Token Grpc-Metadata-Authorization Grpcgateway-Authorization Grpc-Timeout
Argocd-User-Groups Argocd-User-Id Argocd-Username Argocd-Target-Cluster-Name Argocd-Target-Cluster-Url
Forwarded X-Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Scheme X-Forwarded-Ssl X-Forwarded-Server X-Forwarded-Prefix
X-Forwarded-Uri X-Forwarded-Method X-Forwarded-Path X-Original-Host X-Original-For X-Original-Forwarded-For X-Real-Ip X-Client-Ip True-Client-Ip
Cf-Connecting-Ip Cf-Ipcountry Cf-Visitor Fastly-Client-Ip X-Cluster-Client-Ip X-Envoy-External-Address X-Envoy-Original-Path X-Scheme X-Url-Scheme
Front-End-Https X-Azure-ClientIP Via
X-Original-Url X-Original-Uri X-Original-Method X-Rewrite-Url X-Http-Method-Override X-Http-Method X-Method-Override
X-Accel-Redirect X-Sendfile X-Sendfile-Type X-Script-Name Script-Name Path-Info
Proxy Proxy-Connection Http2-Settings X-Proxyuser-Ip
Kubeflow-Userid Kiali-User X-Proxy-User X-Proxy-Roles X-ProxiedEntitiesChain Iv-User Iv-Groups Iv-Creds X-Auth-User X-Auth-Email X-Auth-Groups X-Auth-Roles X-Auth-Username
X-Auth-Userid X-Auth-Subject X-Auth-CouchDB-Username Auth-User Auth-Groups X-User-Id X-UserId X-Username X-User-Name X-User-Email X-User-Roles X-Userinfo X-Id-Token X-Access-Token
X-Consumer-Id X-Consumer-Username X-Consumer-Groups X-Consumer-Custom-Id X-Anonymous-Consumer X-Authenticated-Scope X-Authenticated-Userid X-Authenticated-Groups X-Credential-Identifier
X-Credential-Username X-Jwt-Assertion X-Jwt-Payload X-Sso-User Sso-User Oidc-Claim-Sub Oidc-Claim-Email Oidc-Access-Token X-Oidc-User Shib-Identity-Provider Shib-Session-Id Eppn Persistent-Id
Smuser Sm-Userdn Sm-Universalid X-Scope-Orgid Thanos-Tenant X-Tenant-Id X-Ssl-Cert X-Ssl-Verify X-Ssl-Subject Ssl-Cert X-Client-Dn X-Client-Verify X-Client-S-Dn X-Client-Subject-Dn
X-Http-Host-Override X-Host X-Host-Override X-Http-Path-Override X-Remote-Roles X-Rh-Identity X-Hasura-User-Id X-Hasura-Role X-Trino-User X-Presto-User Es-Security-Runas-User X-Impersonate-User
X-Run-As X-Role X-Roles X-Group X-Login X-Principal X-Session-User X-Kratos-Authenticated-Identity-Id X-Appengine-User-Ip X-Appengine-User-Email X-Endpoint-Api-Userinfo
X-Apigateway-Api-Userinfo X-Serverless-Authorization Teleport-Jwt-Assertion Tailscale-User-Name X-Ldap-User X-Saml-Username Mellon-User Cas-User Oam-Remote-User Wl-Proxy-Client-Cert
Client-Ip X-Originating-Ip X-Arr-Clientcert X-Tls-Client-Cert X-Acme-User Acme-Groups X-Acme-Roles Acme-Username X-Acme-Userid X-Acme-Email User User-Id Username X-Wso2-User X-Okta-User
X-Ror-Impersonating X-Dex-Groups X-Forwarded-Roles X-Nifi-User X-Superset-Username X-Airflow-User-Email
X-Authuser Authuser X-Authenticated X-Sub X-Uid X-Mail X-Enduser Enduser X-Memberof Memberof Member-Of On-Behalf-Of X-On-Behalf-Of X-Tenant X-Thanos-Tenant X-Claim-Sub Claim-Sub X-Claims
X-Athenz-Principal Athenz-Principal-Auth X-Spiffe-Id X-Ory-Subject X-Hydra-Subject X-Keycloak-Token Keycloak-User X-Spinnaker-Accounts X-Sandstorm-Permissions Ngrok-Auth-User-Id
Affiliation Unscoped-Affiliation Entitlement Mail Uid X-Acme-Userinfo X-Acme-Principal X-Subject-Dn X-Http-Verb X-Verb-Override X-HttpMethod-Override X-Override-Url`)

const spoofed = "198.51.100.66"

func TestWhatOnlyAProxyMaySayIsGoneInEverySpelling(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	spellings := map[string]func(string) string{
		"as it is":           func(s string) string { return s },
		"lower":              strings.ToLower,
		"upper":              strings.ToUpper,
		"underscores":        func(s string) string { return strings.ReplaceAll(s, "-", "_") },
		"one underscore":     func(s string) string { return strings.Replace(s, "-", "_", 1) },
		"dots":               func(s string) string { return strings.ReplaceAll(s, "-", ".") },
		"underscore, behind": func(s string) string { return s + "_" },
		"percent":            func(s string) string { return strings.Replace(s, "-", "%2d", 1) },
	}
	for name, spell := range spellings {
		for batch := range slices.Chunk(spoofs, 40) {
			var headers []string
			for _, s := range batch {
				if s != "X-Forwarded-For" { // whose right end is the balancer's
					headers = append(headers, spell(s), spoofed, spell(s), spoofed)
				}
			}
			for _, connection := range [][]string{{}, {"Connection", strings.Join(batch, ", ")}} {
				got := echoed(t, g.do("GET", app, g.as("bob"), []string{"X-Forwarded-For", spoofed + ", 203.0.113.7"}, headers, connection))
				checkUnspoofed(t, name, got.Header)
			}
		}
	}
}

func checkUnspoofed(t *testing.T, spelling string, h http.Header) {
	t.Helper()
	for seen, values := range h {
		if strings.Contains(strings.Join(values, ","), spoofed) || strings.ContainsAny(seen, "_.%") {
			t.Errorf("%s: the upstream got %s: %q", spelling, seen, values)
		}
	}
	for _, said := range []string{"X-Forwarded-User", "X-Auth-Request-User", "X-Forwarded-For", "X-Real-Ip", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto"} {
		if len(h[said]) != 1 {
			t.Errorf("%s: authgate's %s is %q", spelling, said, h[said])
		}
	}
}

func TestOtherHeadersArriveAsTheyWere(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	var sent []string
	for _, name := range strings.Fields(`Accept-Language Baggage Traceparent Tracestate X-B3-Traceid X-Amzn-Trace-Id X-Github-Event X-Hub-Signature-256
		X-Gitlab-Token X-Gogs-Event X-Event-Key X-Hook-Uuid X-Vss-Activityid If-None-Match If-Modified-Since Range Accept-Encoding X-Requested-With
		Argocd-Application-Name Argocd-Project-Name Idempotency-Key X-User-Agent X-Csrf-Token X-Grpc-Web Origin Referer Sec-Fetch-Dest Last-Event-Id
		Cache-Control Grpc-Encoding Tenant X-Xsrf-Token X-Goog-Channel-Id X-Amz-Date Content-Language Priority X-Userland X-Emailed
		Sec-Fetch-User Upgrade-Insecure-Requests X-Auth-Token X-Api-Key X-Vault-Token X-Grafana-Org-Id X-Client-Version X-Client-Data X-Sentry-Auth Dnt Sec-Ch-Ua Save-Data X-Datadog-Trace-Id Kbn-Version X-Dashboard-Uid X-Ds-Authorization Prefer Destination Depth Overwrite X-Session-Token X-Redlock-Auth`) {
		sent = append(sent, name, "kept, "+name)
	}
	got := echoed(t, g.do("GET", app, g.as("alice"), sent,
		[]string{"Accept", "text/html,application/xhtml+xml;q=0.9,*/*", "User-Agent", "argocd-client/2.1 (x)"}))
	for i := 0; i < len(sent); i += 2 {
		if values := got.Header[sent[i]]; len(values) != 1 || values[0] != sent[i+1] {
			t.Errorf("%s arrived as %q", sent[i], values)
		}
	}
	if got.Header.Get("Accept") != "text/html,application/xhtml+xml;q=0.9,*/*" || got.Header.Get("User-Agent") != "argocd-client/2.1 (x)" {
		t.Errorf("Accept or User-Agent was touched: %q", got.Header)
	}

	got = echoed(t, g.do("GET", app, g.as("alice")))
	for name := range got.Header {
		if name == "User-Agent" || name == "Accept" || name == "Accept-Encoding" {
			t.Errorf("%s came up on the way: %q", name, got.Header[name])
		}
	}
}

func TestTheUpstreamLearnsThePortThatBrowsersUse(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for host, want := range map[string][2]string{
		"argo-cd.example.com":      {"argo-cd.example.com", "443"},
		"argo-cd.example.com:443":  {"argo-cd.example.com", "443"},
		"argo-cd.example.com:8443": {"argo-cd.example.com:8443", "8443"},
	} {
		got := echoed(t, g.do("GET", "https://"+host+"/", g.as("alice")))
		if got.Header.Get("X-Forwarded-Host") != want[0] || got.Header.Get("X-Forwarded-Port") != want[1] || got.Header.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("%s: %q", host, got.Header)
		}
	}
}

func TestTrailersAndTimeoutsOfGRPCAreForGRPCAlone(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	got := echoed(t, g.do("GET", app, g.as("alice"), []string{"TE", "trailers, gzip", "Connection", "TE", "Grpc-Timeout", "1n"}))
	if te := got.Header.Get("Te"); te != "" && te != "trailers" || got.Header.Get("Grpc-Timeout") != "" {
		t.Errorf("%q", got.Header)
	}
	got = echoed(t, g.do("POST", app, g.as("alice"), sameSite, []string{"Content-Type", "application/grpc-web+proto", "Grpc-Timeout", "1S"}))
	if got.Header.Get("Grpc-Timeout") != "1S" {
		t.Errorf("gRPC-web has lost its deadline: %q", got.Header)
	}
}

func TestWebhooksArriveByteForByte(t *testing.T) {
	t.Parallel()
	sums := make(chan string, 2)
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		_, _ = sum.Write([]byte(r.Header.Get("X-Hub-Signature-256") + "\n"))
		buffer := make([]byte, 1000)
		for {
			n, err := r.Body.Read(buffer)
			_, _ = sum.Write(buffer[:n])
			if err != nil {
				break
			}
		}
		sums <- fmt.Sprintf("%x", sum.Sum(nil))
	}))
	payload := make([]byte, 70_000)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	want := fmt.Sprintf("%x", sha256.Sum256(append([]byte("sha256=0a\n"), payload...)))
	const head = "POST /api/dex/hook HTTP/1.1\r\nHost: argo-cd.example.com\r\nConnection: close\r\nX-Hub-Signature-256: sha256=0a\r\nContent-Type: application/json\r\n"
	for name, request := range map[string]string{
		"length":  head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(payload)) + string(payload),
		"chunked": head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n", len(payload)) + string(payload) + "\r\n0\r\n\r\n",
	} {
		expect(t, name, g.raw(request), http.StatusOK)
		if got := <-sums; got != want {
			t.Errorf("%s: the body was changed", name)
		}
	}
}

func TestRequestsThatTwoServersReadInTwoWaysAreRefused(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	many := func(n int) (h []string) {
		for i := range n {
			h = append(h, fmt.Sprintf("X-N-%d", i/4), "")
		}
		return h
	}
	for name, test := range map[string]struct {
		headers []string
		status  int
		reason  string
	}{
		"two Authorization":         {[]string{"Authorization", "Bearer a", "Authorization", "Bearer b"}, 400, "bad_header"},
		"two, in two spellings":     {[]string{"authorization", "Bearer a", "AUTHORIZATION", "Bearer a"}, 400, "bad_header"},
		"two Proxy-Authorization":   {[]string{"Proxy-Authorization", "Bearer a", "Proxy-Authorization", "Bearer b"}, 400, "bad_header"},
		"two Origin":                {[]string{"Origin", "https://argo-cd.example.com", "Origin", "https://evil.example"}, 400, "bad_header"},
		"two Sec-Fetch-Site":        {[]string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, 400, "bad_header"},
		"one of them empty":         {[]string{"Sec-Fetch-Site", "", "Sec-Fetch-Site", "cross-site"}, 400, "bad_header"},
		"two Content-Type":          {[]string{"Content-Type", "application/json", "Content-Type", "application/x-www-form-urlencoded"}, 400, "bad_header"},
		"190 fields":                {many(190), 200, ""},
		"more than 200 fields":      {many(200), 431, "too_many_headers"},
		"one name, 300 values":      {slices.Repeat([]string{"X-A", ""}, 300), 431, "too_many_headers"},
		"several Cookie and Accept": {[]string{"Accept", "a/b", "Accept", "c/d", "Cookie", "a=1", "Cookie", "b=2"}, 200, ""},
	} {
		res := g.do("GET", app, g.as("alice"), test.headers)
		expect(t, name, res, test.status)
		all := g.records()
		if r := all[len(all)-1]; r.Reason != test.reason || r.Status != test.status {
			t.Errorf("%s: the audit says %q, %d", name, r.Reason, r.Status)
		}
	}
}

func TestHTTP2HostHasToAgreeWithAuthority(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for host, status := range map[string]int{"argo-cd.example.com": 200, "argo-workflows.example.com": 400, "": 400} {
		r := overHTTP2("GET", app, g.as("alice"))
		r.Header["Host"] = []string{host}
		if got := g.serve(r); got.Code != status {
			t.Errorf("Host %q with :authority argo-cd.example.com: %d, want %d", host, got.Code, status)
		}
	}
	r := overHTTP2("POST", app, g.as("alice"), sameSite)
	r.Header["Content-Length"] = []string{"3", "4"}
	if got := g.serve(r); got.Code != 400 {
		t.Errorf("two lengths: %d", got.Code)
	}
}

func TestMethodsThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, method := range []string{"CONNECT", "TRACE", "get", "Get", "GET!", "PRI", "G~T", "G1", strings.Repeat("A", 33)} {
		res := g.do(method, app, g.as("alice"))
		if method == "PRI" {
			continue // a word like any other: a policy question
		}
		expect(t, method, res, http.StatusMethodNotAllowed)
	}
	for _, method := range []string{"G T", "", "GET\n", " GET", "GÉT"} {
		r := overHTTP2("GET", app, g.as("alice"))
		r.Method = method
		if got := g.serve(r); got.Code != http.StatusMethodNotAllowed {
			t.Errorf("HTTP/2 with method %q: %d", method, got.Code)
		}
	}
	expect(t, "an unusual one", g.do("PROPFIND", app, g.as("alice"), sameSite), http.StatusOK)
}

func TestTargetsThatNameAHostAreRefused(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, target := range []string{
		"http://argo-cd.example.com/api", "https://argo-cd.example.com/", "http://evil.example/", "x:y", "http:a/b", "argo-cd.example.com:80",
		"*", "http:///api", "//evil.example/p",
	} {
		res := g.raw("GET " + target + " HTTP/1.1\r\nHost: argo-cd.example.com\r\nConnection: close\r\nX-Forwarded-Proto: https\r\nCookie: " + g.as("alice")[1] + "\r\n\r\n")
		expect(t, target, res, http.StatusBadRequest)
	}
}

func TestFormsAreRefusedWhereTheyRunAnotherMethod(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	const form = "application/x-www-form-urlencoded"
	const cd, wf = "https://argo-cd.example.com", "https://argo-workflows.example.com"
	for _, test := range []struct {
		method, url, contentType string
		status                   int
	}{
		{"POST", cd + "/api/v1/applications", form, 415},
		{"POST", cd + "/api/v1/applications", "Application/X-WWW-Form-Urlencoded; charset=utf-8", 415},
		{"POST", cd + "/api/v1/applications", " " + form + " ", 415},
		{"POST", cd + "/api/v1/applications", "application/json, " + form, 415},
		{"POST", wf + "/api/v1/workflows/argo/submit", form, 415},
		{"POST", cd + "/api/v1/applications", "application/json", 200},
		{"POST", cd + "/api/dex/token", form, 200},
		{"POST", cd + "/elsewhere", form, 200},
		{"GET", cd + "/api/v1/applications", form, 200},
		{"POST", "https://argo-cd.example.com/reports/x", form, 200},
	} {
		res := g.do(test.method, test.url, g.as("alice"), sameSite, []string{"Content-Type", test.contentType})
		expect(t, test.method+" "+test.url+" "+test.contentType, res, test.status)
	}
	all := g.records()
	if r := all[1]; r.Reason != "form_not_allowed" || r.Upstream != "argocd" {
		t.Errorf("%+v", r)
	}
}

func TestAConnectionTooManyGetsHealthChecksAlone(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), func(o *proxy.Options) {
		o.Overloaded = func(context.Context) bool { return true }
	})
	// Each would keep its connection, were it not one too many.
	ask := func(line, further string) *http.Response {
		return g.raw(line + " HTTP/1.1\r\nHost: argo-cd.example.com\r\nX-Forwarded-Proto: https\r\n" + further + "\r\n")
	}
	for line, status := range map[string]int{
		"GET /healthz": http.StatusOK, "GET /readyz": http.StatusOK, "POST /AWS.ALB/healthcheck": http.StatusOK,
		"GET /api/v1/applications": http.StatusServiceUnavailable,
	} {
		further := "Cookie: " + g.as("alice")[1] + "\r\n"
		if strings.HasPrefix(line, "POST") {
			further = "Content-Type: application/grpc\r\nContent-Length: 0\r\n"
		}
		res := ask(line, further)
		expect(t, line, res, status)
		if !res.Close {
			t.Errorf("%s: the connection stays, and takes the place of the next who asks", line)
		}
		if text := body(t, res); status != http.StatusOK && !strings.Contains(text, "too_many_connections") {
			t.Errorf("%s: %s", line, text)
		}
	}
}
