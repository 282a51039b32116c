package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

// keepSessions builds what remembers people, as the configuration says.
func (p *Proxy) keepSessions(o Options) {
	c := o.Config.Session
	p.jar = NewJar(c.Cookie)
	var store session.Store
	if store = o.Redis; o.Redis == nil {
		store = session.NewCookies(session.CookieOptions{
			Jar: p.jar, Keys: o.Keys, IdleTimeout: time.Duration(c.IdleTimeout), Now: o.Now,
		})
	}
	p.sessions = session.NewKeeper(session.KeeperOptions{
		Store: store, Ask: o.Issuer.Refresh,
		Lifetime: time.Duration(c.Lifetime), IdleTimeout: time.Duration(c.IdleTimeout),
		RefreshEvery: time.Duration(c.RefreshEvery), RefreshGrace: time.Duration(c.RefreshGrace),
		Refreshed: p.refreshed, Log: o.Log, Now: o.Now,
	})
}

// NewJar is where the browser keeps its session.
func NewJar(c config.Cookie) *session.Jar {
	return session.NewJar(c.Name, c.Domain, map[config.SameSite]http.SameSite{
		config.SameSiteLax: http.SameSiteLaxMode, config.SameSiteStrict: http.SameSiteStrictMode, config.SameSiteNone: http.SameSiteNoneMode,
	}[c.SameSite])
}

// KeepSessions does what keeps sessions fresh beside requests, until ctx ends.
func (p *Proxy) KeepSessions(ctx context.Context) { p.sessions.Run(ctx) }

// What a renewal came to.
const (
	refreshOK        = "ok"
	refreshFailing   = "failing" // the old groups go on for a while
	refreshRevoked   = "revoked" // the issuer ended it
	refreshImpostor  = "impostor"
	refreshStoreDown = "store_down"
)

var refreshResults = []string{refreshOK, refreshFailing, refreshRevoked, refreshImpostor, refreshStoreDown}

// refreshed counts a renewal and writes it down.
func (p *Proxy) refreshed(s session.Session, err error) {
	result, decision := resultOfRefresh(err), audit.Refuse
	if err == nil {
		decision = audit.Allow
	}
	p.metrics.refreshes[result].Inc()
	st, now := p.state.Load(), p.now()
	who := st.standingOf(s)
	p.audit.Write(audit.Record{
		Time: now, Event: audit.Refresh, ID: newID(), Subject: s.Principal.Subject, Email: s.Principal.Email,
		Roles: who.roles.Names(), Groups: who.roles.Subjects(), Decision: decision, Reason: result,
		Policy: st.policy.Hash(), Generation: st.generation, Age: st.age(now),
	})
}

func resultOfRefresh(err error) string {
	var refused *identity.RefreshRefusedError
	var impostor *identity.ImpostorError
	switch {
	case err == nil:
		return refreshOK
	case errors.As(err, &impostor):
		return refreshImpostor
	case errors.As(err, &refused):
		return refreshRevoked
	case errors.Is(err, session.ErrStoreDown):
		return refreshStoreDown
	default:
		return refreshFailing
	}
}
