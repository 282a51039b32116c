package proxy_test

import (
	"context"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/login"
	"github.com/example-org/authgate/session"
)

// window is a browser with as many tabs as one likes, that keeps cookies as net/http
// does. It follows no redirect by itself.
type window struct {
	t    *testing.T
	http *http.Client
}

const plain = "http://argo-cd.example.com"

func (g *gate) window(t *testing.T) *window {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, g.address)
		},
		MaxIdleConnsPerHost: 100,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &window{t: t, http: &http.Client{
		Jar: jar, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// get opens an address of this host, or a path of it.
func (w *window) get(address string) *http.Response {
	req, err := http.NewRequest(http.MethodGet, plain+strings.TrimPrefix(address, plain), nil)
	if err != nil {
		w.t.Error(err)
		return &http.Response{Body: http.NoBody}
	}
	req.Header.Set("Accept", "text/html")
	res, err := w.http.Do(req)
	if err != nil {
		w.t.Error(err)
		return &http.Response{Body: http.NoBody}
	}
	defer res.Body.Close()
	res.Body = http.NoBody
	return res
}

// start begins a login, and gives the callback of who signs in with a code.
func (w *window) start(rd string) func(code string) *http.Response {
	res := w.get("/oauth2/start?rd=" + url.QueryEscape(rd))
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || to.Host != "dex.example.com" {
		w.t.Errorf("start of %s: %d to %v, %v", rd, res.StatusCode, to, err)
		return func(string) *http.Response { return res }
	}
	return func(code string) *http.Response {
		return w.get("/oauth2/callback?" + url.Values{"code": {code}, "state": {to.Query().Get("state")}}.Encode())
	}
}

func (w *window) backAt(rd string, res *http.Response) {
	w.t.Helper()
	if got := res.Header.Get("Location"); res.StatusCode != http.StatusFound && res.StatusCode != http.StatusSeeOther || got != rd {
		w.t.Errorf("the login of %s: %d to %q", rd, res.StatusCode, got)
	}
}

// each does something in every tab, one after the other or all at once.
func each(n int, atOnce bool, do func(tab int)) {
	var all sync.WaitGroup
	for tab := range n {
		if !atOnce {
			do(tab)
			continue
		}
		all.Go(func() { do(tab) })
	}
	all.Wait()
}

func TestAnyNumberOfTabsSignIn(t *testing.T) {
	t.Parallel()
	const tabs = 40
	inOrder := make([]int, tabs)
	for tab := range inOrder {
		inOrder[tab] = tab
	}
	backwards := slices.Clone(inOrder)
	slices.Reverse(backwards)
	odd := append(slices.Clone(inOrder[tabs/2:]), inOrder[:tabs/2]...)
	for name, c := range map[string]struct {
		startAtOnce, backAtOnce bool
		order                   []int
		logins                  int64 // 0: whatever
	}{
		"one after the other":             {order: inOrder, logins: 1},
		"the last comes back first":       {order: backwards, logins: 1},
		"begun at once":                   {startAtOnce: true, order: inOrder, logins: 1},
		"begun at once, back in disorder": {startAtOnce: true, order: odd, logins: 1},
		"back at once":                    {backAtOnce: true, order: inOrder},
		"all at once":                     {startAtOnce: true, backAtOnce: true, order: inOrder},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, nil)
			if c.startAtOnce { // no response before the last request
				var together sync.WaitGroup
				together.Add(tabs)
				g.issuer.begin = func() { together.Done(); together.Wait() }
			}
			w := g.window(t)
			callbacks := make([]func(string) *http.Response, tabs)
			page := func(tab int) string { return "/applications?tab=" + strconv.Itoa(tab) }
			each(tabs, c.startAtOnce, func(tab int) { callbacks[tab] = w.start(page(tab)) })
			busy := make([]bool, tabs)
			each(tabs, c.backAtOnce, func(n int) {
				tab := c.order[n]
				res := callbacks[tab]("alice")
				if busy[tab] = res.StatusCode == http.StatusServiceUnavailable; !busy[tab] {
					w.backAt(page(tab), res)
				}
			})
			for tab := range tabs {
				if busy[tab] { // more at once than may be: the same address again
					w.backAt(page(tab), callbacks[tab]("alice"))
				}
			}
			if res := w.get("/applications"); res.StatusCode != http.StatusOK {
				t.Errorf("signed in, and then: %d", res.StatusCode)
			}
			if asked := g.issuer.asked.Load(); c.logins > 0 && asked != c.logins {
				t.Errorf("%d logins were finished, want %d", asked, c.logins)
			}
			g.issuer.begin = nil
			w.backAt("/applications?late", w.get("/oauth2/start?rd=/applications%3Flate"))
		})
	}
}

