package proxy_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

// arriving is a navigation that another page began.
func arriving(from string) []string {
	return []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", from, "Accept", "text/html"}
}

func strictGate(t *testing.T) *gate {
	return newGateTo(t, brokenUpstream(t), func(o *proxy.Options) { o.Config.Session.Cookie.SameSite = config.SameSiteStrict })
}

// goesOnTo fails unless the response is a page that goes on to an address.
func goesOnTo(t *testing.T, what string, res *http.Response, to string) {
	t.Helper()
	expect(t, what, res, http.StatusOK)
	page := body(t, res)
	if !strings.Contains(page, `<meta http-equiv="refresh" content="0;url=`+to+`">`) || !strings.Contains(page, `<a href="`+to+`">`) {
		t.Errorf("%s: the page does not go on to %s:\n%s", what, to, page)
	}
	if res.Header.Get("Location") != "" || res.Header.Get("Cache-Control") != "no-store" || !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%s: %q", what, res.Header)
	}
}

// RFC 6265bis, 5.2: a chain of redirects that another site began is cross-site to
// its end.
func TestAStrictCookieIsNotMissedBehindTheLoginThatSetIt(t *testing.T) {
	t.Parallel()
	g := strictGate(t)
	state, cookie := g.begin("/applications?view=tiles&x=%2F")
	res := g.do("GET", own+"/callback?"+url.Values{"code": {"alice"}, "state": {state}}.Encode(), cookie, arriving("cross-site"))
	goesOnTo(t, "callback", res, "/applications?view=tiles&amp;x=%2F")
	if sessionOf(res) == nil || !strings.Contains(strings.Join(res.Header["Set-Cookie"], "\n"), "SameSite=Strict") {
		t.Errorf("%q", res.Header["Set-Cookie"])
	}
}

func TestWithStrictCookiesALinkOfAnotherSiteAsksOnceMoreBeforeALogin(t *testing.T) {
	t.Parallel()
	g := strictGate(t)
	for _, from := range []string{"cross-site", "same-site"} {
		res := g.do("GET", here+"/applications/web?view=tree&q=%27", arriving(from))
		goesOnTo(t, from, res, "/applications/web?view=tree&amp;q=%27")
		if len(res.Cookies()) != 0 {
			t.Errorf("%s: %q", from, res.Cookies())
		}
	}
	for _, from := range []string{"same-origin", "none"} {
		expect(t, from, g.do("GET", here+"/applications/web", arriving(from)), http.StatusFound)
	}
	expect(t, "a browser that does not say", g.do("GET", here+"/applications/web", []string{"Accept", "text/html"}), http.StatusFound)
	expect(t, "a script", g.do("GET", here+"/applications/web", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "cross-site"}), http.StatusUnauthorized)

	over := []string{"Cookie", "__Host-authgate=broken"}
	expect(t, "a session that came and does not open", g.do("GET", here+"/applications/web", over, arriving("cross-site")), http.StatusFound)
	expect(t, "lax cookies come along", newGate(t, nil).do("GET", here+"/applications/web", arriving("cross-site")), http.StatusFound)
}

func TestWithStrictCookiesSignOutAndCallbackLookTwiceAsWell(t *testing.T) {
	t.Parallel()
	g := strictGate(t)
	goesOnTo(t, "sign out", g.do("GET", own+"/sign_out?rd=/x", arriving("cross-site")), "/oauth2/sign_out?rd=/x")
	goesOnTo(t, "callback, used", g.do("GET", own+"/callback?code=alice&state=usedusedused", arriving("cross-site")), "/oauth2/callback")
	expect(t, "callback, the second time", g.do("GET", own+"/callback", arriving("same-origin")), http.StatusBadRequest)
	expect(t, "callback, in a session", g.do("GET", own+"/callback", g.as("alice"), arriving("same-origin")), http.StatusSeeOther)
}
