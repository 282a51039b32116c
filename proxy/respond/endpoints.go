package respond

import (
	"net/url"
	"strings"

	"github.com/example-org/authgate/target"
)

// Limits of the address to which a login returns. It travels through the issuer, in the
// state: within them the longest address stays below 16 KiB, which an ALB accepts.
const (
	maxReturnPath  = 2 << 10 // bytes
	maxReturnQuery = 4 << 10
)

// Endpoints are the addresses of authgate's own pages on every host.
type Endpoints struct {
	Prefix string        // without a slash at the end
	Quirks target.Quirks // that paths of any upstream may have
}

// Has reports whether a path is one of authgate's own endpoints, which have no upstream and
// no policy.
func (e Endpoints) Has(path target.Path) bool {
	rest, ok := strings.CutPrefix(path.String(), e.Prefix)
	return ok && !path.IsZero() && (rest == "" || rest[0] == '/')
}

// Portal is where a user sees the dashboards that they may open.
func (e Endpoints) Portal() string { return e.Prefix + "/" }

func (e Endpoints) isPortal(path target.Path) bool {
	return path.String() == e.Prefix || path.String() == e.Portal()
}

// ReturnPath reads rd, the path and query of a page on this host. The start page replaces a
// path that is not canonical, or that is one of authgate's own endpoints other than the portal.
// An unsafe query is left out. No rd leads to another host.
func (e Endpoints) ReturnPath(rd string) string {
	to, _ := e.ParseReturnPath(rd)
	return to
}

// ParseReturnPath is ReturnPath, and reports whether rd was too long.
func (e Endpoints) ParseReturnPath(rd string) (to string, shortened bool) {
	path, err := target.ParseWith(rd, e.Quirks)
	if err == nil && e.isPortal(path) {
		return e.Portal(), false
	}
	if err != nil || e.Has(path) || strings.HasPrefix(path.String(), "//") { // which begins another host
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
	return WithQuery(path.String(), query), false
}

// WithQuery joins a path and a query, which may be empty.
func WithQuery(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// isLocationSafe reports whether a query can be written into a Location header unchanged.
func isLocationSafe(query string) bool {
	for i := range len(query) {
		if query[i] <= ' ' || query[i] > '~' || query[i] == '\\' || query[i] == '#' {
			return false
		}
	}
	return true
}

// Start is where a login begins that returns to rd. An address that is too long to return to
// is shortened here, before it makes a header that load balancers reject.
func (e Endpoints) Start(rd string) string {
	path, query, _ := strings.Cut(rd, "?")
	switch {
	case len(path) > maxReturnPath:
		return e.Prefix + "/start?rd=%2F&shortened=1"
	case len(query) > maxReturnQuery:
		return e.Prefix + "/start?rd=" + url.QueryEscape(path) + "&shortened=1"
	default:
		return e.Prefix + "/start?rd=" + url.QueryEscape(rd)
	}
}

// ForceLogin is [Endpoints.Start] for a login that takes place also if there is a session.
func (e Endpoints) ForceLogin(rd string) string { return e.Start(rd) + "&again=1" }

// SwitchUser is [Endpoints.Start] for a login as another user: the issuer must ask.
func (e Endpoints) SwitchUser(rd string) string { return e.Start(rd) + "&prompt=login" }

// SignOut is where a user signs out, and then signs in again to return to rd.
func (e Endpoints) SignOut(rd string) string {
	return e.Prefix + "/sign_out?rd=" + url.QueryEscape(e.ReturnPath(rd))
}
