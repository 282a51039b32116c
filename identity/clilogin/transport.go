package clilogin

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/example-org/authgate/text"
)

const (
	attemptTimeout = 15 * time.Second // of one request to the issuer
	maxResponse    = 1 << 20          // bytes
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
	return &http.Client{Transport: &transport{base}, CheckRedirect: refuseRedirect}
}

// unreachableError says that the issuer gave no usable answer.
type unreachableError struct {
	request, reason string
	cause           error
}

func (e *unreachableError) Error() string {
	return "no usable answer of the issuer to " + e.request + ": " + e.reason
}
func (e *unreachableError) Unwrap() error { return e.cause }

// refuseRedirect never follows: a 307 of the token endpoint would hand the code and
// the refresh token to whoever it names.
func refuseRedirect(to *http.Request, via []*http.Request) error {
	return &unreachableError{request: text.RedactRequest(via[len(via)-1]), reason: "it redirects to " + text.RedactURL(to.URL) +
		", which is not followed; name the issuer by the address that answers by itself"}
}

// transport keeps what an issuer writes beside its answers (error pages of proxies,
// mostly) away from libraries that would quote it, and reads each answer whole:
// x/oauth2 leaves some unclosed.
type transport struct{ base http.RoundTripper }

func (w *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), attemptTimeout)
	defer cancel()
	fail := func(reason string) (*http.Response, error) {
		return nil, &unreachableError{request: text.RedactRequest(req), reason: reason, cause: context.Cause(req.Context())}
	}
	resp, err := w.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		why := text.RedactError(err)
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			why += "; --ca-file (issuer.caFile) names a further authority to trust"
		}
		return fail(why)
	}
	defer resp.Body.Close() // what was read is all there is
	if req.Method == http.MethodGet && resp.StatusCode != http.StatusOK && resp.StatusCode/100 != 3 {
		return fail(fmt.Sprintf("it answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	switch {
	case err != nil:
		return fail("the answer was cut off")
	case len(body) > maxResponse:
		return fail("the answer is larger than 1 MiB")
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
