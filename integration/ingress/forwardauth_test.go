package ingress_test

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket/wsjson"

	"github.com/example-org/authgate/integration/visitor"
)

// signedIn is a user who opened a page with two parameters, and got there.
func (d *ingress) signedIn(login string) *visitor.Visitor {
	d.t.Helper()
	v, err := d.Visitor(login)
	if err != nil {
		d.t.Fatal(err)
	}
	const page = "/applications?proj=a&search=b"
	a, err := v.Open(d.t.Context(), d.ArgoCD+page)
	if err != nil {
		d.t.Fatal(err)
	}
	if !a.Via("/oauth2/start") || !a.Via("/oauth2/callback") || a.URL.RequestURI() != page {
		d.t.Fatalf("the login of %s ended at %s with %d: %v %s", login, a.URL, a.Status, a.Hops, a.Body)
	}
	return v
}

func (d *ingress) fetch(v *visitor.Visitor, method, path string, headers ...string) visitor.Answer {
	d.t.Helper()
	a, err := v.Fetch(d.t.Context(), method, d.ArgoCD+path, "{}", headers...)
	if err != nil {
		d.t.Fatal(err)
	}
	return a
}

// raw sends a request line as it is written, with a user's cookies.
func (d *ingress) raw(v *visitor.Visitor, line, host string, headers ...string) (status int) {
	d.t.Helper()
	conn, err := net.Dial("tcp", d.address)
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close() // read to its end
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	head := line + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n"
	cookies, err := v.Cookies(d.ArgoCD)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, c := range cookies {
		head += "Cookie: " + c.Name + "=" + c.Value + "\r\n"
	}
	for i := 0; i+1 < len(headers); i += 2 {
		head += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		d.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		d.t.Fatalf("%s: %v", line, err)
	}
	return res.StatusCode
}

func TestPeopleLogInThroughNginx(t *testing.T) {
	t.Parallel()
	d := open(t)
	alice := d.signedIn("alice")
	saw := d.behind.saw()
	for name, want := range map[string]string{
		"X-Auth-Request-Email": "alice@example.com", "X-Auth-Request-Groups": "example-org:argo", "X-Auth-Request-Preferred-Username": "alice",
		"X-Forwarded-Email": "alice@example.com", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http",
	} {
		if got := saw.Header.Get(name); got != want {
			t.Errorf("Argo CD saw %s: %q, want %q", name, got, want)
		}
	}
	if user := saw.Header.Get("X-Auth-Request-User"); user == "" || saw.Header.Get("X-Forwarded-User") != user {
		t.Errorf("Argo CD saw no user: %v", saw.Header)
	}
	if a := d.fetch(alice, http.MethodPost, "/api/v1/applications/guestbook/sync"); a.Status != http.StatusOK {
		t.Errorf("alice's sync: %d %s", a.Status, a.Body)
	}
	if a := d.fetch(alice, http.MethodPost, "/api/v1/applications/guestbook/sync", "Origin", d.Workflows, "Sec-Fetch-Site", "same-site"); a.Status != http.StatusForbidden {
		t.Errorf("a sync that a sibling dashboard sends: %d", a.Status)
	}
	anonymous, err := d.Visitor("")
	if err != nil {
		t.Fatal(err)
	}
	if a := d.fetch(anonymous, http.MethodGet, "/api/v1/applications"); a.Status != http.StatusUnauthorized || a.Header.Get("Location") != "" {
		t.Errorf("an anonymous script: %d to %q", a.Status, a.Header.Get("Location"))
	}
	bob := d.signedIn("bob")
	if a := d.fetch(bob, http.MethodPost, "/api/v1/applications/guestbook/sync"); a.Status != http.StatusForbidden {
		t.Errorf("bob's sync: %d", a.Status)
	}
	records, err := d.Files.ReadAudit()
	if err != nil {
		t.Fatal(err)
	}
	last := records[len(records)-1]
	if last["method"] != "POST" || last["path"] != "/api/v1/applications/guestbook/sync" || last["decision"] != "deny" ||
		last["upstream"] != "argocd" || last["email"] != "bob@example.com" || last["status"] != 403.0 {
		t.Errorf("the audit's last line: %v", last)
	}
	if a, err := bob.Submit(t.Context(), d.ArgoCD+"/oauth2/sign_out", nil); err != nil || a.Status != http.StatusOK {
		t.Errorf("signing out: %d %v", a.Status, err)
	}
	if a := d.fetch(bob, http.MethodGet, "/api/v1/applications"); a.Status != http.StatusUnauthorized {
		t.Errorf("bob, signed out: %d", a.Status)
	}
}

