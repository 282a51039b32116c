package proxy

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/page"
	"github.com/example-org/authgate/session"
)

// Without session.cookie.domain each host has a session of its own, and only that
// host can take its cookie away. So a sign-out leads the browser over all hosts, by
// redirects that carry an encrypted token. What a token ends is settled by what is
// inside: sessions of the user who signed out, begun before they did. To the browser
// of anybody else, and to a later session, a link does nothing.

const (
	chainLifetime = time.Minute
	chainHops     = 15       // redirects in a row: browsers follow 20
	maxChain      = 6 << 10  // bytes of a token: it travels in a URL
	chainPurpose  = "chain"  // what a token is bound to
	chainPath     = "/chain" // below sign_out
)

// chain is a sign-out on its way.
type chain struct {
	Issuer   string    `json:"i"`
	Subject  string    `json:"s"`
	Begun    time.Time `json:"b"`
	Hosts    []string  `json:"h"` // in their order; it begins and ends at the first
	Found    string    `json:"f"` // at each host so far
	ReturnTo string    `json:"r,omitempty"`
}

// What was found at a host.
const (
	chainEnded   = 'e'
	chainNone    = 'n'
	chainOther   = 'o' // a session of another user, which goes on
	chainLater   = 'l' // one that began after the sign-out, which goes on
	chainFailed  = 'f' // the store did not answer
	chainUnknown = 'u' // the configuration no longer has the host
)

var chainWords = map[rune]string{
	chainEnded: "session ended", chainNone: "no session", chainOther: "another user is signed in there, whose session goes on",
	chainLater: "a session that began later goes on", chainFailed: "could not be ended: the session store does not answer",
	chainUnknown: "no longer served here",
}

