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
	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
)

// newSessions sets up the sessions as the configuration says.
func (p *Proxy) newSessions(o Options) {
	c := o.Config.Session
	p.sessionCookie = NewSessionCookie(c.Cookie)
	p.sessions = session.NewRefresher(session.RefresherOptions{
		Store: o.Store, Refresh: p.refresh,
		Lifetime: time.Duration(c.Lifetime), IdleTimeout: time.Duration(c.IdleTimeout),
		RefreshEvery: time.Duration(c.RefreshEvery), RefreshGrace: time.Duration(c.RefreshGrace),
		Refreshed: p.refreshed, Log: o.Log, Now: o.Now,
	})
}

// MentionsGroup reports whether a policy mentions a group.
func (p *Proxy) MentionsGroup(group string) bool {
	st := p.state.Load()
	return st.policy.MentionsGroup(group) || st.shadow != nil && st.shadow.MentionsGroup(group)
}

// refresh asks the issuer again who the user is.
func (p *Proxy) refresh(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
	got, err := p.issuer.Refresh(ctx, g)
	return got.Keep(p.config.UpstreamTokens()), err
}

// writeSessionCookie sends the changed session to the browser, with the header of a final
// response. The response becomes private (RFC 9111, 5.2.2.7), or shared caches would give the
// cookie of one user to others.
func (p *Proxy) writeSessionCookie(all *exchange) {
	x, c := &all.request, &all.caller
	if !c.signedIn() || c.usesBearer() || all.decided.asAnonymous || x.event != audit.Request {
		return // logins and sign-outs set the cookie themselves
	}
	h := x.w.Header()
	before := len(h["Set-Cookie"])
	p.sessions.WriteCookie(x.w.ResponseWriter, x.r.Header, c.session, x.client.Secure())
	if given := slices.Clone(h["Set-Cookie"][before:]); len(given) > 0 {
		h["Set-Cookie"] = h["Set-Cookie"][:before:before]
		p.clearDuplicateCookies(x)
		h["Set-Cookie"] = append(h["Set-Cookie"], given...)
		h["Cache-Control"] = []string{setPrivate(h["Cache-Control"])}
	}
}

// setPrivate removes from Cache-Control what lets other caches than the browser's store a
// response.
func setPrivate(lines []string) string {
	all := strings.Join(lines, ",")
	if strings.Contains(all, `"`) { // a list of fields, which is rare and has commas
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

// NewSessionCookie returns the cookie in which the browser stores its session.
func NewSessionCookie(c config.Cookie) *cookie.Chunked {
	return cookie.New(c.Name, c.Domain, map[config.SameSite]http.SameSite{
		config.SameSiteLax: http.SameSiteLaxMode, config.SameSiteStrict: http.SameSiteStrictMode,
		config.SameSiteNone: http.SameSiteNoneMode,
	}[c.SameSite])
}

// RunSessions refreshes sessions in the background until ctx ends.
func (p *Proxy) RunSessions(ctx context.Context) { p.sessions.Run(ctx) }

// Results of a refresh.
const (
	refreshOK              = "ok"
	refreshUnavailable     = "unavailable" // the old groups stay valid for a while
	refreshRevoked         = "revoked"     // the issuer ended it
	refreshSubjectMismatch = "subject_mismatch"
	refreshStoreDown       = "store_down"
)

var refreshResults = []string{refreshOK, refreshUnavailable, refreshRevoked, refreshSubjectMismatch, refreshStoreDown}

// refreshed counts a refresh and records it in the audit.
func (p *Proxy) refreshed(s session.Session, err error) {
	result, decision := resultOfRefresh(err), audit.Refuse
	if err == nil {
		decision = audit.Allow
	}
	p.metrics.refreshes[result].Inc()
	st, now := p.state.Load(), p.now()
	resolved := st.resolveRoles(&s)
	p.audit.Write(audit.Record{
		Time: now, Event: audit.Refresh, ID: audit.NewID(), Subject: s.Principal.Subject, Email: s.Principal.Email,
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

// EndStreams ends the open streams of a session. Without an ID, it ends those of the user, or
// of the issuer's session that it names.
func (p *Proxy) EndStreams(of session.Session) {
	user := of.Principal
	p.streams.CutSessions(func(s stream.Session) bool {
		if of.ID != "" {
			return s.ID == of.ID
		}
		return s.Issuer == user.Issuer && (user.Subject == "" || s.Subject == user.Subject) &&
			(of.SessionID == "" || s.IssuerSession == of.SessionID)
	})
}

const codeAmbiguous = "ambiguous_session"

// clearDuplicateCookies removes session cookies of other settings from the browser, for example
// of another session.cookie.domain, before the browser gets or loses its session.
func (p *Proxy) clearDuplicateCookies(x *request) {
	p.sessionCookie.ClearDuplicates(x.w.ResponseWriter, x.r.Header, x.client.Hostname, x.client.Secure())
}

// clearSessionCookies removes all of them, because it is unknown which one is valid.
func (p *Proxy) clearSessionCookies(x *targeted) {
	p.sessionCookie.ClearAll(x.w.ResponseWriter, x.r.Header, x.client.Hostname, x.path.String(), x.client.Secure())
}

// refuseAmbiguous refuses a request whose session cookies contradict each other: a sibling host
// may have planted one. The response removes them, and the user signs in again.
func (p *Proxy) refuseAmbiguous(x *caller) *Refusal {
	p.clearSessionCookies(x.targeted)
	return refuse(http.StatusUnauthorized, codeAmbiguous,
		"Your browser sent several session cookies that contradict each other, so that none was used. They have been "+
			"removed: sign in again.", session.ErrAmbiguous)
}
