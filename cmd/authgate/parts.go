package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session"
)

// parts are what a configuration names, read and checked.
type parts struct {
	config    *config.Config
	issuer    identity.Config
	keys      session.Keys
	keysText  string               // that they were made of
	redis     session.RedisOptions // where it is, if sessions are kept there
	policy    *policy.Snapshot
	bearers   map[string]*x509.CertPool // further issuer → CAs to trust, where its items name some
	upstreams map[string]*x509.CertPool // upstream → CAs to believe, where it names some
	shown     map[string]*certificate   // upstream → what authgate shows it
	tls       *certificate              // nil: the port speaks without TLS
	pems      map[string][]byte         // key → contents of the file of CAs that it names

	adminToken string // empty: the admin port lists no sessions

	shadow *policy.Snapshot // nil: no candidate

	sources, shadowSources []policy.Source // that they were made of
}

// absent judges that a file or a variable is not there: an error ends the load,
// nil goes on without.
type absent func(error) error

// needed is for `serve`, which goes on without nothing.
func needed(err error) error { return err }

// or hands over what is not there, and leaves every other error as it is.
func (a absent) or(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return a(err)
	}
	return err
}

// loadParts reads a configuration and every file and variable that it names, all
// of them before it fails. It dials nothing.
func loadParts(file string, absent absent) (*parts, error) {
	c, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	p := &parts{config: c, upstreams: make(map[string]*x509.CertPool)}
	if err := errors.Join(
		p.readIssuer(absent), p.readBearers(absent), p.readKeys(absent), p.readRedis(absent), p.readAdminToken(absent),
		p.readUpstreams(absent), p.readTLS(absent), p.readShown(absent), p.readPolicy(absent), p.readShadow(absent),
	); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *parts) readIssuer(absent absent) error {
	c := p.config.Issuer
	id, noID := c.ClientID.Reveal()
	secret, noSecret := c.ClientSecret.Reveal()
	pool, noPool := p.readCAs("issuer.caFile", c.CAFile)
	p.issuer = identity.Config{
		URL: c.URL, BackchannelURL: c.BackchannelURL, ClientID: id, ClientSecret: secret, RootCAs: pool,
		Scopes: scopesOf(c), AuthParams: c.AuthParams, GroupsClaim: c.GroupsClaim, ClockSkew: time.Duration(c.ClockSkew),
		AccessAudiences: accessAudiences(p.config),
	}
	return errors.Join(absent.or(noID), absent.or(noSecret), absent.or(noPool))
}

// accessAudiences are those that bearer names of the issuer at which people log in.
func accessAudiences(c *config.Config) []string {
	var all []string
	for _, b := range c.Bearer {
		if b.Issuer == c.Issuer.URL {
			all = append(all, b.Audience)
		}
	}
	return all
}

// scopesOf adds those by which Dex makes an ID token good for further clients
// (cross-client trust: the client that is named lists ours in trustedPeers).
func scopesOf(c config.Issuer) []string {
	scopes := slices.Clone(c.Scopes)
	for _, audience := range c.Audiences {
		scopes = append(scopes, "audience:server:client_id:"+audience)
	}
	return scopes
}

func (p *parts) readKeys(absent absent) error {
	secret := p.config.Session.Keys
	lines, err := secret.Reveal()
	if err != nil {
		return absent.or(err)
	}
	if p.keys, err = session.ParseKeys(lines); err != nil {
		return fmt.Errorf("session.keys: %s: %w", secret.Source(), err)
	}
	p.keysText = lines
	return nil
}

func (p *parts) readUpstreams(absent absent) error {
	var errs []error
	for i, u := range p.config.Upstreams {
		pool, err := p.readCAs(upstreamCAs(i), u.CAFile)
		errs = append(errs, absent.or(err))
		if pool != nil {
			p.upstreams[u.Name] = pool
		}
	}
	return errors.Join(errs...)
}

func (p *parts) readTLS(absent absent) (err error) {
	p.tls, err = readCertificate("tls", p.config.TLS.CertFile, p.config.TLS.KeyFile)
	return absent.or(err)
}

// readShown reads what authgate shows to upstreams.
func (p *parts) readShown(absent absent) error {
	var errs []error
	p.shown = make(map[string]*certificate)
	for i, u := range p.config.Upstreams {
		shown, err := readCertificate(fmt.Sprintf("upstreams[%d].tls", i), u.TLS.CertFile, u.TLS.KeyFile)
		errs = append(errs, absent.or(err))
		if shown != nil {
			p.shown[u.Name] = shown
		}
	}
	return errors.Join(errs...)
}

// certificates are those, as package proxy takes them.
func (p *parts) certificates() map[string]proxy.ClientCertificate {
	all := make(map[string]proxy.ClientCertificate, len(p.shown))
	for name, shown := range p.shown {
		all[name] = shown.Show
	}
	return all
}

func (p *parts) readPolicy(absent absent) (err error) {
	if p.sources, err = policy.ReadFiles(p.config.Policy.Files...); err != nil {
		return absent.or(err)
	}
	p.policy, err = loadPolicy(p.sources, p.config)
	return err
}

func (p *parts) readShadow(absent absent) (err error) {
	if len(p.config.Policy.Shadow) == 0 {
		return nil
	}
	if p.shadowSources, err = policy.ReadFiles(p.config.Policy.Shadow...); err != nil {
		return absent.or(err)
	}
	p.shadow, err = loadPolicy(p.shadowSources, p.config)
	return err
}

// loadPolicy makes a policy ready to be put in force.
func loadPolicy(sources []policy.Source, c *config.Config) (*policy.Snapshot, error) {
	s, err := policy.Load(sources, c.UpstreamNames(), c.Quirks())
	if err != nil {
		return nil, err
	}
	return s, s.Prepare()
}

func upstreamCAs(i int) string { return fmt.Sprintf("upstreams[%d].caFile", i) }

// readCAs also keeps what it read.
func (p *parts) readCAs(key, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if p.pems == nil {
		p.pems = make(map[string][]byte)
	}
	p.pems[key] = pem
	return parseCAs(key, file, pem)
}

// readCAs reads certificates in PEM; no file is nil, the system's.
func readCAs(key, file string) (*x509.CertPool, error) {
	return (&parts{}).readCAs(key, file)
}

func parseCAs(key, file string, pem []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %s holds no certificate in PEM", key, file)
	}
	return pool, nil
}