// otherHosts are those of the configuration where this browser may have a session
// besides the one of this host.
func (p *Proxy) otherHosts(x *exchange) []string {
	if p.config.Session.Cookie.Domain != "" {
		return nil // one cookie for all of them
	}
	var hosts []string
	for i := range p.config.Upstreams {
		for _, host := range p.config.Upstreams[i].Hosts {
			if host != x.client.name && !strings.Contains(host, "*") && !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}

// beginChain leads the browser on to the other hosts, if there are any and it can
// follow: a script of a page may not.
func (p *Proxy) beginChain(x *exchange, was session.Session, rd string) (begun bool) {
	others := p.otherHosts(x)
	if mode := x.r.Header.Get("Sec-Fetch-Mode"); len(others) == 0 || was.ID == "" || mode != "" && mode != "navigate" {
		return false
	}
	who := was.Principal
	c := chain{
		Issuer: who.Issuer, Subject: who.Subject, Begun: x.begun,
		Hosts: append([]string{x.client.name}, others...), Found: string(chainEnded), ReturnTo: rd,
	}
	for p.sealChain(c) == "" && len(c.Hosts) > 1 { // too large for a URL
		if c.ReturnTo != "" {
			c.ReturnTo = ""
			continue
		}
		c.Hosts = c.Hosts[:len(c.Hosts)-1]
	}
	return p.chainOn(x, c)
}

// signOutChain is one host's part.
func (p *Proxy) signOutChain(x *exchange) bool {
	if x.r.Method != http.MethodGet {
		return x.refuse(http.StatusMethodNotAllowed, "bad_method", "Sign out with a browser.", nil)
	}
	c, err := p.openChain(x)
	if err != nil {
		x.refuse(http.StatusBadRequest, "sign_out_link", "This link is one step of signing out, and is not valid any more, or not at this address. Nothing was done.", err)
		x.refusal.Next = page.Link{Text: "Sign out here", URL: p.prefix + "/sign_out"}
		return false
	}
	x.outcome, x.standing = audit.Allow, x.state.anonymous
	if len(c.Found) == len(c.Hosts) {
		return p.chainDone(x, c)
	}
	s, err := p.sessions.Peek(x.r.Context(), x.r.Header, x.client.secure())
	if p.withheld(x, err) {
		return p.goOn(x, withQuery(x.path.String(), x.r.URL.RawQuery), "Signing out.")
	}
	c.Found += string(p.endLink(x, c, s, err))
	return p.chainOn(x, c)
}

// endLink ends the session of this host if it is one that the sign-out was about.
func (p *Proxy) endLink(x *exchange, c chain, s session.Session, err error) rune {
	switch {
	case errors.Is(err, session.ErrStoreDown):
		return chainFailed
	case err != nil:
		return chainNone
	case s.Principal.Issuer != c.Issuer || s.Principal.Subject != c.Subject:
		return chainOther
	case s.Begun.After(c.Begun):
		return chainLater
	}
	x.event = audit.Logout
	x.session, x.standing = s, x.state.standingOf(s)
	if x.client.secure() {
		x.w.Header().Set("Clear-Site-Data", `"cache"`)
	}
	p.forgetTries(x)
	p.clearOthers(x)
	ctx, done := context.WithTimeout(context.WithoutCancel(x.r.Context()), endWait)
	defer done()
	err = p.sessions.End(ctx, x.w, x.r.Header, s, x.client.secure())
	p.endStreams(s.ID, cutSignedOut)
	if err != nil {
		p.log.Error("session not ended", "id", x.id, "request_id", x.requestID, "error", err)
		return chainFailed
	}
	return chainEnded
}

// chainOn sends the browser to the next host that the configuration has, and in the
// end back to the first.
func (p *Proxy) chainOn(x *exchange, c chain) bool {
	for len(c.Found) < len(c.Hosts) && !p.servesHost(c.Hosts[len(c.Found)]) {
		c.Found += string(chainUnknown)
	}
	next := c.Hosts[0]
	if len(c.Found) < len(c.Hosts) {
		next = c.Hosts[len(c.Found)]
	}
	to := x.client.originOf(next) + p.prefix + "/sign_out" + chainPath + "?t=" + p.sealChain(c)
	if len(c.Found)%chainHops == 0 {
		return p.goOn(x, to, "Signing out.")
	}
	x.redirect(http.StatusSeeOther, to)
	return true
}

func (p *Proxy) servesHost(host string) bool {
	_, known := Route(p.config.Upstreams, host, "/")
	return known
}

// chainDone says at the first host what was found at each, and goes on to the issuer.
func (p *Proxy) chainDone(x *exchange, c chain) bool {
	to := p.issuerSignOut(x, identity.Grant{})
	if to != "" && !wantsPage(x.r) {
		x.redirect(http.StatusSeeOther, to)
		return true
	}
	back := cmp.Or(c.ReturnTo, "/")
	shown := page.SignedOut{
		Again: page.Link{Text: "Sign in again", URL: p.startURL(back)}, Another: p.anotherURL(back), IssuerToo: to != "", Onward: to,
	}
	for i, found := range c.Found {
		shown.Hosts = append(shown.Hosts, page.HostSession{Host: c.Hosts[i], State: chainWords[found]})
	}
	if c.ReturnTo != "" {
		shown.Return = page.Link{Text: "Back to where you were", URL: c.ReturnTo}
	}
	html, err := p.pages.SignedOut(shown)
	p.writePage(x, http.StatusOK, html, err)
	return true
}

// sealChain gives nothing where there is no key, or too much to say.
func (p *Proxy) sealChain(c chain) string {
	plain, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	sealed := base64.RawURLEncoding.EncodeToString(p.chains.Seal(plain, chainPurpose))
	if len(sealed) > maxChain {
		return ""
	}
	return sealed
}

// openChain reads the token of a request, which is good for a minute and at one host.
func (p *Proxy) openChain(x *exchange) (chain, error) {
	query := x.r.URL.Query()["t"]
	if len(query) != 1 || len(query[0]) > maxChain {
		return chain{}, errors.New("it has no token, or several")
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(query[0])
	if err != nil {
		return chain{}, errors.New("the token is not base64")
	}
	plain, err := p.chains.Open(sealed, chainPurpose)
	if err != nil {
		return chain{}, errors.New("the token does not open: it was changed, or sealed with other keys")
	}
	var c chain
	if err := json.Unmarshal(plain, &c); err != nil || len(c.Hosts) == 0 || c.Found == "" || len(c.Found) > len(c.Hosts) || c.Subject == "" {
		return chain{}, errors.New("the token is of another version")
	}
	if age := x.begun.Sub(c.Begun); age > chainLifetime || age < -time.Duration(p.config.Issuer.ClockSkew) {
		return chain{}, errors.New("the token is too old")
	}
	if here := c.Hosts[len(c.Found)%len(c.Hosts)]; here != x.client.name {
		return chain{}, errors.New("the token is for another host")
	}
	return c, nil
}
