package proxy

import (
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy/client"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/target"
)

// PagesBelow gives one path of each class of paths, at a path or below it, that rows of an upstream
// let a user GET, without those below the prefixes.
type PagesBelow func(s *policy.Snapshot, upstream, home string, prefixes []string) ([]target.Path, error)

// entrances is what a policy says about the dashboards of the portal. It is worked out when it is
// first needed: few users are not allowed to open the home page itself.
type entrances struct {
	pages []func() []target.Path       // by the index of the upstream: examples below its home page
	roles func() []map[string]struct{} // by the same: roles that some row allows something
}

func (p *Proxy) newEntrances(s *policy.Snapshot) entrances {
	e := entrances{roles: sync.OnceValue(func() []map[string]struct{} { return rolesByUpstream(s, p.config.Upstreams) })}
	for i := range p.config.Upstreams {
		e.pages = append(e.pages, sync.OnceValue(func() []target.Path { return p.findPages(s, i) }))
	}
	return e
}

// findPages gives a page of each kind below the home page of an upstream. If there are too many
// kinds, users see the tile only if they may open the home page itself.
func (p *Proxy) findPages(s *policy.Snapshot, index int) []target.Path {
	if p.pagesBelow == nil {
		return nil
	}
	u := &p.config.Upstreams[index]
	prefixes := []string{p.prefix}
	for i := range p.config.Upstreams {
		if other := p.config.Upstreams[i].Path; len(other) > len(u.Path) && hasPathPrefix(other, u.Path) &&
			sharesHosts(u, &p.config.Upstreams[i]) {
			prefixes = append(prefixes, other)
		}
	}
	pages, err := p.pagesBelow(s, u.Name, u.HomePath(), prefixes)
	if err != nil {
		p.log.Warn("the portal shows this upstream only to users who may open its home page",
			"upstream", u.Name, "home", u.HomePath(), "error", err)
	}
	return pages
}

// sharesHosts reports whether an upstream serves every host of another.
func sharesHosts(u, other *config.Upstream) bool {
	return !slices.ContainsFunc(u.Hosts, func(host string) bool { return !slices.Contains(other.Hosts, host) })
}

func rolesByUpstream(s *policy.Snapshot, upstreams []config.Upstream) []map[string]struct{} {
	all := make([]map[string]struct{}, len(upstreams))
	for i := range upstreams {
		all[i] = make(map[string]struct{})
		for _, row := range policy.RowsOn(upstreams[i].Name, s.Rows()) {
			if row.Effect == policy.Allow {
				all[i][row.Subject] = struct{}{}
			}
		}
	}
	return all
}

// portal shows the user's session, and a tile for each dashboard that the user may open.
func (p *Proxy) portal(to *routed) *Refusal {
	x, f := p.requireSession(to)
	if f != nil {
		return f
	}
	data := page.Portal{
		User: x.session.Principal.DisplayName(), Groups: x.session.Principal.Groups,
		Overage: x.session.Principal.GroupsOverage, SignOut: p.prefix + "/sign_out",
	}
	if !x.usesBearer() {
		data.Session = p.describeSession(x)
	}
	for i := range p.config.Upstreams {
		if tile, ok := p.tile(x, i); ok {
			data.Tiles = append(data.Tiles, tile)
		}
	}
	return p.write(x.request, respond.Page{Page: data})
}

// describeSession is what a user may want to know of the session.
func (p *Proxy) describeSession(x *caller) *page.Session {
	s := &page.Session{
		Now: x.startedAt, Created: x.session.CreatedAt, Expires: x.session.Expires, GroupsReadAt: x.session.FetchedAt,
		Refresh: p.prefix + "/refresh",
	}
	if p.config.Session.Store == config.StoreRedis {
		s.EndAll = p.prefix + "/sign_out?everywhere=1"
	}
	if idle := time.Duration(p.config.Session.IdleTimeout); idle > 0 {
		s.IdleTimeout = idle
	}
	_, cause := p.sessions.RefreshFailure(x.session)
	s.Stale = cause != nil
	return s
}

// tile is that of one upstream. A user who may not open it sees none.
func (p *Proxy) tile(x *caller, index int) (page.Tile, bool) {
	u := &p.config.Upstreams[index]
	host := p.hostOf(index, x.client)
	if host == "" || !p.mayOpen(x, index) {
		return page.Tile{}, false
	}
	tile := page.Tile{
		Title: u.DisplayName(), Description: u.Description, URL: x.client.OriginOf(host) + u.HomePath(),
		Icon: template.URL(p.icons[u.Name]), Maintenance: u.Maintenance,
	}
	for _, role := range x.roles.Names() {
		if _, used := x.state.policy.entrances.roles()[index][role]; used {
			tile.Roles = append(tile.Roles, role)
		}
	}
	return tile, true
}

// mayOpen reports whether a user may GET the home page of an upstream, or a page below it. A page
// that is open to everyone, such as one of the issuer, is no reason for a tile.
func (p *Proxy) mayOpen(x *caller, index int) bool {
	u := &p.config.Upstreams[index]
	home, err := target.ParseWith(u.HomePath(), u.Quirks())
	if err != nil { // config has checked it
		return false
	}
	if d, _ := x.evaluate(u.Name, home, http.MethodGet); d.Allowed() {
		return true
	}
	if x.state.policy.Demoted() { // each decision would wait for casbin
		return false
	}
	return slices.ContainsFunc(x.state.policy.entrances.pages[index](), func(path target.Path) bool {
		return x.state.policy.Decide(policy.Request{
			Roles: x.roles, Upstream: u.Name, Path: path, Method: http.MethodGet,
		}).Allowed()
	})
}

// hostOf is the host at which a tile opens an upstream: that of the portal if the upstream has it,
// else the first that is no wildcard. It is empty if there is none.
func (p *Proxy) hostOf(index int, c client.Client) string {
	home := p.config.Upstreams[index].HomePath()
	serves := func(host string) bool {
		at, _ := Route(p.config.Upstreams, host, home)
		return at == index
	}
	if serves(c.Hostname) {
		return c.Hostname
	}
	for _, host := range p.config.Upstreams[index].Hosts {
		if !strings.Contains(host, "*") && serves(host) {
			return host
		}
	}
	return ""
}
