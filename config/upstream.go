package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// Upstream is a server that authgate protects, and the requests that it gets.
type Upstream struct {
	Name           string   `yaml:"name" is:"required"`
	Hosts          []string `yaml:"hosts" is:"required"` // lower case, no port; IPv6 without brackets
	Path           string   `yaml:"path"`                // canonical, no slash at its end unless it is "/"
	URL            *url.URL `yaml:"url" is:"required"`   // a scheme of those below with a host, or unix with a path
	CAFile         string   `yaml:"caFile" is:"file"`
	StripPath      bool     `yaml:"stripPath"`      // Path is not sent
	AllowedOrigins []string `yaml:"allowedOrigins"` // as browsers write them
	HostHeader     string   `yaml:"hostHeader"`     // empty: the client's
	Kind           Kind     `yaml:"kind"`
	EncodedSlash   []string `yaml:"encodedSlash"` // patterns of paths that may hold %2F, in addition to those of Kind
	PathQuirks     []Quirk  `yaml:"pathQuirks"`   // what its paths may hold although servers disagree about it
	KeepFragment   bool     `yaml:"keepFragment"` // a login brings the # of an address back
	Identity       Identity `yaml:"identity"`

	// of requests, in addition to those that are always dropped
	StripHeaders      []string                  `yaml:"stripHeaders"`
	SetHeaders        map[string]HeaderTemplate `yaml:"setHeaders"`
	PassAuthorization bool                      `yaml:"passAuthorization"` // the client's own, in addition to a session

	// on authgate's own pages, above all the portal
	Title       string           `yaml:"title"` // empty: Name
	Description string           `yaml:"description"`
	Icon        yamlfile.FileRef `yaml:"icon"`        // SVG or PNG
	Home        string           `yaml:"home"`        // canonical; "/" is the start of Path
	Maintenance string           `yaml:"maintenance"` // why every request gets 503; empty: it is served

	Transport UpstreamTransport `yaml:"transport"`

	Timeouts UpstreamTimeouts `yaml:"timeouts"`
	TLS      UpstreamTLS      `yaml:"tls"`
}

// The schemes of Upstream.URL.
const (
	SchemeHTTP  = "http"
	SchemeHTTPS = "https"
	SchemeH2C   = "h2c"  // HTTP/2 without TLS, by prior knowledge (RFC 9113, 3.3)
	SchemeUnix  = "unix" // the Unix socket at URL.Path, without TLS
)

// Kind names a dashboard whose ways are known.
type Kind string

// The kinds.
const (
	KindGeneric       Kind = "generic"
	KindArgoCD        Kind = "argo-cd"
	KindArgoWorkflows Kind = "argo-workflows"
)

func (Kind) values() []string {
	return []string{string(KindGeneric), string(KindArgoCD), string(KindArgoWorkflows)}
}

// Identity is what the upstream learns about the principal.
type Identity struct {
	Headers         IdentityHeaders  `yaml:"headers"`
	Groups          IdentityGroups   `yaml:"groups"`
	Credential      Credential       `yaml:"credential"`
	ServiceAccounts []ServiceAccount `yaml:"serviceAccounts"` // the first role that the user has wins
}

// Credential is what the upstream is shown in Authorization.
type Credential string

// The credentials.
const (
	CredentialNone           Credential = "none"
	CredentialIDToken        Credential = "idToken"
	CredentialAccessToken    Credential = "accessToken"
	CredentialServiceAccount Credential = "serviceAccount"
)

func (Credential) values() []string {
	return []string{
		string(CredentialNone), string(CredentialIDToken),
		string(CredentialAccessToken), string(CredentialServiceAccount),
	}
}

// ServiceAccount is the Kubernetes account that a role stands for.
type ServiceAccount struct {
	Role      string `yaml:"role"`
	Namespace string `yaml:"namespace"`
	Name      string `yaml:"name"`
	TokenFile string `yaml:"tokenFile" is:"file"`
}

