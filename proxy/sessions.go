package proxy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/cookiestore"
)

// newSessions builds what remembers people, as the configuration says.
func (p *Proxy) newSessions(o Options) {
	c := o.Config.Session
	p.sessionCookie = NewSessionCookie(c.Cookie)
	var store session.Store
	if store = o.Redis; o.Redis == nil {
		store = cookiestore.New(cookiestore.Options{
			Cookie: p.sessionCookie, Keyring: o.Keyring, IdleTimeout: time.Duration(c.IdleTimeout), PolicyNames: p.policyNames, Now: o.Now,
		})
	}
	p.sessions = session.NewRefresher(session.RefresherOptions{
		Store: store, Refresh: p.refresh,
		Lifetime: time.Duration(c.Lifetime), IdleTimeout: time.Duration(c.IdleTimeout),
		RefreshEvery: time.Duration(c.RefreshEvery), RefreshGrace: time.Duration(c.RefreshGrace),
		Refreshed: p.refreshed, Log: o.Log, Now: o.Now,
	})
}

// policyNames reports whether a policy could make something of a group.
func (p *Proxy) policyNames(group string) bool {
	st := p.state.Load()
	return st.policy.MentionsGroup(group) || st.shadow != nil && st.shadow.MentionsGroup(group)
}

// refresh asks the issuer again who somebody is.
func (p *Proxy) refresh(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
	got, err := p.issuer.Refresh(ctx, g)
	return p.dropUnusedTokens(got), err
}

// dropUnusedTokens leaves out the tokens that no upstream is shown: a cookie has no
// room for them.
func (p *Proxy) dropUnusedTokens(g identity.TokenSet) identity.TokenSet {
	id, access := false, false
	for _, u := range p.upstreams {
		id = id || u.config.Identity.Credential == config.CredentialIDToken
		access = access || u.config.Identity.Credential == config.CredentialAccessToken
	}
	if !access {
		g.AccessToken = ""
		if !id {
			g.IDToken = ""
		}
	}
	return g // an access token is as fresh as the ID token beside it
}

// writeSessionCookie hands the browser what has changed of its session, with the header of a
// final answer. To shared caches such an answer is private from then on (RFC 9111,
// 5.2.2.7), or one person's cookie would be given to others.
func (p *Proxy) writeSessionCookie(x *exchange) {
	if !x.signedIn() || x.usesBearer() || x.asAnonymous || x.event != audit.Request {
		return // a login and a sign-out have told the browser themselves
	}
	h := x.w.Header()
	before := len(h["Set-Cookie"])
	p.sessions.WriteCookie(x.w.ResponseWriter, x.r.Header, x.session, x.client.Secure())
	if given := slices.Clone(h["Set-Cookie"][before:]); len(given) > 0 {
		h["Set-Cookie"] = h["Set-Cookie"][:before:before]
		p.clearDuplicateCookies(x)
		h["Set-Cookie"] = append(h["Set-Cookie"], given...)
		h["Cache-Control"] = []string{setPrivate(h["Cache-Control"])}
	}
}

// setPrivate takes from Cache-Control what lets others than the browser keep an
// answer.
func setPrivate(lines []string) string {
	all := strings.Join(lines, ",")
	if strings.Contains(all, `"`) { // a list of fields: rare, and not to be taken apart at its commas
		return "private, no-cache"
	}
	remaining := []string{"private"}
	for directive := range strings.SplitSeq(all, ",") {
		directive = strings.TrimSpace(directive)
		name, _, _ := strings.Cut(strings.ToLower(directive), "=")
		switch name {
		case "", "public", "private", "s-maxage":
		default:
			remaining = append(remaining, directive)
		}
	}
	return strings.Join(remaining, ", ")
}

// NewSessionCookie is where the browser keeps its session.
func NewSessionCookie(c config.Cookie) *cookie.Chunked {
	return cookie.New(c.Name, c.Domain, map[config.SameSite]http.SameSite{
		config.SameSiteLax: http.SameSiteLaxMode, config.SameSiteStrict: http.SameSiteStrictMode, config.SameSiteNone: http.SameSiteNoneMode,
	}[c.SameSite])
}

// RunSessions does what keeps sessions fresh beside requests, until ctx ends.
func (p *Proxy) RunSessions(ctx context.Context) { p.sessions.Run(ctx) }

// What a renewal came to.
const (
	refreshOK              = "ok"
	refreshUnavailable     = "failing" // the old groups go on for a while
	refreshRevoked         = "revoked" // the issuer ended it
	refreshSubjectMismatch = "impostor"
	refreshStoreDown       = "store_down"
)

var refreshResults = []string{refreshOK, refreshUnavailable, refreshRevoked, refreshSubjectMismatch, refreshStoreDown}

// refreshed counts a renewal and writes it down.
func (p *Proxy) refreshed(s session.Session, err error) {
	result, decision := resultOfRefresh(err), audit.Refuse
	if err == nil {
		decision = audit.Allow
	}
	p.metrics.refreshes[result].Inc()
	st, now := p.state.Load(), p.now()
	resolved := st.resolveRoles(s)
	p.audit.Write(audit.Record{
		Time: now, Event: audit.Refresh, ID: newID(), Subject: s.Principal.Subject, Email: s.Principal.Email,
		Roles: resolved.roles.Names(), Groups: resolved.roles.Subjects(), Decision: decision, Reason: result,
		Policy: st.policy.Hash(), Generation: st.generation, Age: st.age(now),
	})
}

func resultOfRefresh(err error) string {
	var refused *identity.RefreshRefusedError
	var mismatch *identity.SubjectMismatchError
	switch {
	case err == nil:
		return refreshOK
	case errors.As(err, &mismatch):
		return refreshSubjectMismatch
	case errors.As(err, &refused):
		return refreshRevoked
	case errors.Is(err, session.ErrStoreDown):
		return refreshStoreDown
	default:
		return refreshUnavailable
	}
}
