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
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/session"
)

// Without session.cookie.domain each host has a session of its own, and only that
// host can take its cookie away. So a sign-out leads the browser over all hosts, by
// redirects that carry an encrypted token. What a token ends is settled by what is
// inside: sessions of the user who signed out, begun before they did. To the browser
// of anybody else, and to a later session, a link does nothing.

const (
	chainLifetime = time.Minute
	maxRedirects  = 15       // redirects in a row: browsers follow 20
	maxChainBytes = 6 << 10  // bytes of a token: it travels in a URL
	chainPurpose  = "chain"  // what a token is bound to
	chainPath     = "/chain" // below sign_out
)

// signOutChain is a sign-out on its way.
type signOutChain struct {
	Issuer    string    `json:"i"`
	Subject   string    `json:"s"`
	StartedAt time.Time `json:"b"`
	Hosts     []string  `json:"h"` // in their order; it begins and ends at the first
	Results   string    `json:"f"` // at each host so far
	ReturnTo  string    `json:"r,omitempty"`
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

var chainResultText = map[rune]string{
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
			if host != x.client.Hostname && !strings.Contains(host, "*") && !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}

// beginChain leads the browser on to the other hosts, if there are any and it can
// follow: a script of a page may not.
func (p *Proxy) beginChain(x *exchange, old session.Session, rd string) (started bool) {
	others := p.otherHosts(x)
	if mode := x.r.Header.Get("Sec-Fetch-Mode"); len(others) == 0 || old.ID == "" || mode != "" && mode != "navigate" {
		return false
	}
	principal := old.Principal
	c := signOutChain{
		Issuer: principal.Issuer, Subject: principal.Subject, StartedAt: x.startedAt,
		Hosts: append([]string{x.client.Hostname}, others...), Results: string(chainEnded), ReturnTo: rd,
	}
	for p.encryptChain(c) == "" && len(c.Hosts) > 1 { // too large for a URL
		if c.ReturnTo != "" {
			c.ReturnTo = ""
			continue
		}
		c.Hosts = c.Hosts[:len(c.Hosts)-1]
	}
	return p.nextHop(x, c)
}

// signOutChain is one host's part.
func (p *Proxy) signOutChain(x *exchange) bool {
	if x.r.Method != http.MethodGet {
		return x.refuse(http.StatusMethodNotAllowed, "bad_method", "Sign out with a browser.", nil)
	}
	c, err := p.decryptChain(x)
	if err != nil {
		x.refuse(http.StatusBadRequest, "sign_out_link", "This link is one step of signing out, and is not valid any more, or not at this address. Nothing was done.", err)
		x.refusal.Next = page.Link{Text: "Sign out here", URL: p.prefix + "/sign_out"}
		return false
	}
	x.outcome, x.resolvedRoles = audit.Allow, x.state.anonymous
	if len(c.Results) == len(c.Hosts) {
		return p.finishChain(x, c)
	}
	s, err := p.sessions.Peek(x.r.Context(), x.r.Header, x.client.Secure())
	if p.cookieWithheld(x, err) {
		return p.write(x, respond.Continue(respond.WithQuery(x.path.String(), x.r.URL.RawQuery), "Signing out."))
	}
	c.Results += string(p.endChainSession(x, c, s, err))
	return p.nextHop(x, c)
}

// endChainSession ends the session of this host if it is one that the sign-out was about.
func (p *Proxy) endChainSession(x *exchange, c signOutChain, s session.Session, err error) rune {
	switch {
	case errors.Is(err, session.ErrStoreDown):
		return chainFailed
	case err != nil:
		return chainNone
	case s.Principal.Issuer != c.Issuer || s.Principal.Subject != c.Subject:
		return chainOther
	case s.CreatedAt.After(c.StartedAt):
		return chainLater
	}
	x.event = audit.Logout
	x.session, x.resolvedRoles = s, x.state.resolveRoles(s)
	if x.client.Secure() {
		x.w.Header().Set("Clear-Site-Data", `"cache"`)
	}
	p.clearAttempts(x)
	p.clearDuplicateCookies(x)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), revokeTimeout)
	defer cancel()
	err = p.sessions.End(ctx, x.w, x.r.Header, s, x.client.Secure())
	p.cutSessionStreams(s.ID)
	if err != nil {
		p.log.Error("session not ended", "id", x.id, "request_id", x.requestID, "error", err)
		return chainFailed
	}
	return chainEnded
}

