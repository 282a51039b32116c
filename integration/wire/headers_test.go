package wire_test

import (
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// spoofable are header names that servers trust from a proxy: of families, one or
// two each. None may come from a client.
var spoofable = strings.Fields(`
X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username X-Forwarded-Access-Token
X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Groups X-Auth-Request-Preferred-Username X-Auth-Request-Access-Token
X-Auth-Request-Redirect X-Auth-Request-Anything
Remote-User Remote-Name Remote-Email Remote-Groups
X-Remote-User X-Remote-Group X-Remote-Extra-Scopes X-Remote-Anything
X-WebAuth-User X-WebAuth-Name X-WebAuth-Email X-WebAuth-Groups X-WebAuth-Role X-WebAuth-Orgs
X-Authenticated-User X-User X-Email X-Groups X-Authentik-Username X-Authentik-Groups X-Vouch-User X-Pomerium-Jwt-Assertion
X-Pomerium-Claim-Email X-Goog-Authenticated-User-Email X-Goog-Authenticated-User-Id X-Goog-Iap-Jwt-Assertion
X-Ms-Client-Principal X-Ms-Client-Principal-Name X-Ms-Token-Aad-Id-Token X-Token-Subject Cf-Access-Jwt-Assertion
Cf-Access-Authenticated-User-Email Tailscale-User-Login Tailscale-User-Name Sm-User Gap-Auth Gap-Signature
X-Amzn-Oidc-Identity X-Amzn-Oidc-Data X-Amzn-Oidc-Accesstoken X-Amzn-Mtls-Clientcert X-Amzn-Tls-Version X-Amzn-Tls-Cipher-Suite
X-Client-Cert X-Ssl-Client-Cert X-Ssl-Client-S-Dn Ssl-Client-Cert Ssl-Client-Verify X-Forwarded-Client-Cert
X-Forwarded-Tls-Client-Cert X-Forwarded-Tls-Client-Cert-Info Client-Cert Client-Cert-Chain
Impersonate-User Impersonate-Group Impersonate-Uid Impersonate-Extra-Scopes Impersonate-Extra-a%2eb
Grpc-Metadata-Authorization Grpc-Metadata-Token Grpc-Metadata-Cookie Grpcgateway-Authorization Grpcgateway-Cookie Grpc-Timeout
Argocd-User Argocd-User-Id Argocd-Username Argocd-Target-Cluster-Name Argocd-Target-Cluster-Url
Forwarded X-Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Port X-Forwarded-Scheme X-Forwarded-Ssl
X-Forwarded-Server X-Forwarded-Prefix X-Forwarded-Uri X-Forwarded-Method X-Forwarded-Path X-Forwarded-Anything
X-Original-Host X-Original-For X-Original-Forwarded-For X-Real-Ip X-Client-Ip True-Client-Ip Cf-Connecting-Ip Cf-Ipcountry
Cf-Visitor Fastly-Client-Ip X-Cluster-Client-Ip X-Envoy-External-Address X-Envoy-Original-Path X-Scheme X-Url-Scheme
Front-End-Https X-Azure-Clientip X-Azure-Ref Via
X-Original-Url X-Original-Uri X-Original-Method X-Rewrite-Url X-Http-Method-Override X-Http-Method X-Method-Override
X-Accel-Redirect X-Accel-Mapping X-Sendfile X-Sendfile-Type X-Script-Name Script-Name Path-Info
Proxy Proxy-Connection Http2-Settings Proxy-Authorization X-Proxyuser-Ip
`)

// spelled are the ways in which a client may write a name for a server to read
// it as the same: case is nothing in HTTP, and CGI, WSGI, PHP and Rack fold _ and
// . into -.
func spelled(name string) []string {
	all := []string{
		strings.ToLower(name), strings.ToUpper(name),
		strings.ReplaceAll(name, "-", "_"), strings.ToLower(strings.ReplaceAll(name, "-", "_")), strings.ReplaceAll(name, "-", "."),
		strings.Replace(name, "-", "_", 1),
	}
	if name == "Proxy-Authorization" { // two of it are refused whole
		return append(all[:1], all[2:]...)
	}
	return all
}

// at is where the header of that number is sent.
func at(i int) string { return "/headers/" + strconv.Itoa(i) }

// planted is what the client says. It must not come out anywhere.
const planted = "planted-by-the-client"

// TestNoHeaderOfAProxyComesFromAClient sends each of them in all spellings at
// once, and in a trailer too, anonymous and signed in; and once more listed in
// Connection, which would take away what authgate says under that name.
func TestNoHeaderOfAProxyComesFromAClient(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, probed(sayFine))
	g := newGate(t, u, changed{`url: "URL"`, `url: "URL", identity: {headers: true}`})
	session := g.signIn()
	conn := dial(t, g.address)
	for _, who := range []string{"", session} {
		for _, listed := range []bool{false, true} {
			for i, name := range spoofable {
				a := g.askOn(conn, planting(at(i), name, who, listed))
				if a.status != 200 {
					t.Fatalf("%s: answered with %s", name, a)
				}
				// With a credential that is not authgate's own the request is anonymous.
				checkArrival(t, name, u.at(t, at(i)), who != "" && name != "Proxy-Authorization")
			}
		}
	}
}