// One tab was faster: what the issuer says of the others' codes does not matter.
func TestATabThatIsTooLateGoesOnWithTheSessionOfAnother(t *testing.T) {
	t.Parallel()
	var clock clock
	g := newGateTo(t, brokenUpstream(t), clock.options)
	w := g.window(t)
	late, used, forgotten := w.start("/late?a=b"), w.start("/used"), w.start("/forgotten")
	if res := used("unknown"); res.StatusCode != http.StatusBadGateway {
		t.Errorf("a code that the issuer does not know: %d", res.StatusCode)
	}
	w.backAt("/first", w.start("/first")("alice"))
	w.backAt("/late?a=b", late("unknown"))
	w.backAt("/used", used("alice"))
	clock.forward(20 * time.Minute)
	w.backAt("/forgotten", forgotten("alice"))
	if asked := g.issuer.asked.Load(); asked != 2 {
		t.Errorf("the issuer was asked %d times", asked)
	}

	// But not where the user asked for another account, or the issuer said no before.
	denied := g.window(t).start("/denied")
	if res := denied("unknown"); res.StatusCode != http.StatusBadGateway {
		t.Errorf("without a session: %d", res.StatusCode)
	}
}

func TestAStateIsGoodForOneCallback(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	w := g.window(t)
	callback := w.start("/applications?view=tiles")
	for n := range 100 {
		want := http.StatusBadRequest
		if n == 0 {
			want = http.StatusBadGateway
		}
		if res := callback("made-up-" + strconv.Itoa(n)); res.StatusCode != want {
			t.Fatalf("callback %d: %d", n, res.StatusCode)
		}
	}
	res := callback("alice")
	if res.StatusCode != http.StatusBadRequest || len(res.Cookies()) != 0 {
		t.Errorf("the genuine code afterwards: %d, %v", res.StatusCode, res.Cookies())
	}
	if asked := g.issuer.asked.Load(); asked != 1 {
		t.Errorf("the issuer was asked %d times", asked)
	}

	state, cookie := g.begin("/applications?view=tiles")
	expect(t, "the issuer's no", g.do("GET", own+"/callback?error=access_denied&state="+url.QueryEscape(state), cookie, browser), http.StatusForbidden)
	res = g.callback("alice", state, cookie)
	expect(t, "a code after it", res, http.StatusBadRequest)
	if page := body(t, res); !strings.Contains(page, "/oauth2/start?rd=%2Fapplications%3Fview%3Dtiles") {
		t.Errorf("the page leads somewhere else:\n%s", page)
	}
}

// securecookie's base64 has several spellings of one value; each would be a state.
func TestAnotherSpellingOfAStateIsTheSameState(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	state, cookie := g.begin("/")
	expect(t, "the first", g.callback("unknown", state, cookie), http.StatusBadGateway)
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for at := range 3 {
		for _, digit := range digits + "=\n" {
			at := len(strings.TrimRight(state, "=")) - 1 - at
			other := state[:at] + string(digit) + state[at+1:]
			g.callback("alice", other, cookie)
			g.callback("alice", state+string(digit), cookie)
		}
	}
	if asked := g.issuer.asked.Load(); asked != 1 {
		t.Errorf("the issuer was asked %d times", asked)
	}
}

