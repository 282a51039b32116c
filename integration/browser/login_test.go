package browser_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/example-org/authgate/integration/browser"
	"github.com/example-org/authgate/integration/fakegithub"
	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/wait"
)

// sessionCookies are the names of those that hold a session.
func sessionCookies(tab *browser.Tab, address string) (names []string) {
	for _, c := range tab.Cookies(address + "/") {
		if strings.HasSuffix(c.Name, "authgate") {
			names = append(names, c.Name)
		}
	}
	return names
}

func TestUserSignsInOpensADashboardAndSignsOut(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	tab := signIn(t, s, "alice", "/applications?view=tree")
	arrive(t, tab, s.ArgoCD+"/applications?view=tree")
	if who := tab.Await(".who .name"); !strings.Contains(who, "alice") {
		t.Errorf("the dashboard knows %s", who)
	}
	tab.Open(s.Workflows + "/workflows") // another host: its own session, without a question
	if who := tab.Await(".who .name"); !strings.Contains(who, "alice") {
		t.Errorf("the other dashboard knows %s", who)
	}

	tab.Open(s.ArgoCD + "/oauth2/")
	if text := tab.Await("main"); !strings.Contains(text, "alice") || !strings.Contains(text, "argocd") || !strings.Contains(text, "workflows") {
		t.Errorf("the portal: %s", text)
	}
	if sent := sessionCookies(tab, s.Workflows); len(sent) != 1 {
		t.Errorf("before the sign-out, the browser sends %s", sent)
	}
	tab.Follow(s.ArgoCD + "/oauth2/sign_out")
	tab.Click("form[action$=sign_out] button")
	arrive(t, tab, s.ArgoCD+"/oauth2/sign_out/")
	for _, host := range []string{s.ArgoCD, s.Workflows} {
		if left := sessionCookies(tab, host); len(left) > 0 {
			t.Errorf("after the sign-out, the browser sends to %s: %s", host, left)
		}
	}
}

func TestDeniedUserReadsWhyAndGoesOnByKeyboard(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	tab := signIn(t, s, "bob", "/settings")
	text := tab.Await("main")
	for _, want := range []string{"bob@example.com", "example-org:argo", "example-org:dev", "/settings"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in %s", want, text)
		}
	}
	const focused = `(() => { const e = document.activeElement, s = getComputedStyle(e)
		return [e.tagName, e.getAttribute("href") || "", s.outlineStyle + " " + s.outlineWidth] })()`
	for range 20 {
		tab.Press(kb.Tab)
		got := browser.Script[[]string](tab, focused)
		if got[0] != "BODY" && (strings.HasPrefix(got[2], "none") || strings.HasSuffix(got[2], " 0px")) {
			t.Errorf("the focus on %s %s cannot be seen: %s", got[0], got[1], got[2])
		}
		if strings.Contains(got[1], "prompt=login") {
			left := func() bool { return !strings.Contains(tab.Address(), "/settings") }
			for range 6 { // Chromium drops a key now and then when the machine is busy
				tab.Press(kb.Enter)
				if wait.Holds(t, 5*time.Second, left) {
					return
				}
			}
			t.Fatalf("Enter on %s leads nowhere: %s, focus on %v", got[1], tab.Address(), browser.Script[[]string](tab, focused))
		}
	}
	t.Error("no key leads to the login as another user")
}

func TestUserHasTheGroupsReadAgain(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	tab := signIn(t, s, "carol", "/settings") // in no team: no page is open to her
	tab.Open(s.ArgoCD + "/oauth2/")
	if text := tab.Await("main"); strings.Contains(text, "role:viewer") {
		t.Fatalf("the portal of a user without a team: %s", text)
	}
	if err := s.GitHub.Join("carol", fakegithub.Team{Org: stage.Org, Name: "Dev", Slug: "dev"}); err != nil {
		t.Fatal(err)
	}
	tab.Click("form[action$=refresh] button")
	wait.For(t, time.Minute, "the new group", func() bool { return strings.Contains(tab.Await("main"), "example-org:dev") })
	if status := status(tab, s.ArgoCD+"/applications"); status != 200 {
		t.Errorf("the dashboard answers %d", status)
	}
	tab.Await(".who")
	_ = tab.Complaints() // of the terminal, which stays closed to her
}