func planting(path, name, cookie string, listed bool) string {
	lines := []string{"Transfer-Encoding: chunked", "Trailer: " + name + ", X-T", "Sec-Fetch-Site: same-origin"}
	for _, s := range spelled(name) {
		lines = append(lines, s+": "+planted)
	}
	if listed {
		lines = append(lines, "Connection: keep-alive, "+name+", "+strings.ToLower(name))
	}
	if cookie != "" {
		lines = append(lines, "Cookie: "+cookie)
	}
	return request("POST", path, "3\r\nabc\r\n0\r\n"+name+": "+planted+"\r\nX-T: "+planted+"\r\n\r\n", lines...)
}

func checkArrival(t *testing.T, name string, a arrival, signedIn bool) {
	t.Helper()
	if strings.Contains(a.head+a.tail, planted) {
		t.Errorf("%s: the upstream got %q %q", name, a.head, a.tail)
	}
	if a.tail != "" || len(a.header("Trailer")) > 0 {
		t.Errorf("%s: the upstream gets trailers: %q %q", name, a.head, a.tail)
	}
	seen := map[string]bool{}
	for line := range strings.SplitSeq(a.head, "\r\n") {
		n, _, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		folded := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(n))
		if seen[folded] {
			t.Errorf("%s: the upstream got %s twice: %q", name, n, a.head)
		}
		seen[folded] = true
	}
	// What authgate says instead stays, although Connection listed it.
	user, groups := a.header("X-Forwarded-User"), a.header("X-Forwarded-Groups")
	if signedIn && (!slices.Equal(user, []string{"sub-alice"}) || !slices.Equal(groups, []string{"example-org:argo"})) ||
		!signedIn && len(user)+len(groups) > 0 {
		t.Errorf("%s: the upstream gets %q in %q", name, user, groups)
	}
	if got := a.header("X-Forwarded-For"); !slices.Equal(got, []string{"127.0.0.1"}) {
		t.Errorf("%s: the upstream gets the client address %q", name, got)
	}
}

// TestHeadersOverHTTP2AreTheSame: the names are lower-case there, and _ as legal.
func TestHeadersOverHTTP2AreTheSame(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, sayFine)
	g := newGate(t, u, nil)
	hop := []string{"proxy-connection"} // net/http's to refuse
	f := g.speakFrames(t)
	stream := uint32(1)
	for i, name := range spoofable {
		lower := strings.ToLower(name)
		if slices.Contains(hop, lower) {
			continue
		}
		list := plain(at(i), field{lower, planted}, field{strings.ReplaceAll(lower, "-", "_"), planted}, field{strings.ReplaceAll(lower, "-", "."), planted})
		f.request(stream, true, list...)
		if got := f.answer(stream); got != "200 ok" {
			t.Fatalf("%s: answered with %s", name, got)
		}
		checkArrival(t, name, u.at(t, at(i)), false)
		stream += 2
	}
}

