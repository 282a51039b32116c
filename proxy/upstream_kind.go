package proxy

import (
	"strings"

	"github.com/example-org/authgate/config"
)

// upstreamKind is what the servers of one dashboard do that a proxy has to know of.
// Patterns are those of the policy.
type upstreamKind struct {
	encodedSlash   []string // paths that may hold %2F where the pattern has a star
	refusedForms   []string // paths where a POST of an HTML form (application/x-www-form-urlencoded) is 415
	streamsByQuery bool     // follow=true and watch=true ask for a stream
	exactGRPCType  bool     // gRPC is told by a Content-Type of exactly application/grpc
	effects        []effect // GETs that change something, and so need the same origin as writes do

	// How the server itself knows people. Behind authgate it is told who comes, so
	// that none of its own ways to log in may stand beside.
	bearerHeader string   // canonical name of a header that it takes for a credential, as it does Authorization; never passed on
	loginCookies []string // in which it keeps its own login; with a hyphen behind, too.
	tokenCookie  string   // the cookie in which it wants the credential, beside Authorization; empty: none
	loginPages   []loginPage
}

// matchLoginPage is a page of the server's own login or logout, which authgate's takes
// the place of.
type loginPage struct {
	path        string // pattern
	returnParam string // the query parameter that says where a person was; empty: the start page
	failedParam string // the one that says that the issuer let nobody in
	logout      bool   // it logs out
}

// effect is a GET that changes something.
type effect struct {
	path  string // pattern
	query string // the parameter that makes it so; empty: it always does
}

// upstreamKinds is never written to.
var upstreamKinds = map[config.Kind]upstreamKind{
	config.KindGeneric: {},

	config.KindArgoCD: {
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
		// (runtime/mux.go): what runs is not what was judged. argocd-server refuses
		// forms itself, unless --api-content-types says otherwise. Not all of /api/: Dex
		// behind /api/dex has login forms, and its token endpoint takes nothing else.
		refusedForms: []string{"/api/version", "/api/v1/**"},
		// The port is split by the first request of a connection: exactly this type is
		// gRPC (cmux), application/grpc+proto is a connection reset.
		exactGRPCType: true,
		// gRPC and gRPC-web calls run as whoever it names, whatever Authorization says
		// (server/server.go, getToken).
		bearerHeader: "Token",
		// A client's own would be a second, different identity: the terminal, extensions
		// and the logout read nothing else (util/session/sessionmanager.go).
		loginCookies: []string{"argocd.token"},
		tokenCookie:  "argocd.token",
		// Its UI goes there after a 401 (ui/src/app/app.tsx), and from its logout button.
		loginPages: []loginPage{
			{path: "/auth/login", returnParam: "return_url"},
			// Dex behind argocd-server sends people there whom it does not let in
			// (util/dex/dex.go): a login would send them back.
			{path: "/login", returnParam: "return_url", failedParam: "has_sso_error"},
			{path: "/auth/callback"},
			{path: "/auth/logout", logout: true},
		},
		effects: []effect{
			{path: "/terminal"},                                      // a shell; its server asks for no origin
			{path: "/extensions/**"},                                 // whatever a third server does with a GET
			{path: "/api/v1/applications/**", query: "refresh"},      // writes the application, drops caches
			{path: "/api/v1/repositories/**", query: "forceRefresh"}, // dials the repository with its credentials
			{path: "/api/v1/write-repositories/**", query: "forceRefresh"},
		},
	},

	config.KindArgoWorkflows: {
		streamsByQuery: true,
		// No %2F: argo-server decodes it and splits there, so that
		// /api/v1/workflows/argo%2Fweb gets one workflow where it seems to list many.
		// grpc-gateway v1, as above, and argo-server refuses no forms at all.
		refusedForms: []string{"/api/**"},
		// Its own login (server/auth/sso): behind authgate it runs with
		// --auth-mode=client, and reads Authorization first.
		loginCookies: []string{"authorization"},
		loginPages: []loginPage{
			{path: "/login", returnParam: "redirect"},
			{path: "/oauth2/redirect", returnParam: "redirect"},
			{path: "/oauth2/callback"},
		},
		// No effects: its GETs read, those of artifacts and of the archive among them.
	},
}

// upstreamKindOf gives what is known of a kind; patterns are as the server sees paths
// when it is served at the root.
func upstreamKindOf(k config.Kind) upstreamKind { return upstreamKinds[k] }

// under gives the same for a server below a path prefix: Argo CD with --rootpath,
// or with stripPath.
func (k upstreamKind) under(prefix string) upstreamKind {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return k
	}
	k.encodedSlash, k.refusedForms = prefixed(prefix, k.encodedSlash), prefixed(prefix, k.refusedForms)
	effects := make([]effect, len(k.effects))
	for i, e := range k.effects {
		effects[i] = effect{prefix + e.path, e.query}
	}
	k.effects = effects
	pages := make([]loginPage, len(k.loginPages))
	for i, page := range k.loginPages {
		page.path = prefix + page.path
		pages[i] = page
	}
	k.loginPages = pages
	return k
}

func prefixed(prefix string, patterns []string) []string {
	all := make([]string, len(patterns))
	for i, pattern := range patterns {
		all[i] = prefix + pattern
	}
	return all
}
