package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/cache"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/session"
)

// onceOnly remembers what may be used once: [cache.Replay], or Redis for all replicas.
type onceOnly interface {
	Use(ctx context.Context, secret string, made time.Time, keep time.Duration) (first bool, err error)
}

const (
	// readGroupsEvery is how often the groups of one session are read again on request: issuers
	// limit how often they are asked.
	readGroupsEvery = 10 * time.Second

	maxReadGroups     = 1 << 14 // sessions that are remembered
	maxReadGroupsForm = 4 << 10 // bytes
)

func newReadLimit(shared onceOnly, now func() time.Time) onceOnly {
	if shared != nil {
		return shared
	}
	return cache.NewReplay(maxReadGroups, now)
}

// readGroupsAgain reads the groups of a session from the issuer although they are fresh, because
// the user knows that they have changed. It then leads back to rd, or to the portal.
func (p *Proxy) readGroupsAgain(to *routed) *Refusal {
	if to.r.Method != http.MethodPost {
		to.w.Header().Set("Allow", http.MethodPost)
		f := refuse(http.StatusMethodNotAllowed, "bad_method", "Groups are read again with POST.", nil)
		f.Next = p.toPortal()
		return f
	}
	if !to.sameOrigin() { // with a session or without, as for the sign-out
		return refuse(http.StatusForbidden, "cross_origin",
			"The request was refused: it came from another site, and would have acted with your session.", nil)
	}
	x, f := p.authenticate(to)
	switch {
	case f != nil:
		return f
	case x.usesBearer():
		return refuse(http.StatusBadRequest, "no_session",
			"Only the groups of a browser's session are read again. Groups of a token are those of its issuer.", nil)
	case !x.signedIn():
		return p.refuseUnauthenticated(x)
	}
	back := x.refreshReturnPath()
	if f := p.limitReads(x); f != nil {
		return f
	}
	s, err := p.sessions.RefreshNow(x.r.Context(), x.session)
	if err != nil {
		return p.refuseReadGroups(x, err)
	}
	x.session, x.resolvedRoles = s, x.state.resolveRoles(&s)
	x.outcome = audit.Allow
	return p.redirect(x.request, http.StatusSeeOther, back)
}

// limitReads refuses a session that asks too often, on any replica that shares the session store.
func (p *Proxy) limitReads(x *caller) *Refusal {
	first, err := p.readLimit.Use(x.r.Context(), "groups of "+x.session.ID, x.startedAt, readGroupsEvery)
	switch {
	case err != nil:
		return p.refuseReadGroups(x, err)
	case first:
		return nil
	}
	f := refuse(http.StatusTooManyRequests, "refresh_limited",
		"Your groups were read a moment ago. Try again in 10 seconds.", nil)
	f.RetryAfter, f.Next = int(readGroupsEvery.Seconds()), p.toPortal()
	return f
}

// refuseReadGroups says why the groups are those of before.
func (p *Proxy) refuseReadGroups(x *caller, err error) *Refusal {
	switch {
	case errors.Is(err, session.ErrExpired): // the issuer has ended it
		x.session, x.sessionErr, x.resolvedRoles = session.Session{}, err, x.state.anonymous
		return p.refuseUnauthenticated(x)
	case errors.Is(err, session.ErrNoRefreshToken):
		f := refuse(http.StatusConflict, "no_refresh_token",
			"The identity provider gave no token to read your groups again. Sign in again to have them read.", nil)
		f.Next = page.Link{Text: page.TextSignInAgain, URL: p.endpoints.ForceLogin(x.refreshReturnPath())}
		return f
	case errors.Is(err, session.ErrStoreDown):
		return refuse(http.StatusServiceUnavailable, "session_store_down",
			"Your groups could not be read again: the session store is not responding. You stay signed in. Try again in "+
				"a moment.", nil)
	default:
		f := refuse(http.StatusServiceUnavailable, "groups_not_refreshed",
			"Your groups could not be read again: the identity provider did not answer, or its answer could not be used. "+
				"You stay signed in with the groups of before. Try again in a moment.", nil)
		f.RetryAfter, f.Next = int(readGroupsEvery.Seconds()), p.toPortal()
		return f
	}
}

// refreshReturnPath is where the user continues: the field rd of the form, or the portal.
func (x *caller) refreshReturnPath() string {
	x.r.Body = http.MaxBytesReader(x.w, x.r.Body, maxReadGroupsForm)
	if err := x.r.ParseForm(); err != nil { // the form is optional
		return x.p.prefix + "/"
	}
	rd := x.r.Form.Get("rd")
	if rd == "" {
		return x.p.prefix + "/"
	}
	return x.p.endpoints.ReturnPath(rd)
}

func (p *Proxy) toPortal() page.Link { return page.Link{Text: page.TextPortal, URL: p.prefix + "/"} }
