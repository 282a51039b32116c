package proxy

import (
	"errors"
	"net/http"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/page"
	"github.com/example-org/authgate/session"
)

// With sameSite: strict a browser leaves the session cookie out when another site
// sent it here, redirects on the way included (RFC 6265bis, 5.2). Then a page of
// this site asks once more: what it asks for is of the same site.

func (p *Proxy) sameSiteStrict() bool {
	return p.config.Session.Cookie.SameSite == config.SameSiteStrict
}

// cookieWithheld reports whether a browser may have a session that it did not show. The
// next request, by a page of our own, says same-origin: it cannot come to a loop.
func (p *Proxy) cookieWithheld(x *exchange, cause error) bool {
	if !p.sameSiteStrict() || !errors.Is(cause, session.ErrNoCookie) || !isNavigation(x.r) {
		return false
	}
	site := x.r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

// continueTo has a page of ours open an address, which is authgate's own or of an
// upstream on the same host, or the issuer's.
func (p *Proxy) continueTo(x *exchange, to, reason string) bool {
	return p.writeInterstitial(x, page.Interstitial{Link: page.Link{Text: reason, URL: to}})
}

func (p *Proxy) writeInterstitial(x *exchange, o page.Interstitial) bool {
	html, policy, err := p.pages.Interstitial(o)
	p.writePageWithCSP(x, http.StatusOK, html, policy, err)
	return true
}

// keepFragment begins a login by a page that first has the browser keep what stands
// behind the # of its address: no server is told that, and the way through the
// issuer loses it. The page is of this site, so that a cookie that was withheld goes
// with what it asks for.
func (p *Proxy) keepFragment(x *exchange, start string) bool {
	return p.writeInterstitial(x, page.Interstitial{Link: page.Link{Text: "You are being signed in.", URL: start}, Keep: true})
}
