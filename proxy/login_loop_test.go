package proxy_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tab is a browser that follows redirects as far as the issuer, signs in there
// without a word, and keeps the cookies that it is not made to block.
type tab struct {
	g       *gate
	blocks  func(name string) bool
	cookies map[string]string
}

func (g *gate) tab(blocks func(name string) bool) *tab {
	return &tab{g: g, blocks: blocks, cookies: map[string]string{}}
}

func (b *tab) open(rawURL string, headers ...[]string) *http.Response {
	var pairs []string
	for name, value := range b.cookies {
		pairs = append(pairs, name+"="+value)
	}
	if len(pairs) > 0 {
		headers = append(headers, []string{"Cookie", strings.Join(pairs, "; ")})
	}
	res := b.g.do("GET", rawURL, append(headers, browser)...)
	for _, c := range res.Cookies() {
		switch {
		case c.MaxAge < 0:
			delete(b.cookies, c.Name)
		case !b.blocks(c.Name):
			b.cookies[c.Name] = c.Value
		}
	}
	return res
}

// follow gives the last answer, and how many logins were begun on the way.
func (b *tab) follow(rawURL string) (last *http.Response, logins int) {
	b.g.t.Helper()
	for range 100 {
		res := b.open(rawURL)
		to, err := url.Parse(res.Header.Get("Location"))
		switch {
		case err != nil:
			b.g.t.Fatal(err)
		case to.String() == "":
			return res, logins
		case to.Host == "dex.example.com":
			logins++
			rawURL = own + "/callback?" + url.Values{"code": {"alice"}, "state": {to.Query().Get("state")}}.Encode()
		default:
			rawURL = here + to.String()
		}
	}
	b.g.t.Fatal("a hundred redirects")
	return nil, 0
}

func TestASessionThatNeverComesBackIsNoLoopButAPage(t *testing.T) {
	t.Parallel()
	var clock clock
	g := newGateTo(t, brokenUpstream(t), clock.options)
	b := g.tab(func(name string) bool { return name == "__Host-authgate" }) // as with a domain that is not the host's
	res, logins := b.follow(here + "/applications?view=tiles")
	expect(t, "in the end", res, http.StatusTooManyRequests)
	if logins != 5 {
		t.Errorf("after %d logins", logins)
	}
	page := body(t, res)
	for _, want := range []string{"cookies", "clock", "domain", "/oauth2/start?rd=%2Fapplications%3Fview%3Dtiles"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is missing in:\n%s", want, page)
		}
	}
	all := g.records()
	if r := all[len(all)-1]; r.Reason != "login_loop" || !strings.Contains(g.log.String(), "login loop detected") {
		t.Errorf("%+v", r)
	}
	if _, logins := b.follow(here + "/"); logins != 0 {
		t.Errorf("%d more logins in the same minute", logins)
	}
	clock.forward(time.Minute)
	if _, logins := b.follow(here + "/"); logins != 5 {
		t.Errorf("%d logins a minute later", logins)
	}
}

func TestABrowserThatBlocksAllCookiesIsStoppedAtTheCallback(t *testing.T) {
	t.Parallel()
	res, logins := newGate(t, nil).tab(func(string) bool { return true }).follow(here + "/")
	if expect(t, "in the end", res, http.StatusBadRequest); logins != 1 || !strings.Contains(body(t, res), "allow cookies for this site") {
		t.Errorf("after %d logins", logins)
	}
}

// The issuer is behind authgate, and no rule makes it public: the second login
// would be begun by the first one's page, and so on.
func TestALoginPageThatNeedsALoginIsNoLoopEither(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	state, cookie := g.begin("/applications")
	page := "/login/auth?" + url.Values{"client_id": {"authgate"}, "state": {state}}.Encode()
	res := g.do("GET", here+page, cookie, browser)
	expect(t, "the issuer's page", res, http.StatusFound)
	expect(t, "a login for it", g.do("GET", here+res.Header.Get("Location"), cookie, browser), http.StatusTooManyRequests)
	if !strings.Contains(g.log.String(), "login page is behind authgate") {
		t.Errorf("the log does not say why:\n%s", g.log)
	}
	expect(t, "a state of another site", g.do("GET", own+"/start?rd="+url.QueryEscape("/x?state=abc"), cookie, browser), http.StatusFound)
}

