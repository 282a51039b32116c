package proxy_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookiestore"
)

// chainBrowser is a person's browser with a session of its own at each host.
type chainBrowser struct {
	*gate
	cookies map[string]map[string]string // host → name → value
	visited []string
}

func (g *gate) chainBrowser() *chainBrowser {
	return &chainBrowser{gate: g, cookies: map[string]map[string]string{}}
}

func (b *chainBrowser) signIn(who string, hosts ...string) {
	b.t.Helper()
	for _, host := range hosts {
		name, value, _ := strings.Cut(b.as(who)[1], "=")
		b.cookies[host] = map[string]string{name: value}
	}
}

func (b *chainBrowser) send(method, address string, headers ...[]string) *http.Response {
	b.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.cookies[u.Host] == nil {
		b.cookies[u.Host] = map[string]string{}
	}
	for name, value := range b.cookies[u.Host] {
		headers = append(headers, []string{"Cookie", name + "=" + value})
	}
	res := b.do(method, address, headers...)
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies[u.Host], c.Name)
		} else {
			b.cookies[u.Host][c.Name] = c.Value
		}
	}
	return res
}

// follow goes where redirects and pages that go on by themselves lead.
func (b *chainBrowser) follow(res *http.Response, headers ...[]string) (*http.Response, string) {
	b.t.Helper()
	if len(headers) == 0 {
		headers = [][]string{arriving("same-site")}
	}
	page := ""
	for hop := 0; ; hop++ {
		to := res.Header.Get("Location")
		page = body(b.t, res)
		if _, rest, found := strings.Cut(page, `content="0;url=`); found && to == "" {
			to, _, _ = strings.Cut(rest, `"`)
		}
		if !strings.Contains(to, "/sign_out/chain") {
			return res, page
		}
		if hop > 40 {
			b.t.Fatalf("a circle: %s", b.visited)
		}
		b.visited = append(b.visited, to)
		res = b.send("GET", strings.ReplaceAll(to, "&amp;", "&"), headers...)
	}
}

func (b *chainBrowser) signedIn(host string) bool {
	b.t.Helper()
	return b.send("GET", "https://"+host+"/oauth2/userinfo").StatusCode == http.StatusOK
}

const workflowsHost, argoHost = "argo-workflows.example.com", "argo-cd.example.com"

func TestSigningOutEndsTheSessionsOfThisBrowserAtEveryHost(t *testing.T) {
	t.Parallel()
	for _, from := range []string{argoHost, workflowsHost} {
		g := newGate(t, nil)
		b, elsewhere := g.chainBrowser(), g.chainBrowser()
		b.signIn("alice", argoHost, workflowsHost)
		elsewhere.signIn("alice", argoHost)
		copies := map[string][]string{}
		for host, cookies := range b.cookies {
			for name, value := range cookies {
				copies[host] = []string{"Cookie", name + "=" + value}
			}
		}
		res := b.send("POST", "https://"+from+"/oauth2/sign_out?rd=/applications", arriving("same-origin"))
		expect(t, "signing out", res, http.StatusSeeOther)
		if b.signedIn(from) {
			t.Error("the host where it begins is not the first to end")
		}
		if len(b.cookies[from]) != 0 {
			t.Errorf("the browser keeps %v", b.cookies[from])
		}
		last, page := b.follow(res)
		expect(t, "the last page", last, http.StatusOK)
		for _, want := range []string{argoHost + ": session ended", workflowsHost + ": session ended", `href="/applications"`, "You are signed out"} {
			if !strings.Contains(page, want) {
				t.Errorf("%q is missing in\n%s", want, page)
			}
		}
		for host, copied := range copies {
			if len(b.cookies[host]) != 0 || b.signedIn(host) {
				t.Errorf("%s: still signed in", host)
			}
			expect(t, "a copy of the cookie", g.do("GET", "https://"+host+"/oauth2/userinfo", copied), http.StatusUnauthorized)
		}
		if !elsewhere.signedIn(argoHost) {
			t.Error("another browser of hers is signed out")
		}
		logouts := 0
		for _, r := range g.records() {
			if r.Event == audit.Logout && r.Subject == "sub-alice" {
				logouts++
			}
			if strings.Contains(r.Path, "t=") {
				t.Errorf("the token is in the audit: %s", r.Path)
			}
		}
		if logouts != 2 {
			t.Errorf("%d logouts in the audit", logouts)
		}
	}
}

