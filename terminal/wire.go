package terminal

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	attemptTimeout = 15 * time.Second // of one request to the issuer
	maxAnswer      = 1 << 20          // bytes
)

func newHTTPClient(cfg Config) *http.Client {
	base := cfg.Transport
	if base == nil {
		base = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    5 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true, // a TLSClientConfig of one's own turns it off
		}
	}
	return &http.Client{Transport: &wire{base}, CheckRedirect: refuseRedirect}
}

// unreachableError says that the issuer gave no usable answer.
type unreachableError struct {
	at, reason string
	cause      error
}

func (e *unreachableError) Error() string {
	return "no usable answer of the issuer to " + e.at + ": " + e.reason
}
func (e *unreachableError) Unwrap() error { return e.cause }

// refuseRedirect never follows: a 307 of the token endpoint would hand the code and
// the refresh token to whoever it names.
func refuseRedirect(to *http.Request, via []*http.Request) error {
	return &unreachableError{at: address(via[len(via)-1]), reason: "it redirects to " + place(to.URL) +
		", which is not followed; name the issuer by the address that answers by itself"}
}

// wire keeps what an issuer writes beside its answers (error pages of proxies,
// mostly) away from libraries that would quote it, and reads each answer whole:
// x/oauth2 leaves some unclosed.
type wire struct{ base http.RoundTripper }

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), attemptTimeout)
	defer cancel()
	fail := func(reason string) (*http.Response, error) {
		return nil, &unreachableError{at: address(req), reason: reason, cause: context.Cause(req.Context())}
	}
	resp, err := w.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return fail(reason(err))
	}
	defer resp.Body.Close() // what was read is all there is
	if req.Method == http.MethodGet && resp.StatusCode != http.StatusOK && resp.StatusCode/100 != 3 {
		return fail(fmt.Sprintf("it answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fail("the answer was cut off")
	case len(body) > maxAnswer:
		return fail("the answer is larger than 1 MiB")
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// address names a request in an error: without its query, where secrets travel.
func address(req *http.Request) string { return req.Method + " " + place(req.URL) }

func place(u *url.URL) string {
	return speech((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String())
}

// reason quotes only errors whose text is made of addresses and certificates.
func reason(err error) string {
	var (
		timeout interface{ Timeout() bool }
		cert    *tls.CertificateVerificationError
		op      *net.OpError
		noTLS   tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return "given up"
	case errors.As(err, &cert):
		return cert.Error() + "; --ca-file (issuer.caFile) names a further authority to trust"
	case errors.As(err, &op):
		return op.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &noTLS):
		return "it does not speak TLS, although https was asked for"
	default:
		return "what it answers is not HTTP, or a proxy on the way refused"
	}
}