func TestForgedStatesSendNoRequestToTheIssuer(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	foreign := newGate(t, nil)
	theirs, _ := foreign.begin("/")
	mine, cookie := g.begin("/")
	for name, state := range map[string]string{
		"empty": "", "short": "x", "long": strings.Repeat("A", 30000), "of other keys": theirs,
		"cut": mine[:len(mine)-8], "changed": mine[:40] + "AAAA" + mine[44:], "not base64": strings.Repeat("%", 200),
	} {
		res := g.callback("alice", state, cookie)
		expect(t, name, res, http.StatusBadRequest)
		if sessionOf(res) != nil {
			t.Errorf("%s: a session", name)
		}
	}
	expect(t, "without the cookie", g.callback("alice", mine), http.StatusBadRequest)
	expect(t, "of another host", g.do("GET", "https://argo-workflows.example.com/oauth2/callback?"+
		url.Values{"code": {"alice"}, "state": {mine}}.Encode(), cookie, browser), http.StatusBadRequest)
	if asked := g.issuer.asked.Load(); asked != 0 {
		t.Errorf("the issuer was asked %d times", asked)
	}
	expect(t, "none of that used it up", g.callback("alice", mine, cookie), http.StatusFound)
}

func TestNoMoreThan32CodesAreExchangedAtATime(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	g.issuer.slow = make(chan struct{})
	const logins = 50
	callbacks := make([]func(string) *http.Response, logins)
	for n := range callbacks {
		callbacks[n] = g.window(t).start("/applications?n=" + strconv.Itoa(n))
	}
	var full sync.WaitGroup
	for n := range 32 {
		full.Go(func() {
			if res := callbacks[n]("alice"); res.StatusCode != http.StatusFound {
				t.Errorf("login %d: %d", n, res.StatusCode)
			}
		})
	}
	eventually(t, "32 codes are at the issuer", func() bool { return g.issuer.asked.Load() == 32 })
	for n := 32; n < logins; n++ {
		if res := callbacks[n]("alice"); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
			t.Errorf("login %d: %d, %q", n, res.StatusCode, res.Header)
		}
	}
	close(g.issuer.slow)
	full.Wait()
	if asked := g.issuer.asked.Load(); asked != 32 {
		t.Errorf("the issuer was asked %d times", asked)
	}
	for n := 32; n < logins; n++ {
		if res := callbacks[n]("alice"); res.StatusCode != http.StatusFound {
			t.Errorf("login %d, once there was room: %d", n, res.StatusCode)
		}
	}
}

// A session that another site planted is no reason to leave a login out.
func TestAPlantedSessionIsNotTakenForThatOfAnotherTab(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	planted := g.as("bob")
	res := g.do("GET", own+"/start?rd=/", planted, browser)
	if to := res.Header.Get("Location"); !strings.HasPrefix(to, "https://dex.example.com/") {
		t.Errorf("start leads to %q", to)
	}
	state, cookie := g.begin("/")
	planted = g.as("bob") // after the login was begun
	if sessionOf(g.callback("alice", state, []string{"Cookie", planted[1] + "; " + cookie[1]})) == nil {
		t.Error("the login made no session of its own")
	}
}

// unreachable is a store of used states that does not answer.
type unreachable struct{}

func (unreachable) Use(context.Context, string, time.Time, time.Duration) (bool, error) {
	return false, session.ErrStoreDown
}

func TestAStateThatCannotBeUsedUpFinishesNoLogin(t *testing.T) {
	t.Parallel()
	ring := newGate(t, nil).ring
	g := newGateWith(t, login.Options{Keyring: ring, UsedStates: unreachable{}}, "127.0.0.1/32", brokenUpstream(t))
	state, cookie := g.begin("/applications")
	res := g.callback("alice", state, cookie)
	expect(t, "callback", res, http.StatusServiceUnavailable)
	if g.issuer.asked.Load() != 0 || !strings.Contains(body(t, res), "/oauth2/start?rd=%2Fapplications") {
		t.Error("the issuer was asked, or the page leads nowhere")
	}
}
