package proxy

import (
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/upstream"
	"github.com/example-org/authgate/proxy/upstream/transport"
	"github.com/example-org/authgate/target"
)

// Route picks the upstream that serves a path on a host: the longest path prefix
// wins. A host that is listed by its name is of those upstreams alone, whatever
// *.example.com others list. It gives -1 for a path that none of them serves, and
// known tells whether the host has any. The host is lower case and has no port.
func Route(upstreams []config.Upstream, host, path string) (index int, known bool) {
	index = -1
	pattern := matchHost(upstreams, host)
	if pattern == "" {
		return index, false
	}
	for i := range upstreams {
		u := &upstreams[i]
		if !slices.Contains(u.Hosts, pattern) {
			continue
		}
		known = true
		if hasPathPrefix(path, u.Path) && (index < 0 || len(u.Path) > len(upstreams[index].Path)) {
			index = i
		}
	}
	return index, known
}

// HostQuirks gives what paths on a host may hold, because one of its upstreams needs
// it. Whether that is the one that serves a path is known when it has been routed.
func HostQuirks(upstreams []config.Upstream, host string) (all target.Quirks) {
	pattern := matchHost(upstreams, host)
	if pattern == "" {
		return 0
	}
	for i := range upstreams {
		if u := &upstreams[i]; len(u.PathQuirks) > 0 && slices.Contains(u.Hosts, pattern) {
			all |= u.Quirks()
		}
	}
	return all
}

// matchHost gives the one form under which upstreams list a host: its name, which then
// owns all of its paths; or else *.example.com, any one label before a name; or else *.
// It is empty where none has the host.
func matchHost(upstreams []config.Upstream, host string) string {
	if host == "" {
		return ""
	}
	pattern := ""
	label, parent, _ := strings.Cut(host, ".")
	for i := range upstreams {
		for _, listed := range upstreams[i].Hosts {
			switch {
			case listed == host:
				return listed
			case strings.HasPrefix(listed, "*.") && label != "" && listed[len("*."):] == parent, listed == "*" && pattern == "":
				pattern = listed
			}
		}
	}
	return pattern
}

// hasPathPrefix tests for a prefix on a segment boundary.
func hasPathPrefix(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/"))
}

// dashboard is an upstream, and what the steps before forwarding read of it.
type dashboard struct {
	*upstream.Upstream
	config          *config.Upstream
	serviceAccounts []serviceAccount
}

// newDashboard makes the upstream at this index of the configuration.
func newDashboard(o *Options, index int) *dashboard {
	c := &o.Config.Upstreams[index]
	u := &dashboard{config: c}
	for _, a := range c.Identity.ServiceAccounts {
		u.serviceAccounts = append(u.serviceAccounts, serviceAccount{a.Role, o.ServiceAccounts[a]})
	}
	to := upstream.Options{
		Name: c.Name, Kind: string(c.Kind), Scheme: c.URL.Scheme, Host: c.URL.Host, HostHeader: c.HostHeader,
		Path: c.Path, StripPath: c.StripPath, Quirks: c.Quirks(), EncodedSlash: c.EncodedSlash,
		AllowedOrigins: c.AllowedOrigins,
		StripHeaders:   c.StripHeaders, SetHeaders: make(map[string]upstream.Template),
		IdentityHeaders: c.Identity.Headers.Families(), PolicyGroupsOnly: c.Identity.Groups == config.GroupsPolicy,
		Log: o.Log,
		Transport: transport.Options{
			DialTimeout: c.Timeouts.Dial(o.Config.Timeouts), HeaderTimeout: c.Timeouts.Header(o.Config.Timeouts),
			IdleTimeout: time.Duration(c.Timeouts.Idle), Standard: c.Transport == config.TransportStandard,
			ServerName: c.TLS.ServerName, CAs: o.UpstreamCAs[c.Name], ClientCertificate: o.UpstreamCertificates[c.Name],
		},
	}
	for name, value := range c.SetHeaders {
		to.SetHeaders[name] = value
	}
	switch c.URL.Scheme {
	case config.SchemeH2C:
		to.Scheme, to.Transport.H2C = "http", true
	case config.SchemeUnix:
		to.Scheme, to.Host, to.Transport.Socket = "http", "unix", c.URL.Path
	}
	if c.Identity.Credential == config.CredentialServiceAccount {
		to.TokenRejected = u.tokenRejected
	}
	u.Upstream = upstream.New(to, index)
	return u
}