// spoofs are what a client must not make a dashboard trust.
var spoofs = []string{
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username", "X-Auth-Request-Access-Token",
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
	"X_Auth_Request_User", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Remote-User", "Remote-Groups", "X-Remote-User", "X-Remote-Group",
	"Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "Grpc-Metadata-Authorization", "Grpc-Metadata-Token", "X-Original-URL",
	"X-Original-Method", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-Method",
}

func TestNoHeaderOfAClientsOwnReachesTheDashboard(t *testing.T) {
	t.Parallel()
	d := open(t)
	var headers []string
	for _, name := range spoofs {
		headers = append(headers, name, "mallory")
	}
	anonymous, err := d.Visitor("")
	if err != nil {
		t.Fatal(err)
	}
	for who, ask := range map[string]struct {
		v    *visitor.Visitor
		path string
	}{"bob": {d.signedIn("bob"), "/applications"}, "anonymous": {anonymous, "/assets/dashboard.css"}} {
		d.behind.saw()
		if a := d.fetch(ask.v, http.MethodGet, ask.path, headers...); a.Status != http.StatusOK {
			t.Fatalf("%s: %d %s", who, a.Status, a.Body)
		}
		saw := d.behind.saw()
		for name, values := range saw.Header {
			if strings.Contains(strings.Join(values, " "), "mallory") {
				t.Errorf("%s: Argo CD saw %s: %q", who, name, values)
			}
		}
		if user := saw.Header.Get("X-Auth-Request-User"); (user == "") != (who == "anonymous") {
			t.Errorf("%s: Argo CD saw the user %q", who, user)
		}
	}
	for _, own := range []string{"X-Forwarded-Uri", "X-Forwarded-Method", "X-Original-Method"} {
		if a := d.fetch(anonymous, http.MethodGet, "/applications", own, "/login"); a.Status != http.StatusUnauthorized {
			t.Errorf("an anonymous request with %s: %d", own, a.Status)
		}
	}
	if a := d.fetch(anonymous, http.MethodGet, "/oauth2/auth", "X-Original-URL", d.ArgoCD+"/login", "X-Original-Method", "GET"); a.Status != http.StatusNotFound {
		t.Errorf("asking from outside: %d %s", a.Status, a.Body)
	}
}

func TestWhatIsJudgedIsWhatNginxForwards(t *testing.T) {
	t.Parallel()
	d := open(t)
	alice, bob := d.signedIn("alice"), d.signedIn("bob")
	_, port, _ := strings.Cut(d.address, ":")
	host := "argo-cd.localhost:" + port
	d.forwardsWhatWasJudged(alice, bob, nil)

	// The host in the request line is the one that nginx routes by.
	d.behind.saw()
	for _, other := range []string{"argo-workflows.localhost:" + port, "argo-workflows.localhost"} {
		const page = "/workflows/argo" // bob may open it there, and not on Argo CD
		if status := d.raw(bob, "GET http://"+host+page, other); status != http.StatusForbidden || d.behind.saw() != nil {
			t.Errorf("bob's %s on Argo CD with Host: %s: %d", page, other, status)
		}
	}
	if status := d.raw(alice, "GET http://other.localhost/terminal", host); status != http.StatusTeapot {
		t.Errorf("a URL of another host: %d, nginx has not routed by it", status)
	}
}

