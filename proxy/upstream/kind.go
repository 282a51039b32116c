package upstream

import (
	"slices"
	"strings"
)

// kind is what the servers of one dashboard do that a proxy must know. Patterns are those of
// the policy.
type kind struct {
	product        string   // the name of the dashboard
	encodedSlash   []string // paths that may contain %2F where the pattern has a star
	refusedForms   []string // paths where a POST of an HTML form (application/x-www-form-urlencoded) gets 415
	streamsByQuery bool     // follow=true and watch=true ask for a stream
	exactGRPCType  bool     // gRPC is detected by a Content-Type of exactly application/grpc
	effects        []effect // GETs that change something, and so must come from the same origin, as writes must

	// How the server itself identifies users. Behind authgate it is sent the user's identity, so
	// that none of its own credentials may be forwarded in addition.
	bearerHeader string   // canonical name of a header that it reads as a credential, as it does Authorization
	loginCookies []string // of its own login, also with a suffix that begins with a hyphen
	tokenCookie  string   // in which it expects the credential, in addition to Authorization; empty: none
	loginPages   []LoginPage
}

// LoginPage is a page of the server's own login or logout, which authgate's replaces.
type LoginPage struct {
	path        string // pattern
	ReturnParam string // the query parameter with the page to return to; empty: the start page
	FailedParam string // the query parameter that says that the issuer denied the login
	Logout      bool   // it ends the login
}

// effect is a GET that changes something.
type effect struct {
	path  string // pattern
	query string // the parameter that has the effect; empty: it always has
}

// kinds are the dashboards that authgate knows, by the name of their kind in the configuration.
// Of others it knows nothing. The map is never written to.
var kinds = map[string]kind{
	"argo-cd": {
		product:        "Argo CD",
		streamsByQuery: true,
		// A cluster or a repository is named by its URL, in one segment. argocd-server
		// keeps a %2F together below four prefixes (server/server.go, pathPatters) and
		// splits there everywhere else: /api/v1/applications/web%2Fsync is
		// /api/v1/applications/web/sync to it. write-repositories and write-repocreds
		// are not among them.
		encodedSlash: []string{
			"/api/v1/clusters/*",
			"/api/v1/clusters/*/invalidate-cache",
			"/api/v1/clusters/*/rotate-auth",
			"/api/v1/repositories/*",
			"/api/v1/repositories/*/appdetails",
			"/api/v1/repositories/*/apps",
			"/api/v1/repositories/*/apps/*",
			"/api/v1/repositories/*/helmcharts",
			"/api/v1/repositories/*/oci-tags",
			"/api/v1/repositories/*/refs",
			"/api/v1/repositories/*/validate",
			"/api/v1/repocreds/*",
			"/settings/clusters/*",
		},
		// grpc-gateway v1 takes a form for a GET whose parameters are in the body, and
		// where a path has no POST, for any method that it has, at random
		// (runtime/mux.go): what runs is not what was decided. argocd-server refuses
		// forms itself, unless --api-content-types says otherwise. Not all of /api/: Dex
		// behind /api/dex has login forms, and its token endpoint takes nothing else.
		refusedForms: []string{"/api/version", "/api/v1/**"},
		// The port is split by the first request of a connection: exactly this type is
		// gRPC (cmux), application/grpc+proto is a connection reset.
		exactGRPCType: true,
		// gRPC and gRPC-web calls run as the user that it names, regardless of Authorization
		// (server/server.go, getToken).
		bearerHeader: "Token",
		// A client's own would be a second, different identity: the terminal, extensions
		// and the logout read nothing else (util/session/sessionmanager.go).
		loginCookies: []string{"argocd.token"},
		tokenCookie:  "argocd.token",
		// Its UI goes there after a 401 (ui/src/app/app.tsx), and from its logout button.
		loginPages: []LoginPage{
			{path: "/auth/login", ReturnParam: "return_url"},
			// Dex behind argocd-server sends people there whom it does not let in
			// (util/dex/dex.go): a login would send them back.
			{path: "/login", ReturnParam: "return_url", FailedParam: "has_sso_error"},
			{path: "/auth/callback"},
			{path: "/auth/logout", Logout: true},
		},
		effects: []effect{
			{path: "/terminal"},                                      // a shell; its server asks for no origin
			{path: "/extensions/**"},                                 // whatever a third server does with a GET
			{path: "/api/v1/applications/**", query: "refresh"},      // writes the application, drops caches
			{path: "/api/v1/repositories/**", query: "forceRefresh"}, // dials the repository with its credentials
			{path: "/api/v1/write-repositories/**", query: "forceRefresh"},
		},
	},

	"argo-workflows": {
		product:        "Argo Workflows",
		streamsByQuery: true,
		// No %2F: argo-server decodes it and splits there, so that
		// /api/v1/workflows/argo%2Fweb gets one workflow where it seems to list many.
		// grpc-gateway v1, as above, and argo-server refuses no forms at all.
		refusedForms: []string{"/api/**"},
		// Its own login (server/auth/sso): behind authgate it runs with
		// --auth-mode=client, and reads Authorization first.
		loginCookies: []string{"authorization"},
		loginPages: []LoginPage{
			{path: "/login", ReturnParam: "redirect"},
			{path: "/oauth2/redirect", ReturnParam: "redirect"},
			{path: "/oauth2/callback"},
		},
		// No effects: its GETs read, those of artifacts and of the archive among them.
	},
}

// EncodedSlashPatterns are the patterns of the paths that may contain %2F at a kind of upstream
// with this path prefix.
func EncodedSlashPatterns(kindName, prefix string) []string {
	return kinds[kindName].under(prefix).encodedSlash
}

// under is the same kind of server below a path prefix: Argo CD with --rootpath, or with
// stripPath.
func (k kind) under(prefix string) kind {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return k
	}
	k.encodedSlash, k.refusedForms = prefixed(prefix, k.encodedSlash), prefixed(prefix, k.refusedForms)
	k.effects = slices.Clone(k.effects)
	for i := range k.effects {
		k.effects[i].path = prefix + k.effects[i].path
	}
	k.loginPages = slices.Clone(k.loginPages)
	for i := range k.loginPages {
		k.loginPages[i].path = prefix + k.loginPages[i].path
	}
	return k
}

func prefixed(prefix string, patterns []string) []string {
	all := make([]string, len(patterns))
	for i, pattern := range patterns {
		all[i] = prefix + pattern
	}
	return all
}