// check refuses what would leave a user without a credential for a reason that
// can be seen here.
func (i Identity) check(at yamlfile.Node) {
	accounts := at.Key("serviceAccounts")
	switch {
	case i.Credential == CredentialServiceAccount && len(i.ServiceAccounts) == 0:
		accounts.AddFault("is missing, and credential is serviceAccount",
			"add a list of {role: \"role:NAME\", namespace: NS, name: ACCOUNT}; the first role that a user holds wins")
	case i.Credential != CredentialServiceAccount && len(i.ServiceAccounts) > 0:
		accounts.AddFault("is for credential: serviceAccount, and credential is "+string(i.Credential),
			"write credential: serviceAccount, or take the list out")
	}
	for n, a := range i.ServiceAccounts {
		a.check(accounts.Item(n))
		if slices.ContainsFunc(i.ServiceAccounts[:n], func(b ServiceAccount) bool { return b.Role == a.Role }) {
			accounts.Item(n).Key("role").AddFault("duplicates an earlier entry, which takes precedence",
				"take one of the two out")
		}
	}
}

func (a ServiceAccount) check(at yamlfile.Node) {
	if name, isRole := strings.CutPrefix(a.Role, "role:"); !isRole || name == "" {
		at.Key("role").AddFault(text.Quote(a.Role)+" is no role of the policy",
			"write role:NAME, as in the policy's rows")
	}
	named := a.Namespace != "" || a.Name != ""
	switch {
	case a.TokenFile == "" && !named:
		at.AddFault("says nowhere whose token to show", "add namespace and name of a ServiceAccount, or tokenFile")
	case a.TokenFile != "" && named:
		at.Key("tokenFile").AddFault("cannot be combined with a ServiceAccount name",
			"keep one of them: a file with a token, or an account that authgate asks Kubernetes for")
	case a.TokenFile == "":
		for _, key := range []struct{ name, value string }{{"namespace", a.Namespace}, {"name", a.Name}} {
			if !isKubernetesName(key.value) {
				at.Key(key.name).AddFault(text.Quote(key.value)+" is not a Kubernetes name",
					"write a-z, 0-9, hyphens and dots, beginning and ending with a letter or digit")
			}
		}
	}
}

// isKubernetesName knows DNS subdomains (RFC 1123, as Kubernetes has it): what goes
// into the path of a request to its API.
func isKubernetesName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
			label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

func checkUpstreams(upstreams []Upstream, pathPrefix string, at yamlfile.Node) {
	if len(upstreams) == 0 {
		at.AddFault("there is none", "add at least one, with name, hosts and url")
	}
	names := make(map[string]bool)
	routes := make(map[[2]string]string) // host and path → upstream
	for i, u := range upstreams {
		here := at.Item(i)
		u.check(pathPrefix, here)
		u.checkHomeIsServed(upstreams, here.Key("home"))
		if u.Name != "" && names[u.Name] {
			here.Key("name").AddFault("duplicate upstream name "+text.Quote(u.Name),
				"give each a name of its own: policies tell them apart by it")
		}
		names[u.Name] = true
		for n, host := range u.Hosts {
			at := here.Key("hosts").Item(n)
			route := [2]string{host, u.Path}
			if other, exists := routes[route]; exists {
				at.AddFault(text.Quote(host)+" with path "+text.Quote(u.Path)+" leads to upstream "+text.Quote(other)+" already",
					"change the host or the path of one")
			}
			routes[route] = u.Name
			if host == "*" && len(upstreams) > 1 {
				at.AddFault(`"*" is for a file with one upstream only`, "name the hosts")
			}
		}
	}
}