// AllowsEncodedSlash reports whether an upstream may be sent a path that contains %2F.
func AllowsEncodedSlash(u *config.Upstream, path target.Path) bool {
	return slices.ContainsFunc(EncodedSlashPatterns(u),
		func(pattern string) bool { return target.MatchPattern(path.String(), pattern) })
}

// EncodedSlashPatterns gives the patterns of the paths that may contain %2F.
func EncodedSlashPatterns(u *config.Upstream) []string {
	return slices.Concat(upstream.EncodedSlashPatterns(string(u.Kind), u.Path), u.EncodedSlash)
}

// SetUpstreamCAs makes new connections to an upstream trust these CAs; nil: those of the
// system. Requests in progress continue.
func (p *Proxy) SetUpstreamCAs(name string, cas *x509.CertPool) {
	for _, u := range p.upstreams {
		if u.Name == name {
			u.SetCAs(cas)
		}
	}
}

// maintenanceRetryAfter is when a client may ask again for an upstream that is under maintenance.
const maintenanceRetryAfter = 60 // seconds

// findHost is the first half of step 2: it refuses a host that no upstream has.
func (p *Proxy) findHost(x *targeted) (*routed, *Refusal) {
	to := &x.all.routed
	*to = routed{targeted: x}
	index, known := Route(p.config.Upstreams, x.client.Hostname, x.path.String())
	if !known {
		return nil, refuse(http.StatusMisdirectedRequest, "unknown_host",
			"No dashboard is served under this host name.", errors.New("no upstream has this host; add it to upstreams[].hosts"))
	}
	if index >= 0 && !p.endpoints.Has(x.path) {
		to.route = p.upstreams[index]
	}
	unsupported := x.path.Quirks() // what only another upstream of this host accepts
	if to.route != nil {
		unsupported &^= to.route.Quirks
	}
	if unsupported != 0 {
		return nil, refuseTarget(unsupported.Refusal())
	}
	return to, nil
}

// findUpstream is the second half, for requests that are not for authgate's own endpoints.
func (p *Proxy) findUpstream(to *routed) *Refusal {
	if to.route == nil {
		return refuse(http.StatusNotFound, "no_upstream", "No dashboard is served under this path.", nil)
	}
	if text := to.route.config.Maintenance; text != "" { // also for clients that would have to sign in first
		f := refuse(http.StatusServiceUnavailable, "maintenance", strings.Join(strings.Fields(text), " "), nil)
		f.RetryAfter = maintenanceRetryAfter
		return f
	}
	if to.path.HasEncodedSlash() && !to.route.AllowsEncodedSlash(to.path) {
		return refuse(http.StatusBadRequest, "encoded_slash",
			"The request was refused: the path contains an encoded slash, which "+to.route.Name+" does not accept.", nil)
	}
	return to.checkForm()
}

// checkForm refuses HTML forms where a server treats one as another request than the one that
// is decided. It is the last part of step 2.
func (x *routed) checkForm() *Refusal {
	if x.r.Method != http.MethodPost || !isForm(x.r.Header) || !x.route.RefusesForm(x.path) {
		return nil
	}
	return refuse(http.StatusUnsupportedMediaType, "form_not_allowed",
		"The request was refused: "+x.route.Name+" does not accept HTML forms here. Send JSON.", nil)
}

// isForm compares as loosely as any server might.
func isForm(h http.Header) bool {
	for _, value := range h["Content-Type"] {
		for element := range strings.SplitSeq(value, ",") {
			media, _, _ := strings.Cut(element, ";")
			if strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") {
				return true
			}
		}
	}
	return false
}

// IsEndpoint reports whether a path is one of authgate's own endpoints, which have no
// upstream and no policy.
func IsEndpoint(pathPrefix string, path target.Path) bool {
	return respond.Endpoints{Prefix: pathPrefix}.Has(path)
}
