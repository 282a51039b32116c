package config

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// Issuer is the OpenID Connect provider at which people log in.
type Issuer struct {
	URL            string   `yaml:"url" is:"required"` // exactly as `iss` in its tokens
	BackchannelURL string   `yaml:"backchannelURL"`    // empty: URL
	ClientID       Secret   `yaml:"clientID" is:"required"`
	ClientSecret   Secret   `yaml:"clientSecret" is:"required"`
	CAFile         string   `yaml:"caFile" is:"file"`
	Scopes         []string `yaml:"scopes"`
	Audiences      []string `yaml:"audiences"`
	GroupsClaim    string   `yaml:"groupsClaim"`
	ClockSkew      Duration `yaml:"clockSkew"`

	AuthParams   map[string]string `yaml:"authParams"`   // further parameters of the authorization request
	AutoRedirect bool              `yaml:"autoRedirect"` // false: a login begins on a page with one button
}

func (i Issuer) check(at yamlfile.Node) {
	if i.URL == "" {
		at.Key("url").AddFault("is missing",
			"add the address at which browsers reach the issuer, such as https://argo-cd.example.com/api/dex")
	} else {
		checkIssuerURL(i.URL, ", and issuers are compared byte for byte", at.Key("url"))
	}
	if i.BackchannelURL != "" {
		checkIssuerURL(i.BackchannelURL, "", at.Key("backchannelURL"))
	}
	if i.ClientID.IsZero() {
		at.Key("clientID").AddFault("is missing", "add {env: NAME}, {file: PATH} or the id in quotes")
	}
	if i.ClientSecret.IsZero() {
		at.Key("clientSecret").AddFault("is missing", "add {file: PATH} or {env: NAME}")
	}
	for n, scope := range i.Scopes {
		if !text.ValidScope(scope) {
			at.Key("scopes").Item(n).AddFault(text.Quote(scope)+" is not a scope",
				"write one word for each item of the list")
		}
	}
	if !slices.Contains(i.Scopes, "openid") {
		at.Key("scopes").AddFault("must hold openid, or the issuer gives no ID token", "add openid")
	}
	for n, audience := range i.Audiences {
		if !text.ValidScope(audience) {
			at.Key("audiences").Item(n).AddFault(text.Quote(audience)+" is not the id of a client",
				"write the id of one client of the issuer for each item, such as argo-cd")
		}
	}
	if strings.TrimSpace(i.GroupsClaim) == "" {
		at.Key("groupsClaim").AddFault("is empty", "write groups, or leave the line out")
	}
	if strings.ContainsFunc(i.GroupsClaim, unicode.IsControl) {
		at.Key("groupsClaim").AddFault("has a control character, and no claim is called so",
			"write the name of the claim alone, on one line")
	}
	i.ClockSkew.checkNotNegative(at.Key("clockSkew"))
	checkAuthParams(i.AuthParams, at.Key("authParams"))
}

// Name is what users know the issuer by: its host.
func (i Issuer) Name() string {
	if u, err := url.Parse(i.URL); err == nil && u.Host != "" {
		return u.Host
	}
	return i.URL
}

// reservedParams are those of the authorization request that authgate itself sets,
// or that would take the request out of its hands (OpenID Connect Core 1.0, 3.1.2.1
// and 6; RFC 7636, 4.3).
var reservedParams = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
	"response_mode", "request", "request_uri",
}

func checkAuthParams(params map[string]string, at yamlfile.Node) {
	seen := make(map[string]string) // in lower case → as written
	for _, name := range slices.Sorted(maps.Keys(params)) {
		here, normalized := at.Key(name), strings.ToLower(strings.TrimSpace(name))
		switch {
		case slices.Contains(reservedParams, normalized):
			here.AddFault("is set by authgate itself", reservedParamHint(normalized))
		case !text.ValidScope(name):
			here.AddFault(text.Quote(name)+" is not the name of a parameter",
				"write one such as prompt, without spaces")
		case seen[normalized] != "":
			here.AddFault("is there twice, as "+text.Quote(seen[normalized])+" too", "keep one of them")
		case params[name] == "":
			here.AddFault("has no value", "write one in quotes, or take the line out")
		case strings.ContainsFunc(params[name], unicode.IsControl):
			here.AddFault("has control characters in its value", "take them out")
		}
		seen[normalized] = name
	}
}

func reservedParamHint(name string) string {
	switch name {
	case "scope":
		return "list scopes in issuer.scopes"
	case "client_id":
		return "write the id in issuer.clientID"
	default:
		return "take it out; authParams is for others, such as {prompt: select_account}"
	}
}

// checkIssuerURL refuses a slash at the end of a path, which Dex never has and
// which makes discovery fail much later: issuers are compared byte for byte
// (OpenID Connect Discovery 1.0, 4.3). A bare https://host/ passes: there are
// issuers whose identifier is just that.
func checkIssuerURL(raw, reason string, at yamlfile.Node) {
	u, c := parseHTTPURL(raw, "https://argo-cd.example.com/api/dex")
	switch {
	case c.message != "":
		c.addTo(at)
	case len(u.Path) > 1 && strings.HasSuffix(u.Path, "/"):
		at.AddFault("has a trailing slash"+reason,
			"remove the trailing slash: write "+text.Quote(strings.TrimRight(raw, "/")))
	}
}
