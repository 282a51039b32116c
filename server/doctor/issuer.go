package doctor

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/identity"
)

// Issuer is the OpenID Connect provider, and who authgate is to it.
type Issuer struct {
	URL         string // as in tokens
	Backchannel string // empty: URL
	ClientID    string // empty: not here
	Secret      string // empty: not here
	Scopes      []string
	RootCAs     *x509.CertPool
	ClockSkew   time.Duration
	Callbacks   []Callbacks // of each host
	Wildcards   []string    // hosts whose callbacks are not known

	Now func() time.Time
}

// Callbacks are the redirect URIs that one host may have, the likeliest first: one of
// them has to be registered.
type Callbacks []string

type discovery struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Scopes        []string `json:"scopes_supported"`
}

const maxResponse = 1 << 20

// Checks are those of the issuer.
func (i Issuer) Checks() []Check {
	return []Check{
		{"issuer", i.checkDiscovery},
		{"issuer as browsers reach it", i.checkPublicURL},
		{"redirect URIs", i.checkRedirectURIs},
		{"client secret", i.checkClientSecret},
	}
}

func (i Issuer) discoveryBase() string {
	if i.Backchannel != "" {
		return i.Backchannel
	}
	return i.URL
}

// client goes through the proxy of the environment, as authgate does to issuers.
func (i Issuer) client() *http.Client {
	c := client(i.RootCAs)
	c.Transport.(*http.Transport).Proxy = http.ProxyFromEnvironment
	return c
}

func (i Issuer) discover(ctx context.Context, base string) (discovery, *http.Response, error) {
	var d discovery
	address := strings.TrimSuffix(base, "/") + "/.well-known/openid-configuration"
	res, body, err := get(ctx, i.client(), address)
	switch {
	case err != nil:
		return d, nil, withResponse(address, 0, nil, err)
	case res.StatusCode != http.StatusOK:
		err = fmt.Errorf("the discovery document answers %d", res.StatusCode)
		return d, res, withResponse(address, res.StatusCode, body, err)
	case json.Unmarshal(body, &d) != nil:
		return d, res, withResponse(address, res.StatusCode, body, errors.New("the discovery document is not JSON"))
	}
	return d, res, nil
}

func (i Issuer) checkDiscovery(ctx context.Context) []Finding {
	d, res, err := i.discover(ctx, i.discoveryBase())
	if err != nil {
		if dex, ok := errors.AsType[*argoCDDexError](err); ok {
			return []Finding{fail(identity.ArgoCDDexHint, "%s cannot be reached from here: %v", i.discoveryBase(), dex)}
		}
		return []Finding{fail("check issuer.url, issuer.backchannelURL, issuer.caFile and the network policy; before the "+
			"deployment this failure is expected", "%s cannot be reached from here: %v", i.discoveryBase(), err)}
	}
	found := []Finding{ok("%s answers", i.discoveryBase())}
	if d.Issuer != i.URL {
		found = append(found, fail("write issuer.url exactly as the issuer names itself, including any trailing slash",
			"it names itself %q, issuer.url is %q", d.Issuer, i.URL))
	}
	for _, scope := range []string{"groups", "offline_access"} {
		wanted := slices.Contains(i.Scopes, scope)
		offered := d.Scopes == nil || slices.Contains(d.Scopes, scope)
		switch {
		case wanted && !offered:
			found = append(found, warn("list scopes that it offers in issuer.scopes", "it does not offer the scope %s", scope))
		case !wanted:
			found = append(found, warn("add it to issuer.scopes", "the scope %s is not requested: %s", scope, map[string]string{
				"groups": "users have no groups", "offline_access": "sessions end with their ID token",
			}[scope]))
		}
	}
	return append(found, i.checkClock(res.Header.Get("Date"))...)
}

func (i Issuer) checkClock(date string) []Finding {
	issuerTime, err := http.ParseTime(date)
	if err != nil {
		return nil
	}
	difference := i.Now().Sub(issuerTime).Abs().Truncate(time.Second)
	if difference > max(i.ClockSkew, 2*time.Second) {
		return []Finding{fail("synchronise both clocks by NTP; issuer.clockSkew is the accepted difference",
			"its clock and this machine's are %s apart", difference)}
	}
	return []Finding{ok("its clock and this machine's agree to %s", max(difference, time.Second))}
}

func (i Issuer) checkPublicURL(ctx context.Context) []Finding {
	if i.Backchannel == "" {
		return nil
	}
	d, _, err := i.discover(ctx, i.URL)
	switch {
	case err != nil:
		return []Finding{warn("browsers must reach it; from inside a cluster it may be unreachable",
			"%s cannot be reached from here: %v", i.URL, err)}
	case d.Issuer != i.URL:
		return []Finding{fail("write two addresses of the same issuer", "the issuer at issuer.url names itself %q", d.Issuer)}
	default:
		return []Finding{ok("%s answers", i.URL)}
	}
}

// viaBackchannel is an address of the issuer's on the way that authgate takes.
func (i Issuer) viaBackchannel(address string) string {
	if rest, found := strings.CutPrefix(address, i.URL); found && i.Backchannel != "" {
		return strings.TrimSuffix(i.Backchannel, "/") + rest
	}
	return address
}

