package proxy

import (
	"crypto/x509"
	"errors"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/redact"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/target"
)

// Route picks the upstream that serves a path on a host: the longest path prefix
// wins. A host that is listed by its name is of those upstreams alone, whatever
// *.example.com others list. It gives -1 for a path that none of them serves, and
// known tells whether the host has any. The host is lower case and has no port.
func Route(upstreams []config.Upstream, host, path string) (index int, known bool) {
	index = -1
	owner := ownerOf(upstreams, host)
	if owner == "" {
		return index, false
	}
	for i := range upstreams {
		u := &upstreams[i]
		if !slices.Contains(u.Hosts, owner) {
			continue
		}
		known = true
		if hasPrefix(path, u.Path) && (index < 0 || len(u.Path) > len(upstreams[index].Path)) {
			index = i
		}
	}
	return index, known
}

// HostQuirks gives what paths on a host may hold, because one of its upstreams needs
// it. Whether that is the one that serves a path is known when it has been routed.
func HostQuirks(upstreams []config.Upstream, host string) (all target.Quirks) {
	owner := ownerOf(upstreams, host)
	if owner == "" {
		return 0
	}
	for i := range upstreams {
		if u := &upstreams[i]; len(u.PathQuirks) > 0 && slices.Contains(u.Hosts, owner) {
			all |= u.Quirks()
		}
	}
	return all
}

// ownerOf gives the one form under which upstreams list a host: its name, which then
// owns all of its paths; or else *.example.com, any one label before a name; or else *.
// It is empty where none has the host.
func ownerOf(upstreams []config.Upstream, host string) string {
	if host == "" {
		return ""
	}
	owner := ""
	label, parent, _ := strings.Cut(host, ".")
	for i := range upstreams {
		for _, listed := range upstreams[i].Hosts {
			switch {
			case listed == host:
				return listed
			case strings.HasPrefix(listed, "*.") && label != "" && listed[len("*."):] == parent, listed == "*" && owner == "":
				owner = listed
			}
		}
	}
	return owner
}

// hasPrefix tests for a prefix on a segment boundary.
func hasPrefix(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/"))
}

// upstream is a dashboard, and how to reach it.
type upstream struct {
	name           string
	config         *config.Upstream
	kind           kind
	url            *url.URL
	path           string // prefix of the paths that are its
	stripPath      bool   // the prefix is authgate's, not the upstream's
	hostHeader     string
	index          int // in Proxy.upstreams
	quirks         target.Quirks
	drops          []string
	teller         *teller
	credential     config.Credential
	accounts       []account
	foreign        []*session.Jar // the cookies of its own login
	allowedOrigins []string       // canonical
	transports     atomic.Pointer[transports]
	connect        func(*x509.CertPool) transports // to it, trusting these CAs
	errorLog       *log.Logger                     // what ReverseProxy has to say
}

func newUpstream(c *config.Upstream, timeouts config.Timeouts, handshakes trust, accounts Accounts, logger *slog.Logger) *upstream {
	k := kindOf(c.Kind).under(c.Path)
	u := &upstream{
		name: c.Name, config: c, kind: k, url: c.URL, path: c.Path, stripPath: c.StripPath, hostHeader: c.HostHeader, credential: c.Identity.Credential,
		drops: dropped(c), teller: newTeller(c), quirks: c.Quirks(),
		connect: func(cas *x509.CertPool) transports {
			return newTransports(c, k, timeouts, trust{cas, handshakes.shown})
		},
		errorLog: log.New(said{logger.With("upstream", c.Name)}, "", 0),
	}
	u.trust(handshakes.cas)
	for _, a := range c.Identity.ServiceAccounts {
		u.accounts = append(u.accounts, account{a.Role, accounts[a]})
	}
	for _, name := range k.cookies {
		u.foreign = append(u.foreign, session.NewJar(name, "", http.SameSiteLaxMode))
	}
	for _, origin := range c.AllowedOrigins {
		u.allowedOrigins = append(u.allowedOrigins, canonicalOrigin(origin))
	}
	return u
}

// said takes what ReverseProxy reports, in fixed words: it may repeat what an
// upstream sent.
type said struct{ *slog.Logger }

func (s said) Write(line []byte) (int, error) {
	s.Warn(redact.Said(string(line)))
	return len(line), nil
}

// findHost is the first half of step 2: a host that no upstream has is refused.
func (p *Proxy) findHost(x *exchange) bool {
	index, known := Route(p.config.Upstreams, x.client.name, x.path.String())
	if !known {
		return x.refuse(http.StatusMisdirectedRequest, "unknown_host",
			"No dashboard is served under this host name.", errors.New("no upstream has this host; add it to upstreams[].hosts"))
	}
	if index >= 0 && !p.isOwn(x.path) {
		x.route = p.upstreams[index]
	}
	return x.isPlainEnough()
}

// isPlainEnough refuses what only another upstream of this host may be sent.
func (x *exchange) isPlainEnough() bool {
	lacking := x.path.Quirks()
	if x.route != nil {
		lacking &^= x.route.quirks
	}
	return lacking == 0 || x.refuseTarget(lacking.Refusal())
}

// findUpstream is the second half, for what is not authgate's own.
func (p *Proxy) findUpstream(x *exchange) bool {
	if x.route == nil {
		return x.refuse(http.StatusNotFound, "no_upstream", "No dashboard is served under this path.", nil)
	}
	if x.path.HasCodedSlash() && !TakesCodedSlash(x.route.config, x.path) {
		return x.refuse(http.StatusBadRequest, "coded_slash",
			"The request was refused: the path holds an encoded slash, which "+x.route.name+" does not take.", nil)
	}
	return x.takesForm()
}
