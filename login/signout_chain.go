package login

import (
	"cmp"
	"context"
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

// Without session.cookie.domain each host has a session of its own, and only that host can
// remove its cookie. So a sign-out leads the browser over all hosts, by redirects with an
// encrypted token. The content of a token decides what it ends: sessions of the user who
// signed out, created before the sign-out. In the browser of another user, and on a later
// session, the link has no effect.

const (
	chainLifetime = time.Minute
	maxRedirects  = 15       // redirects in a row: browsers follow 20
	maxChainBytes = 6 << 10  // bytes of a token: it travels in a URL
	chainName     = "chain"  // of the token
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
	chainOther   = 'o' // a session of another user, which continues
	chainLater   = 'l' // a session created after the sign-out, which continues
	chainFailed  = 'f' // the store did not answer
	chainUnknown = 'u' // the configuration no longer has the host
)

var chainResultText = map[rune]page.Text{
	chainEnded: "signedout.host.ended", chainNone: "signedout.host.none", chainOther: "signedout.host.other",
	chainLater: "signedout.host.later", chainFailed: "signedout.host.failed", chainUnknown: "signedout.host.unknown",
}

// otherHosts are the other hosts of the configuration where this browser may have a session.
func (h *Handler) otherHosts(x *request) []string {
	if h.config.Session.Cookie.Domain != "" {
		return nil // one cookie for all of them
	}
	var hosts []string
	for i := range h.config.Upstreams {
		for _, host := range h.config.Upstreams[i].Hosts {
			if host != x.Client.Hostname && !strings.Contains(host, "*") && !slices.Contains(hosts, host) {
				hosts = append(hosts, host)
			}
		}
	}
	return hosts
}

// beginChain leads the browser to the other hosts. It returns nil if there are none, or if the
// client cannot follow: a script of a page may not.
func (h *Handler) beginChain(x *request, rd string) respond.Answer {
	others := h.otherHosts(x)
	if mode := x.R.Header.Get("Sec-Fetch-Mode"); len(others) == 0 || !x.signedIn() || mode != "" && mode != "navigate" {
		return nil
	}
	principal := x.session.Principal
	c := signOutChain{
		Issuer: principal.Issuer, Subject: principal.Subject, StartedAt: x.ReceivedAt,
		Hosts: append([]string{x.Client.Hostname}, others...), Results: string(chainEnded), ReturnTo: rd,
	}
	for h.encryptChain(c) == "" && len(c.Hosts) > 1 { // too large for a URL
		if c.ReturnTo != "" {
			c.ReturnTo = ""
			continue
		}
		c.Hosts = c.Hosts[:len(c.Hosts)-1]
	}
	return h.nextHop(x, c)
}

// signOutChain is the part of one host.
func (h *Handler) signOutChain(x *request) respond.Answer {
	if x.R.Method != http.MethodGet {
		return refuseMethod("Sign out with a browser.")
	}
	c, err := h.decryptChain(x)
	if err != nil {
		f := refuse(http.StatusBadRequest, "sign_out_link", "This link is one step of a sign-out. It has expired, or "+
			"is not valid at this address. Nothing was done.", err)
		f.Next = page.Link{Text: page.TextSignOutHere, URL: h.endpoints.Prefix + "/sign_out"}
		return f
	}
	x.Decision = audit.Allow
	if len(c.Results) == len(c.Hosts) {
		return h.finishChain(x, c)
	}
	s, err := h.sessions.Peek(x.R.Context(), x.R.Header, x.Client.Secure())
	if h.cookieWithheld(x, err) {
		return respond.Continue(respond.WithQuery(x.Path.String(), x.R.URL.RawQuery), page.TextSigningOut)
	}
	c.Results += string(h.endChainSession(x, c, s, err))
	return h.nextHop(x, c)
}

// endChainSession ends the session of this host if the sign-out includes it.
func (h *Handler) endChainSession(x *request, c signOutChain, s session.Session, err error) rune {
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
	x.Event = audit.Logout
	x.session = s
	if x.Client.Secure() {
		x.W.Header().Set("Clear-Site-Data", `"cache"`)
	}
	h.clearAttempts(x)
	h.clearDuplicates(x)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.R.Context()), revokeTimeout)
	defer cancel()
	err = h.sessions.End(ctx, x.W, x.R.Header, s, x.Client.Secure())
	h.endStreams(s)
	if err != nil {
		h.log.Error("session not ended", "id", x.ID, "request_id", x.RequestID, "error", err)
		return chainFailed
	}
	return chainEnded
}

// nextHop sends the browser to the next host of the configuration, and at the end back to the
// first one.
func (h *Handler) nextHop(x *request, c signOutChain) respond.Answer {
	for len(c.Results) < len(c.Hosts) && !h.servesHost(c.Hosts[len(c.Results)]) {
		c.Results += string(chainUnknown)
	}
	next := c.Hosts[0]
	if len(c.Results) < len(c.Hosts) {
		next = c.Hosts[len(c.Results)]
	}
	to := x.Client.OriginOf(next) + h.endpoints.Prefix + "/sign_out" + chainPath + "?t=" + h.encryptChain(c)
	if len(c.Results)%maxRedirects == 0 {
		return respond.Continue(to, page.TextSigningOut)
	}
	return redirect(http.StatusSeeOther, to)
}

// finishChain shows at the first host the result of each, and continues to the issuer.
func (h *Handler) finishChain(x *request, c signOutChain) respond.Answer {
	to := h.issuerSignOutURL(x, identity.TokenSet{})
	if to != "" && !respond.WantsHTML(x.R) {
		return redirect(http.StatusSeeOther, to)
	}
	back := cmp.Or(c.ReturnTo, "/")
	data := page.SignedOut{
		SignIn: page.Link{Text: page.TextSignInAgain, URL: h.endpoints.Start(back)}, SwitchUser: h.endpoints.SwitchUser(back),
		IssuerToo: to != "", IssuerSignOut: to,
	}
	for i, found := range c.Results {
		text := cmp.Or(chainResultText[found], chainResultText[chainUnknown])
		data.Hosts = append(data.Hosts, page.HostSession{Host: c.Hosts[i], State: text})
	}
	if c.ReturnTo != "" {
		data.Return = page.Link{Text: page.TextReturn, URL: c.ReturnTo}
	}
	return respond.Page{Page: data}
}

// encryptChain returns an empty token if there is no key, or if the token would be too large.
func (h *Handler) encryptChain(c signOutChain) string {
	token, err := h.chains.Encode(chainName, c)
	if err != nil {
		return ""
	}
	return token
}

// decryptChain reads the token of a request, which is valid for a minute and at one host.
func (h *Handler) decryptChain(x *request) (signOutChain, error) {
	query := x.R.URL.Query()["t"]
	if len(query) != 1 || query[0] == "" {
		return signOutChain{}, errors.New("it has no token, or several")
	}
	var c signOutChain
	if err := h.chains.Decode(chainName, query[0], &c); err != nil {
		return signOutChain{}, err
	}
	if len(c.Hosts) == 0 || c.Results == "" || len(c.Results) > len(c.Hosts) || c.Subject == "" {
		return signOutChain{}, errors.New("the token is of another version")
	}
	if age := x.ReceivedAt.Sub(c.StartedAt); age > chainLifetime || age < -time.Duration(h.config.Issuer.ClockSkew) {
		return signOutChain{}, errors.New("the token has expired")
	}
	if here := c.Hosts[len(c.Results)%len(c.Hosts)]; here != x.Client.Hostname {
		return signOutChain{}, errors.New("the token is for another host")
	}
	return c, nil
}
