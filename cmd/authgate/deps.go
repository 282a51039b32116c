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
	"github.com/example-org/authgate/session/redisstore"
	"github.com/example-org/authgate/session/seal"
)

// deps are what a configuration names, read and checked.
type deps struct {
	config      *config.Config
	issuer      identity.Config
	keys        seal.Keys
	keysText    string             // that they were made of
	redis       redisstore.Options // where it is, if sessions are kept there
	policy      *policy.Snapshot
	bearers     map[string]*x509.CertPool // further issuer → CAs to trust, where its items name some
	upstreamCAs map[string]*x509.CertPool // upstream → CAs to believe, where it names some
	clientCerts map[string]*certificate   // upstream → what authgate shows it
	tls         *certificate              // nil: the port speaks without TLS
	caPEMs      map[string][]byte         // key → contents of the file of CAs that it names

	adminToken string // empty: the admin port lists no sessions

	shadow *policy.Snapshot // nil: no candidate

	sources, shadowSources []policy.Source // that they were made of
}

// missingHandler judges that a file or a variable is not there: an error ends the load,
// nil goes on without.
type missingHandler func(error) error

// failOnMissing is for `serve`, which goes on without nothing.
func failOnMissing(err error) error { return err }

// handle hands over what is not there, and leaves every other error as it is.
func (a missingHandler) handle(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return a(err)
	}
	return err
}

// loadDeps reads a configuration and every file and variable that it names, all
// of them before it fails. It dials nothing.
func loadDeps(file string, onMissing missingHandler) (*deps, error) {
	c, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	p := &deps{config: c, upstreamCAs: make(map[string]*x509.CertPool)}
	if err := errors.Join(
		p.readIssuer(onMissing), p.readBearers(onMissing), p.readKeys(onMissing), p.readRedis(onMissing), p.readAdminToken(onMissing),
		p.readUpstreams(onMissing), p.readTLS(onMissing), p.readClientCerts(onMissing), p.readPolicy(onMissing), p.readShadow(onMissing),
	); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *deps) readIssuer(onMissing missingHandler) error {
	c := p.config.Issuer
	id, noID := c.ClientID.Reveal()
	secret, noSecret := c.ClientSecret.Reveal()
	pool, noPool := p.readCAs("issuer.caFile", c.CAFile)
	p.issuer = identity.Config{
		URL: c.URL, BackchannelURL: c.BackchannelURL, ClientID: id, ClientSecret: secret, RootCAs: pool,
		Scopes: scopesWithAudiences(c), AuthParams: c.AuthParams, GroupsClaim: c.GroupsClaim, ClockSkew: time.Duration(c.ClockSkew),
		AccessAudiences: accessAudiences(p.config),
	}
	return errors.Join(onMissing.handle(noID), onMissing.handle(noSecret), onMissing.handle(noPool))
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

// scopesWithAudiences adds those by which Dex makes an ID token good for further clients
// (cross-client trust: the client that is named lists ours in trustedPeers).
func scopesWithAudiences(c config.Issuer) []string {
	scopes := slices.Clone(c.Scopes)
	for _, audience := range c.Audiences {
		scopes = append(scopes, "audience:server:client_id:"+audience)
	}
	return scopes
}

func (p *deps) readKeys(onMissing missingHandler) error {
	secret := p.config.Session.Keys
	lines, err := secret.Reveal()
	if err != nil {
		return onMissing.handle(err)
	}
	if p.keys, err = seal.ParseKeys(lines); err != nil {
		return fmt.Errorf("session.keys: %s: %w", secret.Source(), err)
	}
	p.keysText = lines
	return nil
}

func (p *deps) readUpstreams(onMissing missingHandler) error {
	var errs []error
	for i, u := range p.config.Upstreams {
		pool, err := p.readCAs(upstreamCAKey(i), u.CAFile)
		errs = append(errs, onMissing.handle(err))
		if pool != nil {
			p.upstreamCAs[u.Name] = pool
		}
	}
	return errors.Join(errs...)
}

func (p *deps) readTLS(onMissing missingHandler) (err error) {
	p.tls, err = readCertificate("tls", p.config.TLS.CertFile, p.config.TLS.KeyFile)
	return onMissing.handle(err)
}

// readClientCerts reads what authgate shows to upstreams.
func (p *deps) readClientCerts(onMissing missingHandler) error {
	var errs []error
	p.clientCerts = make(map[string]*certificate)
	for i, u := range p.config.Upstreams {
		cert, err := readCertificate(fmt.Sprintf("upstreams[%d].tls", i), u.TLS.CertFile, u.TLS.KeyFile)
		errs = append(errs, onMissing.handle(err))
		if cert != nil {
			p.clientCerts[u.Name] = cert
		}
	}
	return errors.Join(errs...)
}

// clientCertificates are those, as package proxy takes them.
func (p *deps) clientCertificates() map[string]proxy.ClientCertificate {
	all := make(map[string]proxy.ClientCertificate, len(p.clientCerts))
	for name, cert := range p.clientCerts {
		all[name] = cert.ClientCertificate
	}
	return all
}

func (p *deps) readPolicy(onMissing missingHandler) (err error) {
	if p.sources, err = policy.ReadFiles(p.config.Policy.Files...); err != nil {
		return onMissing.handle(err)
	}
	p.policy, err = loadPolicy(p.sources, p.config)
	return err
}

func (p *deps) readShadow(onMissing missingHandler) (err error) {
	if len(p.config.Policy.Shadow) == 0 {
		return nil
	}
	if p.shadowSources, err = policy.ReadFiles(p.config.Policy.Shadow...); err != nil {
		return onMissing.handle(err)
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

func upstreamCAKey(i int) string { return fmt.Sprintf("upstreams[%d].caFile", i) }

// readCAs also keeps what it read.
func (p *deps) readCAs(key, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if p.caPEMs == nil {
		p.caPEMs = make(map[string][]byte)
	}
	p.caPEMs[key] = pem
	return parseCAs(key, file, pem)
}

// readCAs reads certificates in PEM; no file is nil, the system's.
func readCAs(key, file string) (*x509.CertPool, error) {
	return (&deps{}).readCAs(key, file)
}

func parseCAs(key, file string, pem []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %s holds no certificate in PEM", key, file)
	}
	return pool, nil
}
