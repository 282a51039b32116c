package doctor

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
)

// BearerIssuer is a further issuer, whose tokens are accepted in requests.
type BearerIssuer struct {
	URL     string // as in tokens
	RootCAs *x509.CertPool
	Missing string // the key that names a file with its CAs, which is not here; empty: it is
}

// Check asks for what its tokens are verified by.
func (b BearerIssuer) Check() Check { return Check{"bearer issuer " + b.URL, b.check} }

func (b BearerIssuer) check(ctx context.Context) []Finding {
	if b.Missing != "" {
		return []Finding{skipped("the file of %s does not exist here", b.Missing)}
	}
	as := Issuer{URL: b.URL, RootCAs: b.RootCAs}
	d, _, err := as.discover(ctx, b.URL)
	if err != nil {
		return []Finding{fail(b.hint(err), "%s cannot be reached from here: %v", b.URL, err)}
	}
	if d.Issuer != b.URL {
		return []Finding{fail("write the issuer in bearer exactly as it names itself, including any trailing slash",
			"it names itself %q, the issuer in bearer is %q", d.Issuer, b.URL)}
	}
	if d.Keys == "" {
		return []Finding{fail("check the issuer: without jwks_uri no token can be verified",
			"its discovery document has no jwks_uri")}
	}
	res, body, err := get(ctx, as.client(), d.Keys)
	var keys struct {
		Keys []json.RawMessage `json:"keys"`
	}
	switch {
	case err != nil:
		return []Finding{fail(b.hint(err), "its keys cannot be fetched from here: %v", err)}
	case res.StatusCode != http.StatusOK:
		return []Finding{fail("check the issuer and the proxies in front of it: its keys are fetched without a credential",
			"its jwks_uri answers %d", res.StatusCode)}
	case json.Unmarshal(body, &keys) != nil || len(keys.Keys) == 0:
		return []Finding{fail("check the issuer: without keys no token can be verified",
			"its jwks_uri has no keys in JWKS form")}
	}
	return []Finding{ok("%s answers; keys: %d", b.URL, len(keys.Keys))}
}

func (b BearerIssuer) hint(err error) string {
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return "name the CA that signed its certificate in caFile of its item of bearer"
	}
	return "check the issuer in bearer and the network policy; before the deployment this failure is expected"
}
