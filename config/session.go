package config

import (
	"net/netip"
	"strings"
	"time"

	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// Session says how a signed-in principal is remembered.
type Session struct {
	Store        Store    `yaml:"store"`
	Keys         Secret   `yaml:"keys" is:"required"` // one a line: the first seals, all open
	Lifetime     Duration `yaml:"lifetime"`           // from login, whatever happens since
	IdleTimeout  Duration `yaml:"idleTimeout"`        // 0: none
	RefreshEvery Duration `yaml:"refreshEvery"`       // how old groups may become
	RefreshGrace Duration `yaml:"refreshGrace"`       // how much older while the issuer is failing
	Cookie       Cookie   `yaml:"cookie"`
	Redis        Redis    `yaml:"redis"`
}

// Store is where sessions are.
type Store string

// The stores.
const (
	StoreCookie Store = "cookie"
	StoreRedis  Store = "redis"
)

func (Store) values() []string { return []string{string(StoreCookie), string(StoreRedis)} }

// Redis is reached by the forms of URL that its client knows.
type Redis struct {
	URL    Secret `yaml:"url"` // holds a password
	CAFile string `yaml:"caFile" is:"file"`
}

// Cookie is what the browser keeps.
type Cookie struct {
	Name     string   `yaml:"name"`
	Domain   string   `yaml:"domain"` // empty: the host that set it and no other
	SameSite SameSite `yaml:"sameSite"`
}

// SameSite is the cookie's attribute of that name (RFC 6265bis, 4.1.2.7).
type SameSite string

// The values of SameSite.
const (
	SameSiteLax    SameSite = "lax"
	SameSiteStrict SameSite = "strict"
	SameSiteNone   SameSite = "none"
)

func (SameSite) values() []string {
	return []string{string(SameSiteLax), string(SameSiteStrict), string(SameSiteNone)}
}

func (s Session) check(at yamlfile.Node) {
	if s.Keys.IsZero() {
		at.Key("keys").AddFault("is missing", "add {file: PATH} to a file that `authgate keygen` wrote")
	}
	s.Lifetime.checkPositive(at.Key("lifetime"))
	s.checkDurations(at)
	s.Cookie.check(at.Key("cookie"))
	if s.Store == StoreRedis && s.Redis.URL.IsZero() {
		at.Key("redis").Key("url").AddFault("is missing, and session.store is redis",
			"add {file: PATH} or {env: NAME} of an address such as rediss://user:password@redis.example.com:6379/0")
	}
}

const (
	minIdleTimeout = Duration(time.Second) // uses are noted to the second
	// no browser keeps a cookie for longer than 400 days (RFC 6265bis, 5.5)
	maxSessionDuration = Duration(366 * 24 * time.Hour)
)

func (s Session) checkDurations(at yamlfile.Node) {
	idle, every := at.Key("idleTimeout"), at.Key("refreshEvery")
	s.IdleTimeout.checkNotNegative(idle)
	if 0 < s.IdleTimeout && s.IdleTimeout < minIdleTimeout {
		idle.AddFault("is shorter than a second", "write "+minIdleTimeout.String()+" or more, or 0s for none")
	}
	if s.RefreshEvery <= 0 {
		every.AddFault("must be greater than zero",
			"write 10m, or leave the line out; to read groups only at login, leave offline_access out of issuer.scopes")
	}
	s.RefreshGrace.checkNotNegative(at.Key("refreshGrace"))
	for _, limited := range []struct {
		key string
		is  Duration
	}{
		{"lifetime", s.Lifetime},
		{"idleTimeout", s.IdleTimeout},
		{"refreshEvery", s.RefreshEvery},
		{"refreshGrace", s.RefreshGrace},
	} {
		if limited.is > maxSessionDuration {
			at.Key(limited.key).AddFault("is longer than a year", "write "+maxSessionDuration.String()+" or less")
		}
	}
}

func (c Cookie) check(at yamlfile.Node) {
	name := strings.ToUpper(c.Name)
	switch {
	case !isToken(c.Name) || strings.Contains(c.Name, "'"): // which Cookies.Owns takes off, as some servers do
		at.Key("name").AddFault(text.Quote(c.Name)+" cannot name a cookie", "write letters, digits, - and _")
	case strings.HasPrefix(name, "__HOST-"), strings.HasPrefix(name, "__SECURE-"):
		at.Key("name").AddFault("must not begin with "+c.Name[:strings.Index(c.Name, "-")+1],
			"leave the prefix out: authgate puts it in front where the browser would accept it")
	case strings.HasPrefix(name, "AWSALB"), strings.HasPrefix(name, "AWSELB"):
		at.Key("name").AddFault("must not begin with "+c.Name[:len("AWSALB")]+", which AWS load balancers use "+
			"for theirs", "write authgate")
	}
	if c.Domain != "" {
		c.checkDomain(at.Key("domain"))
	}
}

func (c Cookie) checkDomain(at yamlfile.Node) {
	_, notAddress := netip.ParseAddr(c.Domain)
	switch {
	case strings.HasPrefix(c.Domain, "."):
		at.Reject("begins with a dot, which browsers ignore", "write "+text.Quote(strings.TrimLeft(c.Domain, ".")))
	case !validName(c.Domain) || notAddress == nil || c.Domain != strings.ToLower(c.Domain):
		at.Reject(text.Quote(c.Domain)+" is not a domain", "write example.com, for instance, in lower case")
	case !strings.Contains(c.Domain, "."):
		at.Reject("has only one label, and browsers refuse such a cookie",
			"write a domain like example.com, or leave the line out")
	}
}

// checkCoversHosts wants a cookie that is sent to every upstream (RFC 6265, 5.1.3):
// a host outside its domain would ask for a login for ever.
func (c Cookie) checkCoversHosts(upstreams []Upstream, at yamlfile.Node) {
	if c.Domain == "" {
		return
	}
	for _, u := range upstreams {
		for _, host := range u.Hosts {
			if host != c.Domain && !strings.HasSuffix(host, "."+c.Domain) {
				at.AddFault("does not cover the host "+text.Quote(host)+" of upstream "+text.Quote(u.Name),
					"write a domain that all hosts share, or leave the line out: each host then has its own session")
			}
		}
	}
}

// isToken is token of RFC 9110, 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(s[i])) {
			return false
		}
	}
	return s != ""
}