// TestWhatAClientMaySayArrivesUntouched: authgate drops what only proxies say,
// and nothing else.
func TestWhatAClientMaySayArrivesUntouched(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, sayFine)
	g := newGate(t, u, nil)
	lines := []string{
		"Accept: application/json;q=0.9, */*", "Accept-Encoding: br", "Accept-Language: de", "User-Agent: kubectl/v1 (x)", "X-Csrf-Token: a",
		"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Tracestate: a=b", "Baggage: a=b", "Range: bytes=0-1",
		"If-None-Match: \"a\"", "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT", "X-Hub-Signature-256: sha256=00", "X-GitHub-Event: push",
		"Cookie: argocd.token=a; b=\"c d\"; e", "Referer: http://raw.example/", "X-A: \xe9", "Content-Type: application/json",
		"X-Request-Id: a-client.s_own/id+1=",
	}
	body := "{\"a\": \"\xff\\u0000\"}\r\n"
	a := g.ask(request("POST", "/hook", body, append(lines, "Content-Length: 18", "Connection: close")...))
	if a.status != 200 {
		t.Fatalf("answered with %s", a)
	}
	seen := u.at(t, "/hook")
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if got := seen.header(name); !slices.Equal(got, []string{value}) {
			t.Errorf("%s came as %q, want %q", name, got, value)
		}
	}
	if seen.body != body {
		t.Errorf("the body came as %q, want %q", seen.body, body)
	}
	if a := g.ask(get("/bare", "Connection: close")); a.status != 200 {
		t.Fatalf("answered with %s", a)
	}
	for _, name := range []string{"User-Agent", "Accept-Encoding", "Accept", "Connection"} {
		if got := u.at(t, "/bare").header(name); len(got) > 0 {
			t.Errorf("authgate made up %s: %q", name, got)
		}
	}
}

var anID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// TestRequestIDIsTheClientsOnlyIfItIsHarmless: it goes into logs.
func TestRequestIDIsTheClientsOnlyIfItIsHarmless(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, sayFine)
	g := newGate(t, u, nil)
	for name, lines := range map[string][]string{
		"none":      nil,
		"empty":     {"X-Request-Id:"},
		"blank":     {"X-Request-Id: a b"},
		"quote":     {`X-Request-Id: a"b`},
		"two":       {"X-Request-Id: a", "X-Request-Id: b"},
		"8-bit":     {"X-Request-Id: \xe9"},
		"long":      {"X-Request-Id: " + strings.Repeat("a", 129)},
		"bracketed": {"X-Request-Id: <script>"},
	} {
		a := g.ask(get("/id-"+name, append(lines, "Connection: close")...))
		got := u.at(t, "/id-"+name).header("X-Request-Id")
		if len(got) != 1 || !anID.MatchString(got[0]) || a.header.Get("X-Request-Id") != got[0] {
			t.Errorf("%s: the upstream got %q, the client %q", name, got, a.header["X-Request-Id"])
		}
	}
}

// TestEnvironmentLeadsNowhere: a proxy named in the environment, by the author of
// the pod or by httpoxy, would see every credential.
func TestEnvironmentLeadsNowhere(t *testing.T) {
	t.Parallel()
	var trapped atomic.Int64
	trap := newUpstream(t, func(conn net.Conn, a *arrival) bool {
		trapped.Add(1)
		return sayFine(conn, a)
	})
	address := "http://" + trap.address
	// The name must not be of this machine: for those no proxy is asked.
	g := newGate(t, trap, changed{`url: "URL"`, `url: "http://upstream.invalid"`},
		"HTTP_PROXY="+address, "http_proxy="+address, "HTTPS_PROXY="+address, "https_proxy="+address, "ALL_PROXY="+address, "NO_PROXY=", "no_proxy=")
	begun := time.Now()
	if a := g.ask(get("/a", "Proxy: "+address, "Connection: close")); a.status != 502 && a.status != 504 {
		t.Errorf("answered with %s after %s", a, time.Since(begun))
	}
	if trapped.Load() > 0 || len(trap.arrivals()) > 0 {
		t.Error("the proxy of the environment was asked")
	}
}