// nextHop sends the browser to the next host that the configuration has, and in the
// end back to the first.
func (p *Proxy) nextHop(x *exchange, c signOutChain) bool {
	for len(c.Results) < len(c.Hosts) && !p.servesHost(c.Hosts[len(c.Results)]) {
		c.Results += string(chainUnknown)
	}
	next := c.Hosts[0]
	if len(c.Results) < len(c.Hosts) {
		next = c.Hosts[len(c.Results)]
	}
	to := x.client.OriginOf(next) + p.prefix + "/sign_out" + chainPath + "?t=" + p.encryptChain(c)
	if len(c.Results)%maxRedirects == 0 {
		return p.write(x, respond.Continue(to, "Signing out."))
	}
	return p.redirect(x, http.StatusSeeOther, to)
}

func (p *Proxy) servesHost(host string) bool {
	_, known := Route(p.config.Upstreams, host, "/")
	return known
}

// finishChain says at the first host what was found at each, and goes on to the issuer.
func (p *Proxy) finishChain(x *exchange, c signOutChain) bool {
	to := p.issuerSignOutURL(x, identity.TokenSet{})
	if to != "" && !respond.WantsHTML(x.r) {
		return p.redirect(x, http.StatusSeeOther, to)
	}
	back := cmp.Or(c.ReturnTo, "/")
	data := page.SignedOut{
		SignIn: page.Link{Text: "Sign in again", URL: p.endpoints.Start(back)}, SwitchUser: p.endpoints.SwitchUser(back),
		IssuerToo: to != "", IssuerSignOut: to,
	}
	for i, found := range c.Results {
		data.Hosts = append(data.Hosts, page.HostSession{Host: c.Hosts[i], State: chainResultText[found]})
	}
	if c.ReturnTo != "" {
		data.Return = page.Link{Text: "Back to where you were", URL: c.ReturnTo}
	}
	return p.write(x, respond.Page{Page: data})
}

// encryptChain gives nothing where there is no key, or too much to say.
func (p *Proxy) encryptChain(c signOutChain) string {
	plain, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	sealed := base64.RawURLEncoding.EncodeToString(p.chainAEAD.Seal(plain, chainPurpose))
	if len(sealed) > maxChainBytes {
		return ""
	}
	return sealed
}

// decryptChain reads the token of a request, which is good for a minute and at one host.
func (p *Proxy) decryptChain(x *exchange) (signOutChain, error) {
	query := x.r.URL.Query()["t"]
	if len(query) != 1 || len(query[0]) > maxChainBytes {
		return signOutChain{}, errors.New("it has no token, or several")
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(query[0])
	if err != nil {
		return signOutChain{}, errors.New("the token is not base64")
	}
	plain, err := p.chainAEAD.Open(sealed, chainPurpose)
	if err != nil {
		return signOutChain{}, errors.New("the token does not open: it was changed, or sealed with other keys")
	}
	var c signOutChain
	if err := json.Unmarshal(plain, &c); err != nil || len(c.Hosts) == 0 || c.Results == "" || len(c.Results) > len(c.Hosts) || c.Subject == "" {
		return signOutChain{}, errors.New("the token is of another version")
	}
	if age := x.startedAt.Sub(c.StartedAt); age > chainLifetime || age < -time.Duration(p.config.Issuer.ClockSkew) {
		return signOutChain{}, errors.New("the token is too old")
	}
	if here := c.Hosts[len(c.Results)%len(c.Hosts)]; here != x.client.Hostname {
		return signOutChain{}, errors.New("the token is for another host")
	}
	return c, nil
}
