package proxy

import (
	"net/http"
	"time"

	"github.com/example-org/authgate/config"
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
		Refreshed: func(session.Session, error) {}, Log: o.Log, Now: o.Now,
	})
}

// NewJar is where the browser keeps its session.
func NewJar(c config.Cookie) *session.Jar {
	return session.NewJar(c.Name, c.Domain, map[config.SameSite]http.SameSite{
		config.SameSiteLax: http.SameSiteLaxMode, config.SameSiteStrict: http.SameSiteStrictMode, config.SameSiteNone: http.SameSiteNoneMode,
	}[c.SameSite])
}