func TestTheLastPageTellsWhatWasFoundAtEachHost(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	b := g.chainBrowser()
	b.signIn("alice", argoHost)
	_, page := b.follow(b.send("POST", own+"/sign_out", sameSite))
	if !strings.Contains(page, workflowsHost+": no session") || !strings.Contains(page, argoHost+": session ended") {
		t.Errorf("%s", page)
	}
	b.signIn("alice", argoHost)
	b.signIn("bob", workflowsHost)
	_, page = b.follow(b.send("POST", own+"/sign_out", sameSite))
	if !strings.Contains(page, workflowsHost+": another user") || !b.signedIn(workflowsHost) {
		t.Errorf("%s", page)
	}
}

func TestALinkOfAnothersSignOutEndsNothing(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	attacker, victim, same := g.chainBrowser(), g.chainBrowser(), g.chainBrowser()
	attacker.signIn("bob", argoHost)
	victim.signIn("alice", argoHost, workflowsHost)
	link := attacker.send("POST", own+"/sign_out", sameSite).Header.Get("Location")
	res := victim.send("GET", link, arriving("cross-site"))
	if len(res.Cookies()) > 0 || res.Header.Get("Clear-Site-Data") != "" {
		t.Errorf("%q", res.Header)
	}
	victim.follow(res, arriving("cross-site"))
	if !victim.signedIn(argoHost) || !victim.signedIn(workflowsHost) {
		t.Error("she is signed out by a link of his")
	}
	// His own session that began after that, too, is another one.
	same.signIn("bob", workflowsHost)
	_, page := same.follow(same.send("GET", link, arriving("cross-site")))
	if !same.signedIn(workflowsHost) || !strings.Contains(page, workflowsHost+": a session that was created later") {
		t.Errorf("a link was used again on a later session:\n%s", page)
	}
}

func TestALinkOfASignOutIsGoodForAMinuteAtOneHostAndUnchanged(t *testing.T) {
	t.Parallel()
	ahead := time.Duration(0)
	g := newGateTo(t, brokenUpstream(t), func(o *proxy.Options) { o.Now = func() time.Time { return time.Now().Add(ahead) } })
	b := g.chainBrowser()
	b.signIn("alice", argoHost, workflowsHost)
	link := b.send("POST", own+"/sign_out", sameSite).Header.Get("Location")
	token := link[strings.Index(link, "t=")+2:]
	for what, address := range map[string]string{
		"another host":     own + "/sign_out/chain?t=" + token,
		"no token":         "https://" + workflowsHost + "/oauth2/sign_out/chain",
		"an empty one":     "https://" + workflowsHost + "/oauth2/sign_out/chain?t=",
		"two":              link + "&t=" + token,
		"a changed one":    link[:len(link)-4] + "AAAA",
		"a cut one":        link[:len(link)-9],
		"a large one":      link + strings.Repeat("A", 9000),
		"a session cookie": "https://" + workflowsHost + "/oauth2/sign_out/chain?t=" + b.cookies[workflowsHost]["__Host-authgate"][1:],
	} {
		res := b.send("GET", address, arriving("same-site"))
		expect(t, what, res, http.StatusBadRequest)
		if len(res.Cookies()) > 0 {
			t.Errorf("%s: %q", what, res.Cookies())
		}
	}
	expect(t, "POST", b.send("POST", link, sameSite), http.StatusMethodNotAllowed)
	expect(t, "HEAD", b.send("HEAD", link), http.StatusMethodNotAllowed)
	ahead = 61 * time.Second
	expect(t, "after a minute", b.send("GET", link, arriving("same-site")), http.StatusBadRequest)
	if ahead = 0; !b.signedIn(workflowsHost) {
		t.Error("signed out all the same")
	}
	ahead = 59 * time.Second
	expect(t, "within a minute", b.send("GET", link, arriving("same-site")), http.StatusSeeOther)
}

func TestASignOutKeepsSchemeAndPortAndGoesToHostsOfTheConfigurationOnly(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	b := g.chainBrowser()
	b.signIn("alice", argoHost+":8443")
	res := b.send("POST", "https://"+argoHost+":8443/oauth2/sign_out?rd=//evil.example/", sameSite)
	if to := res.Header.Get("Location"); !strings.HasPrefix(to, "https://"+workflowsHost+":8443/oauth2/sign_out/chain?t=") {
		t.Errorf("goes to %s", to)
	}
	_, page := b.follow(res)
	for _, to := range b.visited {
		if u, err := url.Parse(to); err != nil || u.Port() != "8443" || u.Hostname() != argoHost && u.Hostname() != workflowsHost {
			t.Errorf("goes to %s", to)
		}
	}
	if strings.Contains(page, "evil") {
		t.Errorf("%s", page)
	}
}