func TestTwoTabsThatLogInAtTheSameTimeBothArrive(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	first := chromium.Profile(t)
	second := first.NewTab()
	first.Open(s.ArgoCD + "/applications?tab=1")
	second.Open(s.ArgoCD + "/applications?tab=2")
	for n, tab := range map[string]*browser.Tab{"1": first, "2": second} {
		tab.Click("button[value=alice]")
		arrive(t, tab, s.ArgoCD+"/applications?tab="+n)
		tab.Await(".who .name")
	}
}

func TestReloadAndBackOnTheCallbackKeepTheUserSignedIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ask(true)
	tab := chromium.Profile(t)
	tab.Open(s.at("other", "/app?x=1"))
	tab.Await("#seen")
	callback := browser.Script[string](tab, `document.getElementById("signin").href`)
	tab.Click("#signin")
	tab.Await("#dashboard")
	for what, act := range map[string]func(){
		"the callback once more": func() { tab.Open(callback) },
		"a reload":               tab.Reload,
		"back and forth": func() {
			tab.Open(s.at("other", "/next"))
			tab.Back()
			wait.For(t, time.Minute, "the page before", func() bool { return !strings.Contains(tab.Address(), "/next") })
		},
	} {
		act()
		wait.For(t, time.Minute, what, func() bool {
			return browser.Script[bool](tab, `document.getElementById("dashboard") !== null`)
		})
	}

	// In another browser the address is worth nothing, and its page says how to go on.
	stranger := chromium.Profile(t)
	for _, act := range []func(){func() { stranger.Open(callback) }, stranger.Reload} {
		act()
		if stranger.Await("h1"); len(stranger.Cookies(s.at("other", "/"))) > 0 {
			t.Errorf("a callback of another browser signs in, at %s", stranger.Address())
		}
	}
	stranger.Click("main a.button")
	stranger.Await("#seen")
	stranger.Click("#signin")
	stranger.Await("#dashboard")
}

func TestScriptsOfAnOpenTabLearnThatTheSessionHasEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t, "session: {", "session: {lifetime: 4s, ")
	tab := chromium.Profile(t)
	tab.Open(s.at("other", "/app"))
	tab.Await("#dashboard")
	wait.For(t, 30*time.Second, "the end of the session", func() bool { return browser.Script[int](tab, `fetch("/api").then(r => r.status)`) == 401 })
	got := browser.Script[[]any](tab, `fetch("/api", {method: "POST"}).then(r => r.json().then(b => [r.redirected, b.reason, b.login]))`)
	if reason := got[1]; got[0] != false || reason != "session_expired" && reason != "no_session" || got[2] != "/oauth2/start" { // the cookie ends with the session
		t.Errorf("a script reads %v", got)
	}
	tab.Reload()
	if got := tab.Await("#dashboard"); !strings.HasPrefix(got, "/app") {
		t.Errorf("after a reload: %s", got)
	}
}

func TestWebSocketsAndEventStreamsWorkInABrowserUntilTheSignOut(t *testing.T) {
	t.Parallel()
	s := setStage(t)
	tab := signIn(t, s, "alice", "/applications")
	tab.Await("#live.on") // the EventSource is open
	shows := func(want string) func() bool {
		return func() bool {
			return strings.Contains(browser.Script[string](tab, `document.getElementById("terminal").textContent`), want)
		}
	}
	wait.For(t, 30*time.Second, "the terminal", shows("sample terminal of alice"))
	tab.Type("#type input", "hello"+kb.Enter)
	wait.For(t, 30*time.Second, "the echo", shows("hello"))

	other := tab.NewTab()
	other.Open(s.ArgoCD + "/oauth2/sign_out")
	other.Click("form[action$=sign_out] button")
	wait.For(t, 30*time.Second, "the end of the terminal", shows("no connection"))
	_ = tab.Complaints() // of the streams that were cut
}
