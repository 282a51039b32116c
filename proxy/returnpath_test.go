package proxy_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

// query makes one of exactly that many bytes.
func query(bytes int) string {
	return "filter=" + strings.Repeat("a%20b&c=d&", bytes/10)[:bytes-len("filter=")]
}

func TestADeepLinkSurvivesALoginOrThePageSaysSo(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for asked, want := range map[string]string{
		"/applications?" + query(1025):                       "",
		"/applications?" + query(4096):                       "",
		"/" + strings.Repeat("a", 2047) + "?" + query(4096):  "",
		"/applications?" + query(4097):                       "/applications",
		"/applications?" + query(40_000):                     "/applications",
		"/" + strings.Repeat("a", 2048) + "?x=1":             "/",
		"/" + strings.Repeat("a", 20_000) + "?" + query(100): "/",
	} {
		name := asked[:14]
		res := g.do("GET", here+asked, browser)
		expect(t, name, res, http.StatusFound)
		start := res.Header.Get("Location")
		if len(start) > 16<<10 {
			t.Errorf("%s: a Location of %d bytes", name, len(start))
		}
		res = g.do("GET", here+start, browser)
		expect(t, name, res, http.StatusFound)
		to, err := url.Parse(res.Header.Get("Location"))
		if err != nil || len(to.String()) > 15<<10 { // a balancer of AWS takes 16 KiB
			t.Fatalf("%s: %d bytes, %v", name, len(to.String()), err)
		}
		kept := res.Cookies()[0]
		res = g.callback("alice", to.Query().Get("state"), []string{"Cookie", kept.Name + "=" + kept.Value})
		if want == "" {
			expect(t, name, res, http.StatusFound)
			if got := res.Header.Get("Location"); got != asked {
				t.Errorf("%d bytes came back as %d", len(asked), len(got))
			}
			continue
		}
		expect(t, name, res, http.StatusOK)
		if page := body(t, res); !strings.Contains(page, "too long") || !strings.Contains(page, `<a href="`+want+`">`) || strings.Contains(page, "http-equiv") {
			t.Errorf("%s: no note and a link to %s:\n%s", name, want, page)
		}
		if sessionOf(res) == nil {
			t.Errorf("%s: no session", name)
		}
	}
}

func TestALongReturnPathThatSomethingElseWroteIsNotedToo(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	state, cookie := g.begin("/x?" + query(5000))
	res := g.callback("alice", state, cookie)
	expect(t, "callback", res, http.StatusOK)
	if page := body(t, res); !strings.Contains(page, "too long") || !strings.Contains(page, `<a href="/x">`) {
		t.Errorf("no note:\n%s", page)
	}
}

func TestEachRedirectToAnotherHostHasAFragmentOfItsOwn(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	for _, rd := range []string{"/", "/applications?a=b", "/x?" + query(4000)} {
		to := g.do("GET", own+"/start?rd="+url.QueryEscape(rd), browser).Header.Get("Location")
		u, err := url.Parse(to)
		if err != nil || u.Fragment == "" || strings.Count(to, "#") != 1 {
			t.Errorf("%s: %v", to, err)
		}
	}
}

func keeping(o *proxy.Options) { o.Config.Upstreams[1].KeepFragment = true } // reports

var nonced = regexp.MustCompile(`<script nonce="([^"]+)">`)

// scripted fails unless a response is a page whose one script its policy allows.
func scripted(t *testing.T, what string, res *http.Response) (page string) {
	t.Helper()
	expect(t, what, res, http.StatusOK)
	page = body(t, res)
	found := nonced.FindStringSubmatch(page)
	if found == nil || !strings.Contains(res.Header.Get("Content-Security-Policy"), "script-src 'nonce-"+found[1]+"'") {
		t.Errorf("%s: policy %q, and\n%s", what, res.Header.Get("Content-Security-Policy"), page)
	}
	if res.Header.Get("Location") != "" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %q", what, res.Header)
	}
	return page
}

func TestWithKeepFragmentTheLoginBeginsAndEndsOnAPageThatHasAScript(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), keeping)
	page := scripted(t, "anonymous", g.do("GET", here+"/reports/x?a=b&c=d", browser))
	const start = "/oauth2/start?rd=%2Freports%2Fx%3Fa%3Db%26c%3Dd"
	if !strings.Contains(page, `<noscript>`) || strings.Count(page, `href="`+start+`"`) != 2 {
		t.Errorf("no way to the login:\n%s", page)
	}
	if page2 := scripted(t, "anonymous", g.do("GET", here+"/reports/x?a=b&c=d", browser)); page2 == page {
		t.Error("two pages have one nonce")
	}

	finish := func(start string) *http.Response {
		res := g.do("GET", here+start, browser)
		to, err := url.Parse(res.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		kept := res.Cookies()[0]
		return g.callback("alice", to.Query().Get("state"), []string{"Cookie", kept.Name + "=" + kept.Value})
	}
	res := finish(start) // without scripts, or without a fragment
	expect(t, "without a fragment", res, http.StatusFound)
	if got := res.Header.Get("Location"); got != "/reports/x?a=b&c=d" {
		t.Errorf("Location %q", got)
	}
	res = finish(start + "&fragment=1")
	if sessionOf(res) == nil {
		t.Error("no session")
	}
	if page := scripted(t, "back", res); !strings.Contains(page, `<a href="/reports/x?a=b&amp;c=d">`) {
		t.Errorf("no way back:\n%s", page)
	}
}

