// Package config is authgate.yaml: one tree of plain structs, its defaults, and
// the checks that a file has to pass before anything is built from it.
//
// [Load] opens the file it is given and no other: secrets, certificates and
// policies are only named here, and reading them is left to the packages that need them
// ([Secret.Reveal]). The package dials nothing, sets no global and knows nothing
// of policy rows or of requests. All faults of a file are reported at once.
//
// A Config does not change after Load has returned it; from then on it is safe
// for any number of goroutines.
package config

import (
	"net/netip"
	"time"

	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/yamlfile"
)

// Config is authgate.yaml, whole.
type Config struct {
	Listen      string `yaml:"listen"`
	AdminListen string `yaml:"adminListen"`
	AdminToken  Secret `yaml:"adminToken"`
	// AdminProfile serves profiles of the Go runtime on AdminListen, to holders of AdminToken.
	AdminProfile bool `yaml:"adminProfile"`
	TLS          TLS  `yaml:"tls"`
	// masked; a bare address is a prefix of full length, unix is UnixPeers
	TrustedProxies []netip.Prefix `yaml:"trustedProxies"`
	PathPrefix     string         `yaml:"pathPrefix"` // canonical, no slash at its end
	Issuer         Issuer         `yaml:"issuer" is:"required"`
	Bearer         []Bearer       `yaml:"bearer"`
	Session        Session        `yaml:"session" is:"required"`
	Policy         Policy         `yaml:"policy"`
	Audit          Audit          `yaml:"audit"`
	Timeouts       Timeouts       `yaml:"timeouts"`
	Limits         Limits         `yaml:"limits"`
	Pages          Pages          `yaml:"pages"`
	Upstreams      []Upstream     `yaml:"upstreams" is:"required"`
}

// Default is a file in which nothing is written. It has all defaults, together with the
// two methods below for elements of lists. Keys without a default (the issuer, its
// secrets, the upstreams) are empty in it.
func Default() Config {
	return Config{
		Listen:      ":8080",
		AdminListen: "127.0.0.1:9090",
		PathPrefix:  "/oauth2",
		Issuer: Issuer{
			Scopes:      []string{"openid", "profile", "email", "groups", "offline_access"},
			GroupsClaim: "groups",
			ClockSkew:   Duration(30 * time.Second),
			AuthParams:  map[string]string{},

			AutoRedirect: true,
		},
		Session: Session{
			Store:        StoreCookie,
			Lifetime:     Duration(12 * time.Hour),
			RefreshEvery: Duration(10 * time.Minute),
			RefreshGrace: Duration(15 * time.Minute),
			Cookie:       Cookie{Name: "authgate", SameSite: SameSiteLax},
		},
		Policy: Policy{Files: []string{"/etc/authgate/policy.csv"}},
		Audit:  Audit{Output: AuditStdout, OnFull: OnFullDrop},
		Timeouts: Timeouts{
			ReadHeader:     Duration(10 * time.Second),
			Idle:           Duration(75 * time.Second),
			UpstreamDial:   Duration(5 * time.Second),
			UpstreamHeader: Duration(50 * time.Second),
			Body:           Duration(60 * time.Second),
			ShutdownDelay:  Duration(15 * time.Second),
			Shutdown:       Duration(30 * time.Second),
		},
		Limits: Limits{HeaderBytes: 65536, StreamsPerPrincipal: 100},
		Pages:  Pages{Name: "authgate", ShowGroups: true},
	}
}

// SetDefaults makes u an upstream of which nothing is written.
func (u *Upstream) SetDefaults() {
	*u = Upstream{
		Path:      "/",
		Kind:      KindGeneric,
		Home:      "/",
		Transport: TransportAuto,
		Identity:  Identity{Headers: HeadersBoth, Groups: GroupsAll, Credential: CredentialNone},
		Timeouts: UpstreamTimeouts{
			UpstreamDial: inheritTimeout, UpstreamHeader: inheritTimeout,
			Idle: defaultUpstreamIdle,
		},
	}
}

const defaultSubjectClaim = "sub"

// SetDefaults makes b an issuer of bearer tokens of which nothing is written.
func (b *Bearer) SetDefaults() { *b = Bearer{SubjectClaim: defaultSubjectClaim} }

// UpstreamNames lists the names that a policy may use: the upstreams in the order of
// the file, then those that another authgate serves.
func (c *Config) UpstreamNames() []string {
	names := make([]string, 0, len(c.Upstreams)+len(c.Policy.OtherUpstreams))
	for _, u := range c.Upstreams {
		names = append(names, u.Name)
	}
	return append(names, c.Policy.OtherUpstreams...)
}

// Quirks gives what the paths of an upstream may hold, by the names in UpstreamNames. Of
// those that another authgate serves, its own configuration says so.
func (c *Config) Quirks() map[string]target.Quirks {
	all := make(map[string]target.Quirks)
	for _, u := range c.Upstreams {
		all[u.Name] = u.Quirks()
	}
	for _, name := range c.Policy.OtherUpstreams {
		all[name] = target.AllQuirks
	}
	return all
}

// check asks each section about itself, and then what only the whole can know.
func (c *Config) check(at yamlfile.Node) {
	checkListen(c.Listen, at.Key("listen"))
	checkListen(c.AdminListen, at.Key("adminListen"))
	if c.Listen == c.AdminListen && !isEphemeralPort(c.Listen) {
		at.Key("adminListen").AddFault("is the same address as listen", `write another port, such as "127.0.0.1:9090"`)
	}
	if c.AdminProfile && c.AdminToken.IsZero() {
		at.Key("adminProfile").AddFault("needs adminToken: profiles are for its holders only",
			"set adminToken, or remove adminProfile")
	}
	c.TLS.check(at.Key("tls"))
	checkPathPrefix(c.PathPrefix, at.Key("pathPrefix"))
	c.Issuer.check(at.Key("issuer"))
	checkBearers(c.Bearer, c.Issuer.URL, at.Key("bearer"))
	c.Session.check(at.Key("session"))
	c.Policy.check(c.Upstreams, at.Key("policy"))
	c.Audit.check(c.Upstreams, at.Key("audit"))
	c.Timeouts.check(at.Key("timeouts"))
	c.Limits.check(at.Key("limits"))
	c.Pages.check(at.Key("pages"))
	checkUpstreams(c.Upstreams, c.PathPrefix, at.Key("upstreams"))
	c.checkListenLoops(at.Key("upstreams"))
	c.Session.Cookie.checkCoversHosts(c.Upstreams, at.Key("session").Key("cookie").Key("domain"))
}

// checkListenLoops refuses an upstream that is authgate's own socket: each request
// would come back until nothing is left to open. An address does not tell
// from here whose it is.
func (c *Config) checkListenLoops(at yamlfile.Node) {
	for i, u := range c.Upstreams {
		if u.URL == nil || u.URL.Scheme != SchemeUnix {
			continue
		}
		for _, address := range []string{c.Listen, c.AdminListen} {
			if file, isSocket := socketPath(address); isSocket && file == u.URL.Path {
				at.Item(i).Key("url").AddFault("is the socket that authgate itself listens on",
					"name the socket of the dashboard")
			}
		}
	}
}
