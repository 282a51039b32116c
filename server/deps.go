package server

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/imagefile"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/server/configmap"
	"github.com/example-org/authgate/session/redisstore"
	"github.com/example-org/authgate/session/seal"
)

const maxIconBytes = 32 << 10

// Deps are the contents of the files and variables that a configuration names, checked.
type Deps struct {
	Config      *config.Config
	Issuer      identity.Config
	Keys        seal.Keys
	KeysText    string                    // contents of session.keys
	Redis       redisstore.Options        // if sessions are kept there
	Policy      *policy.Snapshot          // nil with policy.configMap, until ReadConfigMap
	BearerCAs   map[string]*x509.CertPool // further issuer → CAs to trust, if its items name some
	UpstreamCAs map[string]*x509.CertPool // upstream → CAs to trust, if it names some
	ClientCerts map[string]*Certificate   // upstream → client certificate
	TLS         *Certificate              // nil: the port does not use TLS
	Icons       map[string]string         // upstream → its icon as a data: URL
	Pages       *page.Set
	caPEMs      map[string][]byte // key → contents of the file of CAs that it names

	adminToken string // empty: the admin port lists no sessions

	Shadow *policy.Snapshot // nil: no policy.shadow

	Sources, shadowSources []policy.Source // of Policy and Shadow

	configMap *configmap.ConfigMap // nil: the policy is in files
}

// MissingHandler decides about a file or a variable that does not exist: an error ends
// the load, nil continues without it.
type MissingHandler func(error) error

// FailOnMissing is for `serve`, which needs all of them.
func FailOnMissing(err error) error { return err }

// handle passes on an error for a missing file or variable, and returns every other error.
func (a MissingHandler) handle(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return a(err)
	}
	return err
}

// LoadDeps reads a configuration and every file and variable that it names, all
// of them before it fails. It dials nothing.
func LoadDeps(file string, onMissing MissingHandler) (*Deps, error) {
	c, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	p := &Deps{Config: c, UpstreamCAs: make(map[string]*x509.CertPool)}
	var noPolicy, noShadow error
	var reading sync.WaitGroup
	reading.Go(func() { noPolicy, noShadow = p.readPolicy(), p.readShadow() }) // takes the longest
	errs := []error{
		p.readIssuer(onMissing), p.readBearers(onMissing), p.readKeys(onMissing), p.readRedis(onMissing),
		p.readAdminToken(onMissing),
		p.readUpstreams(onMissing), p.readTLS(onMissing), p.readClientCerts(onMissing), p.readPages(onMissing),
	}
	reading.Wait()
	errs = append(errs, onMissing.handle(noPolicy), onMissing.handle(noShadow))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Deps) readIssuer(onMissing MissingHandler) error {
	c := p.Config.Issuer
	id, noID := c.ClientID.Reveal()
	secret, noSecret := c.ClientSecret.Reveal()
	pool, noPool := p.readCAs("issuer.caFile", c.CAFile)
	p.Issuer = identity.Config{
		URL: c.URL, BackchannelURL: c.BackchannelURL, ClientID: id, ClientSecret: secret, RootCAs: pool,
		Scopes: scopesWithAudiences(c), AuthParams: c.AuthParams, GroupsClaim: c.GroupsClaim,
		ClockSkew:       time.Duration(c.ClockSkew),
		AccessAudiences: accessAudiences(p.Config),
	}
	return errors.Join(onMissing.handle(noID), onMissing.handle(noSecret), onMissing.handle(noPool))
}

// accessAudiences are those that bearer lists for the issuer of logins.
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

func (p *Deps) readKeys(onMissing MissingHandler) error {
	secret := p.Config.Session.Keys
	lines, err := secret.Reveal()
	if err != nil {
		return onMissing.handle(err)
	}
	if p.Keys, err = seal.ParseKeys(lines); err != nil {
		return fmt.Errorf("session.keys: %s: %w", secret.Source(), err)
	}
	p.KeysText = lines
	return nil
}

func (p *Deps) readUpstreams(onMissing MissingHandler) error {
	var errs []error
	p.Icons = make(map[string]string)
	for i, u := range p.Config.Upstreams {
		icon, err := imagefile.Read(u.Icon, maxIconBytes)
		p.Icons[u.Name] = icon
		errs = append(errs, onMissing.handle(err))
		pool, err := p.readCAs(upstreamCAKey(i), u.CAFile)
		errs = append(errs, onMissing.handle(err))
		if pool != nil {
			p.UpstreamCAs[u.Name] = pool
		}
	}
	return errors.Join(errs...)
}

func (p *Deps) readTLS(onMissing MissingHandler) (err error) {
	p.TLS, err = readCertificate("tls", p.Config.TLS.CertFile, p.Config.TLS.KeyFile)
	return onMissing.handle(err)
}

// readClientCerts reads what authgate shows to upstreams.
func (p *Deps) readClientCerts(onMissing MissingHandler) error {
	var errs []error
	p.ClientCerts = make(map[string]*Certificate)
	for i, u := range p.Config.Upstreams {
		cert, err := readCertificate(fmt.Sprintf("upstreams[%d].tls", i), u.TLS.CertFile, u.TLS.KeyFile)
		errs = append(errs, onMissing.handle(err))
		if cert != nil {
			p.ClientCerts[u.Name] = cert
		}
	}
	return errors.Join(errs...)
}

// clientCertificates are those, as package proxy takes them.
func (p *Deps) clientCertificates() map[string]proxy.ClientCertificate {
	all := make(map[string]proxy.ClientCertificate, len(p.ClientCerts))
	for name, cert := range p.ClientCerts {
		all[name] = cert.ClientCertificate
	}
	return all
}

func (p *Deps) readPolicy() (err error) {
	if !p.Config.Policy.ConfigMap.IsZero() {
		return nil
	}
	if p.Sources, err = policy.ReadFiles(p.Config.Policy.Files...); err != nil {
		return err
	}
	p.Policy, err = loadPolicy(p.Sources, p.Config)
	return err
}

func (p *Deps) readShadow() (err error) {
	if len(p.Config.Policy.Shadow) == 0 {
		return nil
	}
	if p.shadowSources, err = policy.ReadFiles(p.Config.Policy.Shadow...); err != nil {
		return err
	}
	p.Shadow, err = loadPolicy(p.shadowSources, p.Config)
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

// ReadCAs also keeps what it read.
func (p *Deps) readCAs(key, file string) (*x509.CertPool, error) {
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

// ReadCAs reads certificates in PEM; no file is nil, the system's.
func ReadCAs(key, file string) (*x509.CertPool, error) {
	return (&Deps{}).readCAs(key, file)
}

func parseCAs(key, file string, pem []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %s holds no certificate in PEM", key, file)
	}
	return pool, nil
}
