package browser_test

import (
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/browser"
)

const fragment = "#/applications/a%2Fb?view=tree"

// leaks fails where the issuer's host, or a script on its page, learned the fragment.
func leaks(t *testing.T, what, sent string) {
	t.Helper()
	if strings.Contains(sent, "view=tree") || strings.Contains(sent, "applications/a") {
		t.Errorf("%s: %s", what, sent)
	}
}

func TestAFragmentSurvivesALoginWhereItIsToBeKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, asks := range map[string]bool{"the issuer asks": true, "the issuer knows": false} {
		t.Run(name, func(t *testing.T) {
			s.ask(asks)
			tab := chromium.Profile(t)
			tab.Open(s.at("keeps", "/app?x=1&y=2"+fragment))
			if asks {
				leaks(t, "a script of the issuer's sees", tab.Await("#seen"))
				tab.Click("#signin")
			}
			if got := tab.Await("#dashboard"); got != "/app?x=1&y=2"+fragment {
				t.Errorf("the dashboard sees %s", got)
			}
			tab.Open(s.at("keeps", "/other#/second")) // signed in
			if got := tab.Await("#dashboard"); got != "/other#/second" {
				t.Errorf("in a session the dashboard sees %s", got)
			}
			leaks(t, "the issuer received", s.sentToIssuer())
		})
	}
}

func TestAFragmentThatIsNotKeptReachesNoOtherHost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, asks := range map[string]bool{"the issuer asks": true, "the issuer knows": false} {
		t.Run(name, func(t *testing.T) {
			s.ask(asks)
			tab := chromium.Profile(t)
			tab.Open(s.at("other", "/app?x=1"+fragment))
			if asks {
				leaks(t, "a script of the issuer's sees", tab.Await("#seen"))
				tab.Click("#signin")
			}
			got := tab.Await("#dashboard")
			if path, rest, _ := strings.Cut(got, "#"); path != "/app?x=1" || rest != "" && rest != "/" {
				t.Errorf("the dashboard sees %s", got)
			}
			leaks(t, "the issuer received", s.sentToIssuer())
		})
	}
}

func TestTabsKeepTheirOwnFragments(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ask(true)
	first := chromium.Profile(t)
	second, third := first.NewTab(), first.NewTab()
	first.Open(s.at("keeps", "/app#/1"))
	second.Open(s.at("keeps", "/app#/2"))
	third.Open(s.at("keeps", "/app"))
	for _, tab := range []*browser.Tab{third, first, second} {
		tab.Await("#seen")
		tab.Click("#signin")
	}
	for want, tab := range map[string]*browser.Tab{"/app#/1": first, "/app#/2": second} {
		if got := tab.Await("#dashboard"); got != want {
			t.Errorf("%s became %s", want, got)
		}
	}
	if got := third.Await("#dashboard"); strings.TrimSuffix(got, "#/") != "/app" {
		t.Errorf("a tab without a fragment has that of another: %s", got)
	}
}

func TestWithoutScriptsALoginThatKeepsFragmentsStillWorks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := chromium.Profile(t)
	tab.DisableScripts()
	tab.Open(s.at("keeps", "/app?x=1"+fragment))
	tab.Await("#dashboard")
	if got := tab.Address(); !strings.HasPrefix(got, s.at("keeps", "/app?x=1")) {
		t.Errorf("ended at %s", got)
	}
	leaks(t, "the issuer received", s.sentToIssuer())
}

// With strict cookies a link of another site comes without the session.
func TestAFragmentSurvivesStrictCookies(t *testing.T) {
	t.Parallel()
	s := newSite(t, "session: {", "session: {cookie: {sameSite: strict}, ")
	tab := chromium.Profile(t)
	for _, rest := range []string{"/app#/1", "/app#/2"} {
		tab.Open(s.at("other", "/app")) // another site, once more
		tab.Await("#dashboard")
		tab.Follow(s.at("keeps", rest))
		if got := tab.Await("#dashboard"); got != rest {
			t.Errorf("%s became %s", rest, got)
		}
	}
}