func (u Upstream) check(pathPrefix string, at yamlfile.Node) {
	if u.Name == "" {
		at.Key("name").AddFault("is missing", "add the name that policies call it by")
	} else {
		checkUpstreamName(u.Name).addTo(at.Key("name"))
	}
	if len(u.Hosts) == 0 {
		at.Key("hosts").AddFault("is missing",
			`add the names by which browsers reach it, or "*" where there is only one upstream`)
	}
	for i, host := range u.Hosts {
		checkHost(host).addTo(at.Key("hosts").Item(i))
	}
	if c := checkCanonicalPath(u.Path); c.message != "" {
		c.addTo(at.Key("path"))
	} else if pathPrefix != "/" && u.Path == pathPrefix || strings.HasPrefix(u.Path, pathPrefix+"/") {
		at.Key("path").AddFault("lies under pathPrefix, where authgate itself answers", "change one of the two")
	}
	if u.URL == nil {
		at.Key("url").AddFault("is missing", "add where it is reached, such as http://argocd-server.argocd.svc:80")
	}
	if u.CAFile != "" && u.URL != nil && u.URL.Scheme != SchemeHTTPS {
		at.Key("caFile").AddFault("is for https, and url begins with "+u.URL.Scheme+":",
			"write https in url, or leave caFile out")
	}
	if u.StripPath && u.Path == "/" {
		at.Key("stripPath").AddFault("has nothing to take off: path is \"/\"",
			"leave it out, or write the prefix in path")
	}
	for i, origin := range u.AllowedOrigins {
		checkOrigin(origin).addTo(at.Key("allowedOrigins").Item(i))
	}
	for i, pattern := range u.EncodedSlash {
		message, hint := target.CheckPatternWith(pattern, u.Quirks())
		problem{message, hint}.addTo(at.Key("encodedSlash").Item(i))
	}
	u.Identity.check(at.Key("identity"))
	u.checkHeaders(at)
	u.checkQuirks(at)
	if u.PassAuthorization && u.Identity.Credential != CredentialNone {
		at.Key("passAuthorization").AddFault("cannot be had with identity.credential: "+string(u.Identity.Credential)+", "+
			"which is sent in the same header",
			"take one of the two out")
	}
	u.Timeouts.check(at.Key("timeouts"))
	u.TLS.check(u.scheme(), at.Key("tls"))
	u.checkPresentation(pathPrefix, at)
	if u.HostHeader != "" {
		checkAuthority(u.HostHeader).addTo(at.Key("hostHeader"))
	}
}

// scheme is that of URL; empty where there is none.
func (u Upstream) scheme() string {
	if u.URL == nil {
		return ""
	}
	return u.URL.Scheme
}

// checkUpstreamName is for names that policies use.
func checkUpstreamName(name string) problem {
	switch {
	case name == "":
		return problem{"is empty", "write a short name such as argocd"}
	case strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
		return problem{text.Quote(name) + " holds more than a-z, 0-9 and -_.", "write a short name such as argocd"}
	}
	return problem{}
}

// parseUpstreamURL reads where an upstream is. Its path is the client's, so there
// is none here; what follows unix: is the path of a file.
func parseUpstreamURL(raw string) (*url.URL, problem) {
	const example = "http://argocd-server.argocd.svc:80"
	if file, isSocket := socketPath(raw); isSocket {
		return &url.URL{Scheme: SchemeUnix, Path: file}, checkSocket(file)
	}
	rest, isH2C := strings.CutPrefix(raw, SchemeH2C+"://")
	if isH2C {
		raw = "http://" + rest // the same in everything but the protocol spoken there
	}
	u, c := parseHTTPURL(raw, example)
	if c.message != "" {
		c.message = strings.Replace(c.message, "http or https", "http, https, h2c or unix", 1)
		return nil, c
	}
	if isH2C {
		u.Scheme = SchemeH2C
	}
	if u.Path != "" && u.Path != "/" {
		return nil, problem{
			"must not have a path: the request's own is sent",
			"write " + text.Quote(u.Scheme+"://"+u.Host),
		}
	}
	u.Path = ""
	return u, problem{}
}

// UpstreamTokens reports whether any upstream gets the user's ID token or access token.
func (c *Config) UpstreamTokens() (id, access bool) {
	for i := range c.Upstreams {
		credential := c.Upstreams[i].Identity.Credential
		id = id || credential == CredentialIDToken
		access = access || credential == CredentialAccessToken
	}
	return id, access
}
