package proxy

import (
	"net/url"
	"strings"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/page"
	"github.com/example-org/authgate/target"
)

// What a login can bring somebody back to. Both travel through the issuer, in the
// state: with these the longest address stays below 16 KiB, which a balancer of AWS
// takes.
const (
	maxReturnPath  = 2 << 10 // bytes
	maxReturnQuery = 4 << 10
)

// returnPath is where somebody was on this host.
type returnPath struct {
	URL          string `json:"u"`           // path and query
	Shortened    bool   `json:"s,omitempty"` // they were longer
	KeptFragment bool   `json:"f,omitempty"` // the browser has kept one
}

// safeReturnPath reads rd, where a person was on this host. What is not a canonical
// path, or leads back into authgate's own endpoints, becomes the start page; a
// query that cannot be kept is left out. No value of it leads to another host.
func (p *Proxy) safeReturnPath(rd string) string {
	to, _ := p.parseReturnPath(rd)
	return to
}

// parseReturnPath is safeReturnPath, and tells what was too long.
func (p *Proxy) parseReturnPath(rd string) (to string, shortened bool) {
	path, err := target.ParseWith(rd, p.quirks)
	if err != nil || p.isEndpoint(path) || strings.HasPrefix(path.String(), "//") { // which begins another host
		return "/", false
	}
	if len(path.String()) > maxReturnPath {
		return "/", true
	}
	_, query, _ := strings.Cut(rd, "?")
	if len(query) > maxReturnQuery {
		return path.String(), true
	}
	if !isLocationSafe(query) {
		query = ""
	}
	return withQuery(path.String(), query), false
}

func withQuery(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// isLocationSafe reports whether a query may stand in a Location header as it is.
func isLocationSafe(query string) bool {
	for i := range len(query) {
		if query[i] <= ' ' || query[i] > '~' || query[i] == '\\' || query[i] == '#' {
			return false
		}
	}
	return true
}

// startURL is where a login begins that comes back to rd. What is too long to come
// back is left out here, before it makes a header that no balancer lets through.
func (p *Proxy) startURL(rd string) string {
	path, query, _ := strings.Cut(rd, "?")
	switch {
	case len(path) > maxReturnPath:
		return p.prefix + "/start?rd=%2F&shortened=1"
	case len(query) > maxReturnQuery:
		return p.prefix + "/start?rd=" + url.QueryEscape(path) + "&shortened=1"
	default:
		return p.prefix + "/start?rd=" + url.QueryEscape(rd)
	}
}

// forceLoginURL is [Proxy.startURL] where a session is no reason to leave the login out.
func (p *Proxy) forceLoginURL(rd string) string { return p.startURL(rd) + "&again=1" }

// switchUserURL is [Proxy.startURL] for somebody else: the issuer is to ask.
func (p *Proxy) switchUserURL(rd string) string { return p.startURL(rd) + "&prompt=login" }

func (p *Proxy) signOutURL(rd string) string {
	to, _ := p.parseReturnPath(rd)
	return p.prefix + "/sign_out?rd=" + url.QueryEscape(to)
}

// redirectBack ends a login where it was begun.
func (p *Proxy) redirectBack(x *exchange, status int, to returnPath) bool {
	switch {
	case to.Shortened:
		return p.writeInterstitial(x, page.Interstitial{
			Link: page.Link{URL: to.URL, Text: "You are signed in. The address that you opened was too long to be kept meanwhile, " +
				"and is left out in part. If something is missing on the page, open your link again."},
			Stay: true, Restore: to.KeptFragment,
		})
	case to.KeptFragment:
		return p.writeInterstitial(x, page.Interstitial{Link: page.Link{URL: to.URL, Text: "You are signed in."}, Restore: true})
	case p.sameSiteStrict() && x.event == audit.Login: // the cookie would not go with a redirect of a chain that the issuer began
		return p.continueTo(x, to.URL, "You are signed in.")
	}
	x.redirect(status, to.URL)
	return true
}
