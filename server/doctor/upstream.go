package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Upstream is a dashboard.
type Upstream struct {
	Name    string
	URL     *url.URL // http, https, h2c or unix
	RootCAs *x509.CertPool
	// With https: the name to ask for, empty for that of URL; and the certificate to show.
	ServerName  string
	Certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	ArgoCD      bool   // and it is shown ID tokens
	ClientID    string // for which those are
}

// Check asks for the start page.
func (u Upstream) Check() Check { return Check{"upstream " + u.Name, u.checkReachable} }

func (u Upstream) checkReachable(ctx context.Context) []Finding {
	c, base := client(u.RootCAs), *u.URL
	transport := c.Transport.(*http.Transport)
	transport.TLSClientConfig.ServerName, transport.TLSClientConfig.GetClientCertificate = u.ServerName, u.Certificate
	protocol := "HTTP/1.1"
	switch u.URL.Scheme {
	case "h2c":
		base.Scheme, protocol = "http", "h2c"
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	case "unix":
		base = url.URL{Scheme: "http", Host: "localhost"}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", u.URL.Path)
		}
	case "https":
		protocol = "TLS"
	}
	_, _, err := get(ctx, c, base.String()+"/")
	if err != nil {
		return []Finding{fail(dialErrorHint(err), "%s does not answer as %s: %v", u.URL, protocol, err)}
	}
	found := []Finding{ok("%s answers as %s", u.URL, protocol)}
	if u.ArgoCD {
		found = append(found, u.checkAudience(ctx, c, base.String())...)
	}
	return found
}

func dialErrorHint(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var header tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "name the CA that signed its certificate in caFile"
	case errors.As(err, &name):
		return "write in url a name that its certificate contains"
	case errors.As(err, &header):
		return "it does not use TLS there: write http or h2c in url"
	default:
		return "check url, whether the upstream runs, and the network policy; before the deployment this failure is expected"
	}
}

// checkAudience reads the public settings of Argo CD (server/settings).
func (u Upstream) checkAudience(ctx context.Context, c *http.Client, base string) []Finding {
	const hint = "oidc.config in argocd-cm needs clientID: authgate's, and allowedAudiences with it (docs/argo.md)"
	res, body, err := get(ctx, c, base+"/api/v1/settings")
	if err != nil || res.StatusCode != http.StatusOK {
		return []Finding{skipped("the audiences that Argo CD accepts cannot be determined from here")}
	}
	var settings struct {
		OIDC *struct {
			ClientID string `json:"clientID"`
		} `json:"oidcConfig"`
		Dex json.RawMessage `json:"dexConfig"`
	}
	switch err := json.Unmarshal(body, &settings); {
	case err != nil:
		return []Finding{skipped("the audiences that Argo CD accepts cannot be determined from here")}
	case settings.OIDC == nil:
		return []Finding{fail(hint, "Argo CD has no oidc.config: it accepts only tokens of its own Dex client argo-cd")}
	case settings.OIDC.ClientID != u.ClientID:
		return []Finding{warn(hint,
			"Argo CD's own client is %q: it accepts tokens of %q only if allowedAudiences names that client",
			settings.OIDC.ClientID, u.ClientID)}
	default:
		return []Finding{ok("Argo CD accepts tokens of the client %s", u.ClientID)}
	}
}

// client follows no redirect, keeps no connection and asks no proxy: as authgate.
func client(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
			DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func get(ctx context.Context, c *http.Client, address string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, errors.New("the address is not a URL")
	}
	req.Header.Set("Accept", "text/html, application/json")
	res, err := c.Do(req)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) { // its address may have a query
			err = at.Err
		}
		return nil, nil, err
	}
	defer res.Body.Close() // only read
	body, err := io.ReadAll(io.LimitReader(res.Body, maxResponse))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer: %w", err)
	}
	return res, body, nil
}

// CheckHostNames holds the hosts that browsers type to those in a certificate.
func CheckHostNames(leaf *x509.Certificate, hosts []string) []Finding {
	var missing []string
	for _, host := range hosts {
		name := host
		if strings.HasPrefix(host, "*.") {
			name = "any" + host[1:]
		}
		if host != "*" && leaf.VerifyHostname(name) != nil {
			missing = append(missing, host)
		}
	}
	if len(missing) > 0 {
		return []Finding{fail("add them to the certificate of tls.certFile, or remove them from hosts",
			"the certificate does not name %q", slices.Compact(missing))}
	}
	return []Finding{ok("the certificate names every host")}
}