// forwardsWhatWasJudged sends paths that servers read differently. Some ingresses
// respell a few of them, in ways that authgate judges as the same path.
func (d *ingress) forwardsWhatWasJudged(alice, bob *visitor.Visitor, respelt map[string]string) {
	d.t.Helper()
	host := strings.TrimPrefix(d.ArgoCD, "http://")
	sent := map[string]string{}
	for _, path := range []string{
		"/applications", "/applications?a=/../terminal", "/applications/a%20b", "/applications/a%3Ab", "/applications/%C3%A9", "/applications/a|b", "/%61pplications",
		"/api/v1/clusters/https%3A%2F%2Fkubernetes.default.svc", "/applications/?x=%zz", "/applications/a+b,c='d'(e)!", "/applications/\"x\"",
		"//terminal", "/./terminal", "/applications/../terminal", "/applications/%2e%2e/terminal", "/applications/..%2fterminal", "/applications%2f..%2fterminal",
		"/terminal%2f", "/applications/%252e%252e/terminal", `/applications\..\terminal`, "/applications;/../terminal", "/applications/%00", "/applications/x%23/../../terminal",
		"/oauth2/../terminal", "/oauth2/..%2fterminal", "/oauth2/%2e%2e/terminal", "/oauth2%2f..%2fterminal", "/oauth2//../terminal", "/x/../oauth2/auth", "/%74erminal", "/%6fauth2/userinfo", "/oauth2",
		"/terminal", "/terminal/", "/terminal?x=/applications", "/applications/..;/terminal", "/applications/%5c../terminal", "/applications/\xff", "/TERMINAL",
	} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			for name, v := range map[string]*visitor.Visitor{"alice": alice, "bob": bob} {
				d.behind.saw()
				status := d.raw(v, method+" "+path, host, "Sec-Fetch-Site", "same-origin")
				saw := d.behind.saw()
				if saw == nil {
					continue
				}
				sent[path] = fmt.Sprint(status)
				if saw.RequestURI != cmp.Or(respelt[path], path) || saw.Method != method {
					d.t.Errorf("%s: %s %s reached Argo CD as %s %s", name, method, path, saw.Method, saw.RequestURI)
				}
				if name == "bob" && strings.Contains(strings.ToLower(saw.URL.Path), "terminal") {
					d.t.Errorf("bob's %s %s reached Argo CD: %d", method, path, status)
				}
			}
		}
	}
	for _, path := range []string{"/applications", "/applications?a=/../terminal", "/applications/a%3Ab", "/%61pplications", "/terminal"} {
		if sent[path] == "" {
			d.t.Errorf("%s did not reach Argo CD for any user", path)
		}
	}
}

func TestTerminalBehindNginxIsForItsOwnPagesAlone(t *testing.T) {
	t.Parallel()
	d := open(t)
	alice, bob := d.signedIn("alice"), d.signedIn("bob")
	terminal := strings.Replace(d.ArgoCD, "http", "ws", 1) + "/terminal"
	c, a, err := alice.Dial(t.Context(), terminal, "")
	if err != nil {
		t.Fatalf("alice: %d %v", a.Status, err)
	}
	defer c.CloseNow() // nothing is left to say
	if err := wsjson.Write(t.Context(), c, map[string]string{"operation": "stdin", "data": "hello"}); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := wsjson.Read(t.Context(), c, &got); err != nil {
		t.Errorf("nothing came back: %v", err)
	}
	for _, page := range []string{"https://evil.example.com", d.Workflows} {
		if _, a, err := alice.Dial(t.Context(), terminal, page); err == nil || a.Status != http.StatusForbidden {
			t.Errorf("alice's browser, for a page of %s: %d %v", page, a.Status, err)
		}
	}
	if _, a, err := bob.Dial(t.Context(), terminal, ""); err == nil || a.Status != http.StatusForbidden {
		t.Errorf("bob: %d %v", a.Status, err)
	}
	d.behind.saw()
	if status := d.raw(alice, "GET /applications", "argo-cd.localhost", "Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABkAAQAAP__"); status != http.StatusForbidden || d.behind.saw() != nil {
		t.Errorf("a tunnel: %d", status)
	}
}