func TestKeepFragmentIsForNavigationsToThatUpstreamAlone(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), keeping)
	expect(t, "another upstream", g.do("GET", here+"/applications", browser), http.StatusFound)
	expect(t, "the portal", g.do("GET", own+"/", browser), http.StatusFound)
	expect(t, "a script", g.do("GET", here+"/reports/x", []string{"Accept", "*/*"}), http.StatusUnauthorized)
	expect(t, "a form", g.do("POST", here+"/reports/x", browser), http.StatusUnauthorized)
	expect(t, "a denied user", g.do("GET", here+"/reports/x", g.as("carol"), browser), http.StatusForbidden)
}

// A page of this site asks at once for the login, with the cookie that was withheld;
// a second look at the same address would lose the fragment.
func TestWithStrictCookiesAFragmentIsKeptToo(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t), keeping, func(o *proxy.Options) { o.Config.Session.Cookie.SameSite = config.SameSiteStrict })
	scripted(t, "from another site", g.do("GET", here+"/reports/x", arriving("cross-site")))
	state, cookie := g.begin("/reports/x")
	made := g.callback("alice", state, cookie)
	var all []string
	for _, c := range made.Cookies() {
		all = append(all, c.Name+"="+c.Value)
	}
	page := scripted(t, "the login, in a session", g.do("GET", own+"/start?rd=/reports/x&fragment=1",
		[]string{"Cookie", strings.Join(all, "; ")}, arriving("same-origin")))
	if !strings.Contains(page, `<a href="/reports/x">`) {
		t.Errorf("no way back:\n%s", page)
	}
}

func TestAnotherAccountIsAskedForAlthoughThereIsASession(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	const wanted = `href="/oauth2/start?rd=%2Fsecret%3Fa%3Db&amp;prompt=login"`
	denied := body(t, g.do("GET", here+"/secret?a=b", g.as("bob"), browser))
	for _, link := range []string{wanted, `href="/oauth2/sign_out?rd=%2Fsecret%3Fa%3Db"`, "Use another account"} {
		if !strings.Contains(denied, link) {
			t.Errorf("%s is missing in:\n%s", link, denied)
		}
	}
	out := body(t, g.do("GET", own+"/sign_out?rd=/secret%3Fa%3Db", browser))
	for _, link := range []string{wanted, `href="/oauth2/start?rd=%2Fsecret%3Fa%3Db"`} {
		if !strings.Contains(out, link) {
			t.Errorf("signed out: %s is missing in:\n%s", link, out)
		}
	}
	if out := body(t, g.do("GET", own+"/sign_out", browser)); !strings.Contains(out, `href="/oauth2/start?rd=%2F&amp;prompt=login"`) {
		t.Errorf("signed out: no other account in:\n%s", out)
	}

	w := g.window(t)
	w.backAt("/", w.start("/")("bob"))
	res := w.get("/oauth2/start?rd=%2Fsecret%3Fa%3Db&prompt=login")
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || to.Query().Get("prompt") != "login" {
		t.Fatalf("to %s, %v", to, err)
	}
	w.backAt("/secret?a=b", w.get("/oauth2/callback?"+url.Values{"code": {"alice"}, "state": {to.Query().Get("state")}}.Encode()))
	if res := w.get("/secret?a=b"); res.StatusCode != http.StatusOK {
		t.Errorf("as alice: %d", res.StatusCode)
	}
	for _, prompt := range []string{"none", "LOGIN", "select_account", "login%20none"} {
		if to, err := url.Parse(g.do("GET", own+"/start?rd=/&prompt="+prompt, browser).Header.Get("Location")); err != nil || to.Query().Has("prompt") {
			t.Errorf("a link of another site chooses %s", to)
		}
	}
}

func TestEveryPageThatOffersALoginKeepsTheReturnPath(t *testing.T) {
	t.Parallel()
	var clock clock
	g := newGateTo(t, brokenUpstream(t), clock.options)
	const back = "/oauth2/start?rd=%2Fapplications%3Fview%3Dtiles"
	state, cookie := g.begin("/applications?view=tiles")
	expired, _ := g.begin("/applications?view=tiles")
	pages := map[string]*http.Response{
		"another browser's": g.callback("alice", state),
		"the issuer's no":   g.do("GET", own+"/callback?error=access_denied&state="+url.QueryEscape(state), cookie, browser),
		"used":              g.callback("alice", state, cookie),
	}
	clock.forward(20 * time.Minute)
	pages["too old"] = g.callback("alice", expired, cookie)
	pages["too old, without its cookie"] = g.callback("alice", expired)
	g.issuer.ready = errTest("not yet")
	pages["issuer not ready"] = g.do("GET", here+back, browser)
	for name, res := range pages {
		if page := body(t, res); res.StatusCode < 400 || !strings.Contains(page, `href="`+back+`"`) {
			t.Errorf("%s: %d, no way back in\n%s", name, res.StatusCode, page)
		}
	}
}