func TestASignOutOverManyHostsNeverHasMoreRedirectsThanBrowsersFollow(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), func(o *proxy.Options) {
		for i := range 35 {
			o.Config.Upstreams[2].Hosts = append(o.Config.Upstreams[2].Hosts, fmt.Sprintf("dashboard-%d.example.com", i))
		}
	})
	b := g.chainBrowser()
	b.signIn("alice", argoHost, "dashboard-34.example.com")
	res := b.send("POST", own+"/sign_out", sameSite)
	row, longest := 0, 0
	for range 50 {
		to := res.Header.Get("Location")
		if row++; to == "" {
			longest, row = max(longest, row), 0
			_, rest, found := strings.Cut(body(t, res), `content="0;url=`)
			if !found {
				break
			}
			to, _, _ = strings.Cut(rest, `"`)
		}
		res = b.send("GET", to, arriving("same-site"))
	}
	if longest > 18 || b.signedIn("dashboard-34.example.com") {
		t.Errorf("%d redirects in a row; signed in: %v", longest, b.signedIn("dashboard-34.example.com"))
	}
}

func TestASignOutStaysAtOneHostWhereItCanOrMust(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for what, headers := range map[string][]string{
		"a script":  {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"},
		"anonymous": {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate"},
	} {
		b := g.chainBrowser()
		if what == "a script" {
			b.signIn("alice", argoHost)
		}
		expect(t, what, b.send("POST", own+"/sign_out", headers), http.StatusOK)
	}
	shared := newGateTo(t, brokenUpstream(t), func(o *proxy.Options) { o.Config.Session.Cookie.Domain = "example.com" })
	w := httptest.NewRecorder()
	jar := proxy.NewSessionCookie(config.Cookie{Name: "authgate", Domain: "example.com", SameSite: config.SameSiteLax})
	cookies := cookiestore.New(cookiestore.Options{Cookie: jar, Keyring: shared.ring})
	if _, err := cookies.Create(t.Context(), w, nil, session.New(granted(people["alice"]), time.Now(), time.Hour), true); err != nil {
		t.Fatal(err)
	}
	c := w.Result().Cookies()[0]
	expect(t, "a cookie for all hosts", shared.do("POST", own+"/sign_out", sameSite, []string{"Cookie", c.Name + "=" + c.Value}), http.StatusOK)
}

func TestThePageWithTheButtonMayLeadToTheOtherHosts(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	res := g.do("GET", own+"/sign_out", g.as("alice"), browser)
	if policy := res.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https://"+workflowsHost+";") {
		t.Errorf("browsers hold the redirects of the form to %q", policy)
	}
}

func TestTheIssuerEndsItsSessionAfterAllHosts(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	g.issuer.signOut = "https://dex.example.com/logout"
	b := g.chainBrowser()
	b.signIn("alice", argoHost, workflowsHost)
	_, page := b.follow(b.send("POST", own+"/sign_out", arriving("same-origin")))
	if !strings.Contains(page, workflowsHost+": session ended") || !strings.Contains(page, `content="5;url=https://dex.example.com/logout?`) {
		t.Errorf("%s", page)
	}
	b.signIn("alice", argoHost, workflowsHost)
	res, _ := b.follow(b.send("POST", own+"/sign_out", sameSite), sameSite)
	if to := res.Header.Get("Location"); !strings.HasPrefix(to, "https://dex.example.com/logout?") {
		t.Errorf("a program is sent to %q", to)
	}
}

func TestAStrictCookieIsShownAtTheSecondTry(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), func(o *proxy.Options) { o.Config.Session.Cookie.SameSite = config.SameSiteStrict })
	b := g.chainBrowser()
	b.signIn("alice", argoHost, workflowsHost)
	link := b.send("POST", own+"/sign_out", sameSite).Header.Get("Location")
	res := g.do("GET", link, arriving("cross-site")) // browsers keep the cookie back
	goesOnTo(t, "another site", res, strings.TrimPrefix(link, "https://"+workflowsHost))
	b.follow(b.send("GET", link, arriving("same-origin")))
	if b.signedIn(workflowsHost) {
		t.Error("still signed in")
	}
}

func TestNoReturnOfASignOutLeadsToAnotherHost(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	b := g.chainBrowser()
	for _, rd := range redirects {
		want, ok := kept[rd]
		if !ok {
			want = "/"
		}
		if rd == "" {
			continue
		}
		b.signIn("alice", argoHost)
		_, page := b.follow(b.send("POST", own+"/sign_out?"+url.Values{"rd": {rd}}.Encode(), sameSite))
		if !strings.Contains(page, `<p><a href="`+want+`">Back to where you were</a></p>`) {
			t.Errorf("rd=%q: another return than %q in\n%s", rd, want, page)
		}
	}
}