// checkRedirectURIs begins a login for each callback, as a browser would: Dex shows a page
// with 400 for one that it does not know, and goes on for the others.
func (i Issuer) checkRedirectURIs(ctx context.Context) []Finding {
	if i.ClientID == "" {
		return []Finding{skipped("issuer.clientID does not exist here")}
	}
	d, _, err := i.discover(ctx, i.discoveryBase())
	if err != nil || d.Authorization == "" {
		return []Finding{skipped("the issuer is unreachable")}
	}
	var found []Finding
	for _, set := range i.Callbacks {
		found = append(found, i.checkAnyCallback(ctx, d, set))
	}
	for _, host := range i.Wildcards {
		found = append(found,
			skipped("%s: the callback of each concrete host must be registered; check one with --origin https://HOST", host))
	}
	return found
}

// checkAnyCallback accepts the first callback that is registered, and names it. If none
// is, it reports the likeliest.
func (i Issuer) checkAnyCallback(ctx context.Context, d discovery, set Callbacks) Finding {
	var first Finding
	for n, callback := range set {
		f := i.checkCallback(ctx, d, callback)
		if f.State == OK {
			return f
		}
		if n == 0 {
			first = f
		}
	}
	if first.State == Fail && len(set) > 1 {
		first.Message += ", nor " + strings.Join(set[1:], ", ")
		first.Hint += "; if browsers use another origin, name it with --origin"
	}
	return first
}

func (i Issuer) checkCallback(ctx context.Context, d discovery, callback string) Finding {
	query := url.Values{
		"client_id": {i.ClientID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"},
		"state": {"doctor"}, "nonce": {"doctor"},
		"code_challenge": {"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}, "code_challenge_method": {"S256"},
	}
	res, body, err := i.followRedirects(ctx, i.viaBackchannel(d.Authorization)+"?"+query.Encode())
	switch {
	case err != nil:
		return warn("check that the issuer answers", "%s: the issuer did not answer", callback)
	case res.StatusCode >= 500:
		return warn("read the issuer's log", "%s: the issuer answers %d", callback, res.StatusCode)
	case res.StatusCode >= 400 && strings.Contains(strings.ToLower(string(body)), "redirect"):
		return fail("add it to redirectURIs of the client "+i.ClientID+" at the issuer", "%s is not registered", callback)
	case res.StatusCode >= 400:
		return fail("check that the issuer has a client with this id", "%s: the issuer answers %d to the client %s",
			callback, res.StatusCode, i.ClientID)
	default:
		return ok("%s is registered", callback)
	}
}

// followRedirects follows redirects within the issuer: Dex checks the callback only after the
// page on which users choose a connector, which it skips if there is only one.
func (i Issuer) followRedirects(ctx context.Context, address string) (res *http.Response, body []byte, err error) {
	for range 4 {
		if res, body, err = get(ctx, i.client(), address); err != nil {
			return nil, nil, err
		}
		at, err := url.Parse(address)
		if err != nil {
			return nil, nil, errors.New("the address is not a URL")
		}
		to, err := at.Parse(res.Header.Get("Location"))
		if err != nil || res.StatusCode < 300 || res.StatusCode > 399 {
			return res, body, nil
		}
		next := i.viaBackchannel(to.String())
		if there, err := url.Parse(next); err != nil || there.Host != at.Host || next == address {
			return res, body, nil // it leaves the issuer: the callback is known
		}
		address = next
	}
	return res, body, nil
}

// checkClientSecret sends the client's secret with a code that was never issued: an issuer
// that accepts the secret rejects the code.
func (i Issuer) checkClientSecret(ctx context.Context) []Finding {
	if i.ClientID == "" || i.Secret == "" {
		return []Finding{skipped("issuer.clientID or issuer.clientSecret does not exist here")}
	}
	d, _, err := i.discover(ctx, i.discoveryBase())
	if err != nil || d.Token == "" {
		return []Finding{skipped("the issuer is unreachable")}
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {"doctor"},
		"redirect_uri": {slices.Concat(slices.Concat(i.Callbacks...), []string{i.URL})[0]},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.viaBackchannel(d.Token),
		strings.NewReader(form.Encode()))
	if err != nil {
		return []Finding{fail("check the issuer's discovery document", "its token endpoint has no usable address")}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(i.ClientID), url.QueryEscape(i.Secret))
	res, err := i.client().Do(req)
	if err != nil {
		return []Finding{warn("check that the issuer answers", "the token endpoint did not answer")}
	}
	defer res.Body.Close() // only read
	var response struct {
		Error string `json:"error"`
	}
	_ = json.NewDecoder(io.LimitReader(res.Body, maxResponse)).Decode(&response)
	switch {
	case res.StatusCode == http.StatusUnauthorized, response.Error == "invalid_client",
		response.Error == "unauthorized_client":
		return []Finding{fail("set issuer.clientSecret to the secret that the issuer has for this client",
			"the issuer rejects it for the client %s", i.ClientID)}
	case res.StatusCode >= 500:
		return []Finding{warn("read the issuer's log", "the token endpoint answers %d", res.StatusCode)}
	default:
		return []Finding{ok("the issuer accepts it for the client %s", i.ClientID)}
	}
}
