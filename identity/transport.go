package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/example-org/authgate/text"
)

const (
	// attemptTimeout bounds one discovery, and one login's code exchange and key fetch
	// together: an issuer that does not respond ends in an error page.
	attemptTimeout = 10 * time.Second

	// clientTimeout is a last bound, longer than that of every context.
	clientTimeout = attemptTimeout + 5*time.Second

	// maxConnections to one host of the issuer: all concurrent logins and refreshes, each of
	// which waits for its own connection at most attemptTimeout, and some key fetches.
	maxConnections = 64

	// maxResponse is some twenty times the largest expected response: the tokens of a user
	// in a thousand teams.
	maxResponse = 1 << 20
)

// newClient returns a client for requests to the issuer only.
func newClient(c *backchannelTransport) *http.Client {
	return &http.Client{
		Transport:     c,
		CheckRedirect: c.refuseRedirect,
		Timeout:       clientTimeout,
	}
}

// NewClient returns a client for an issuer of which no relying party is configured.
// Its errors end with the hints: how to trust another CA, and what to do about a
// redirect. They never quote a response. Each request has its own timeout, and each
// response is read completely, because x/oauth2 leaves some unclosed.
func NewClient(base http.RoundTripper, trustHint, redirectHint string) *http.Client {
	c := &backchannelTransport{base: base, trustHint: trustHint, redirectHint: redirectHint, standalone: true}
	return &http.Client{Transport: c, CheckRedirect: c.refuseRedirect}
}

// NewTransport returns a transport for one issuer, so that no other traffic uses its
// connections and none of its settings leak elsewhere. nil means the system's CAs.
func NewTransport(rootCAs *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: rootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  attemptTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    4,
		MaxConnsPerHost:        maxConnections,
		ForceAttemptHTTP2:      true, // a custom TLSClientConfig turns it off
	}
}

// refuseRedirect never follows: a 307 of the token endpoint would send the code and the
// client secret elsewhere.
func (c *backchannelTransport) refuseRedirect(to *http.Request, via []*http.Request) error {
	return &UnreachableError{
		Request: text.RedactRequest(via[len(via)-1]),
		Reason:  "it redirects to " + text.RedactURL(to.URL) + ", which is not followed" + c.redirectHint,
	}
}

// backchannelTransport sends requests to the issuer to the configured backchannel:
// discovery, keys and token requests all pass here, so that none of them takes another way.
// Everything else about a request stays, and `iss` is compared with the public address
// either way.
type backchannelTransport struct {
	base                      http.RoundTripper
	publicURL, backchannelURL *url.URL // backchannelURL is nil without a backchannel
	trustHint                 string   // ends the error for an untrusted certificate
	redirectHint              string   // ends the error for a redirect
	loginIssuer               bool     // it is the issuer of logins, which may be Argo CD's Dex
	standalone                bool     // the client is of NewClient
}

const (
	caFileHint    = "issuer.caFile names a further authority to trust"
	trustByBearer = "caFile in its item of bearer names the authorities to trust, in place of the system's"

	loginRedirectHint = ", since that would send the client secret on; " +
		"write the address that answers by itself into issuer.url or issuer.backchannelURL"
	bearerRedirectHint = ": an issuer answers by itself"
)

func newBackchannelTransport(cfg Config, base http.RoundTripper) (*backchannelTransport, error) {
	c := &backchannelTransport{base: base, trustHint: caFileHint, redirectHint: loginRedirectHint, loginIssuer: true}
	var err error
	if c.publicURL, err = ParseHTTPURL(cfg.URL); err != nil {
		return nil, fmt.Errorf("issuer.url %w", err)
	}
	if cfg.BackchannelURL == "" {
		return c, nil
	}
	if c.backchannelURL, err = ParseHTTPURL(cfg.BackchannelURL); err != nil {
		return nil, fmt.Errorf("issuer.backchannelURL %w", err)
	}
	return c, nil
}

// ParseHTTPURL reads an address that a request can be sent to. The error is the second half
// of a sentence, and quotes nothing: net/url would quote a password.
func ParseHTTPURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return nil, errors.New("is missing")
	case err != nil:
		return nil, errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("does not begin with https:// or http://")
	case u.Host == "":
		return nil, errors.New("names no host")
	case u.User != nil:
		return nil, errors.New("holds a user name or password")
	case u.Fragment != "":
		return nil, errors.New("has a fragment (#)")
	}
	return u, nil
}

// RoundTrip also keeps bodies that are not the issuer's (mostly error pages of proxies) away
// from libraries that would quote them in their errors.
func (c *backchannelTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if to := c.rewriteURL(req.URL); to != nil {
		req = req.Clone(req.Context())
		req.URL, req.Host = to, ""
	}
	if c.standalone {
		ctx, cancel := context.WithTimeout(req.Context(), clientTimeout)
		defer cancel()
		req = req.WithContext(ctx)
	}
	resp, err := c.base.RoundTrip(req)
	if err != nil {
		why := text.RedactError(err)
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			why += "; " + c.trustHint
		}
		if c.loginIssuer && !errors.Is(err, context.Canceled) {
			why += argoCDDexHint(req.URL, 0, "")
		}
		return nil, &UnreachableError{Request: text.RedactRequest(req), Reason: why, cause: contextCause(err)}
	}
	if req.Method == http.MethodGet && resp.StatusCode != http.StatusOK && resp.StatusCode/100 != 3 {
		return nil, &UnreachableError{Request: text.RedactRequest(req), Reason: c.describeResponse(req.URL, resp)}
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxResponse)
	if c.standalone {
		return readWhole(req, resp)
	}
	if b, ok := req.Context().Value(bodyPrefixKey{}).(*bodyPrefix); ok && resp.StatusCode == http.StatusOK {
		resp.Body = &bodyPrefixReader{ReadCloser: resp.Body, prefix: b}
	}
	return resp, nil
}

// readWhole reads a response before its request's context ends.
func readWhole(req *http.Request, resp *http.Response) (*http.Response, error) {
	defer resp.Body.Close() // only read
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &UnreachableError{
			Request: text.RedactRequest(req), Reason: "the answer was cut off, or is larger than 1 MiB",
			cause: contextCause(err),
		}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// rewriteURL gives the backchannel's address for one that begins with the issuer's, on a
// path boundary: /dexter is not below /dex.
func (c *backchannelTransport) rewriteURL(u *url.URL) *url.URL {
	if c.backchannelURL == nil || u.Scheme != c.publicURL.Scheme || !strings.EqualFold(u.Host, c.publicURL.Host) {
		return nil
	}
	rest, below := strings.CutPrefix(u.EscapedPath(), strings.TrimSuffix(c.publicURL.EscapedPath(), "/"))
	if !below || rest != "" && rest[0] != '/' {
		return nil
	}
	raw := strings.TrimSuffix(c.backchannelURL.EscapedPath(), "/") + rest
	path, err := url.PathUnescape(raw)
	if err != nil { // both halves came from net/url
		return nil
	}
	to := *c.backchannelURL
	to.Path, to.RawPath, to.RawQuery = path, raw, u.RawQuery
	return &to
}

// contextCause keeps of an error only whether a context ended.
func contextCause(err error) error {
	for _, e := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return e
		}
	}
	return nil
}