func TestLoginsThatWereOnlyBegunAreNoLoop(t *testing.T) {
	t.Parallel()
	b := newGate(t, nil).tab(func(string) bool { return false })
	for n := range 40 {
		if res := b.open(own + "/start?rd=/tab" + strconv.Itoa(n)); res.StatusCode != http.StatusFound {
			t.Fatalf("login %d: %d", n+1, res.StatusCode)
		}
	}
}

// Who asks again to be asked, or whom a dashboard does not take, is not led back by
// the session that there is.
func TestWhoSignsInAgainAndAgainWithASessionIsNotStopped(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	b := g.tab(func(string) bool { return false })
	if res, logins := b.follow(here + "/applications"); res.StatusCode != http.StatusOK || logins != 1 {
		t.Fatalf("%d after %d logins", res.StatusCode, logins)
	}
	for n := range 12 {
		if res, logins := b.follow(own + "/start?rd=/applications"); res.StatusCode != http.StatusOK || logins != 0 {
			t.Fatalf("start %d: %d after %d logins", n+1, res.StatusCode, logins)
		}
		if res, logins := b.follow(own + "/start?prompt=login&rd=/applications"); res.StatusCode != http.StatusOK || logins != 1 {
			t.Fatalf("another account, %d: %d after %d logins", n+1, res.StatusCode, logins)
		}
	}
	var clock clock
	g = newGateTo(t, brokenUpstream(t), clock.options)
	b = g.tab(func(string) bool { return false })
	b.follow(own + "/start?rd=/oauth3")
	clock.forward(20 * time.Minute)
	delete(b.cookies, "__Host-authgate-tries") // which has expired
	if _, logins := b.follow(own + "/start?rd=/oauth3"); logins != 1 {
		t.Errorf("a session of long ago: %d logins", logins)
	}
}

func TestSigningOutResetsTheLoginCount(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	b := g.tab(func(string) bool { return false })
	for range 8 {
		if res, _ := b.follow(own + "/start?rd=/applications"); res.StatusCode != http.StatusOK {
			t.Fatalf("%d: %s", res.StatusCode, body(t, res))
		}
		var all []string
		for name, value := range b.cookies {
			all = append(all, name+"="+value)
		}
		res := g.do("POST", own+"/sign_out", []string{"Cookie", strings.Join(all, "; ")}, sameSite)
		expect(t, "signing out", res, http.StatusSeeOther)
		for _, c := range res.Cookies() {
			delete(b.cookies, c.Name)
		}
	}
}

func TestOnlyNavigationsAreStopped(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	res := g.do("GET", own+"/start?rd=/", []string{"Cookie", "__Host-authgate-tries=" + count("9", time.Now().Unix())},
		[]string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "same-origin", "Accept", "text/html"})
	expect(t, "a script", res, http.StatusFound)
}

func TestACountThatIsNotPlainCountsForNothing(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	now := time.Now().Unix()
	for value, status := range map[string]int{
		count("5", now): http.StatusTooManyRequests, count("255", now-30): http.StatusTooManyRequests,
		count("4", now): http.StatusFound, count("5", now-61): http.StatusFound, count("5", now+60): http.StatusFound,
		count("-5", now): http.StatusFound, count("256", now): http.StatusFound, count("", now): http.StatusFound,
		"5": http.StatusFound, "": http.StatusFound, "5.": http.StatusFound, "5.x": http.StatusFound, "9.99999999999999999999": http.StatusFound,
		count("9", now) + "; __Host-authgate-tries=" + count("9", now): http.StatusFound, // planted next to ours: authgate cannot tell which
	} {
		res := g.do("GET", own+"/start?rd=/", []string{"Cookie", "__Host-authgate-tries=" + value}, browser)
		expect(t, value, res, status)
	}
}

func TestTheCountReachesNoUpstream(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	got := echoed(t, g.do("GET", app, []string{"Cookie", g.as("alice")[1] + "; a=b; __Host-authgate-tries=1.2; authgate-tries=1.2"}))
	if c := got.Header.Get("Cookie"); c != "a=b" {
		t.Errorf("the upstream sees %q", c)
	}
}

func count(n string, since int64) string {
	return n + "." + strconv.FormatInt(since, 10)
}
