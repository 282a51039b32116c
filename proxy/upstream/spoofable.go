package upstream

import (
	"net/http"
	"strings"
	"unicode/utf8"
)

// FoldHeaderName makes X-User of X_User, X.User and X!User, as CGI, WSGI, PHP and Rack do.
func FoldHeaderName(name string) string {
	if isPlainHeaderName(name) {
		return name
	}
	return strings.Map(func(c rune) rune {
		if c < utf8.RuneSelf && isPlainHeaderName(string(c)) {
			return c
		}
		return '-'
	}, name)
}

// stripSpoofable removes from h the headers that only a proxy may set, and every name with a
// byte other than letters, digits and hyphens: CGI, WSGI, PHP and Rack fold X_User and X.User
// into the variable of X-User. net/http has canonicalised the other names, so that exact
// names suffice below.
func stripSpoofable(h http.Header) {
	for name := range h {
		if !IsCommonHeader(name) && (!isPlainHeaderName(name) || isSpoofable(name) || isIdentityHeader(name)) {
			delete(h, name)
		}
	}
}

// IsCommonHeader recognises the headers that nearly every request of a browser has.
func IsCommonHeader(name string) bool {
	switch name {
	case "Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Connection",
		"Content-Length", "Content-Type", "Cookie", "Origin", "Pragma", "Priority",
		"Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Upgrade-Insecure-Requests",
		"User-Agent", "X-Requested-With":
		return true
	}
	return false
}

func isPlainHeaderName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return name != ""
}

// isSpoofable reports whether some server might trust this request header for identity,
// address, scheme, path or method. The first byte distinguishes most names, so that an
// ordinary header costs one comparison.
func isSpoofable(name string) bool {
	switch name[0] {
	case 'A': // Argo CD's extensions overwrite the first two only where they have a value; LemonLDAP::NG, JBoss
		return hasAnyPrefix(name, "Argocd-User", "Argocd-Target-Cluster-", "Auth-", "Authuser", "Ajp-", "Akamai-",
			"Ali-Cdn-", "Affiliation", "Athenz-")
	case 'B':
		return hasAnyPrefix(name, "Base-Url")
	case 'C': // Cloudflare; RFC 9440; PHP's HTTP_CLIENT_IP; mod_auth_cas
		return hasAnyPrefix(name, "Cf-", "Client-Cert", "Client-Ip", "Cas-", "Cdn-Src-Ip", "Cert-", "Claim-")
	case 'D':
		return name == "Do-Connecting-Ip"
	case 'E': // Shibboleth; Elasticsearch
		return name == "Eppn" || hasAnyPrefix(name, "Es-Security-Runas-", "Enduser", "Entitlement")
	case 'F':
		return hasAnyPrefix(name, "Forwarded", "Fastly-Client", "Fly-", "Front-End-Https")
	case 'G': // oauth2-proxy of old; grpc-gateway makes metadata of them, above all Authorization
		return hasAnyPrefix(name, "Gap-", "Grpc-Metadata-", "Grpcgateway-")
	case 'H': // h2c; Host in addition to :authority (RFC 9113, 8.3.1)
		return name == "Http2-Settings" || name == "Host"
	case 'I': // Kubernetes: with an injected credential that may impersonate, cluster-admin; IBM's WebSEAL
		return hasAnyPrefix(name, "Impersonate-", "Iv-", "Incap-Client-Ip")
	case 'K': // Kubeflow, Kiali, Ory, Keycloak
		return hasAnyPrefix(name, "Kubeflow-", "Kiali-", "Kratos-", "Keycloak-")
	case 'M':
		return name == "Mail" || hasAnyPrefix(name, "Mellon-", "Memberof", "Member-Of")
	case 'N':
		return hasAnyPrefix(name, "Ns-Client-", "Ngrok-Auth-")
	case 'O': // mod_auth_openidc; Oracle
		return hasAnyPrefix(name, "Oidc-", "Oam-", "Osso-", "On-Behalf-Of")
	case 'P': // Proxy is the HTTP_PROXY of a CGI (httpoxy)
		return name == "Proxy" || name == "Path-Info" || name == "Persistent-Id" || hasAnyPrefix(name, "Proxy-")
	case 'R':
		return hasAnyPrefix(name, "Remote-", "Request-Uri")
	case 'S': // SiteMinder, Shibboleth
		return name == "Script-Name" || name == "Smuser" || name == "Ssotoken" || hasAnyPrefix(name, "Sm-", "Ssl-",
			"Shib-", "Sso-")
	case 'T':
		return name == "True-Client-Ip" || name == "Targeted-Id" || name == "Thanos-Tenant" || hasAnyPrefix(name,
			"Tailscale-", "Teleport-", "Tls-Client-")
	case 'U':
		return name == "Uid" || name == "Unscoped-Affiliation" || strings.HasPrefix(name, "User") &&
			isSpoofableUser(name[len("User"):])
	case 'V':
		return name == "Via"
	case 'W':
		return hasAnyPrefix(name, "Webauth-", "Wl-")
	case 'X':
		return strings.HasPrefix(name, "X-") && isSpoofableX(name[len("X-"):])
	}
	return false
}

// isSpoofableUser is isSpoofable for the part after User or X-User. Browsers and gRPC-web send
// User-Agent and X-User-Agent about themselves.
func isSpoofableUser(rest string) bool {
	switch rest {
	case "", "id", "name", "info", "email", "mail", "role", "roles", "group", "groups", "principal", "dn":
		return true
	}
	return rest[0] == '-' && !strings.HasPrefix(rest, "-Agent")
}

// isIdentityHeader reports whether a name ends like those with which proxies identify users,
// with the name of any product before it: Kiali-User, X-Sso-User, X-Proxy-Roles. Browsers
// themselves send one such name.
func isIdentityHeader(name string) bool {
	switch name[len(name)-1] {
	case 'r':
		return strings.HasSuffix(name, "-User") && name != "Sec-Fetch-User"
	case 'd':
		return hasAnySuffix(name, "-Userid", "-User-Id", "-Orgid", "-Tenant-Id")
	case 'e':
		return hasAnySuffix(name, "-Username", "-User-Name")
	case 'l':
		return hasAnySuffix(name, "-Email", "-Principal")
	case 's':
		return hasAnySuffix(name, "-Groups", "-Roles")
	case 'n':
		return hasAnySuffix(name, "-Jwt-Assertion", "-Dn")
	case 'o':
		return hasAnySuffix(name, "-Userinfo", "-User-Info")
	}
	return false
}

func hasAnySuffix(name string, suffixes ...string) bool {
	for _, end := range suffixes {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// isSpoofableX is isSpoofable for the part after X-.
func isSpoofableX(name string) bool {
	switch name {
	case "Email", "Groups", "Group", "Roles", "Role", "Login", "Principal", "Subject", "Sub", "Uid", "Mail",
		"Identity", "Userinfo", "Tenant", "Thanos-Tenant",
		"Authuser", "Authenticated", "Enduser", "Memberof", "Member-Of", "On-Behalf-Of", // identity
		"Scheme", "Url-Scheme", "Https", "Real-Ip", "Cluster-Client-Ip", "Originating-Ip", "Coming-From", // address
		// what is run, as opposed to what was decided
		"Host", "Host-Override", "Method", "Method-Override", "Verb-Override", "Httpmethod-Override", "Override-Url",
		"Script-Name", "Path-Info", "Context-Path", "Ingress-Path", "Request-Uri":
		return true
	case "":
		return false
	}
	switch name[0] {
	case 'A':
		if rest, ok := strings.CutPrefix(name, "Auth-"); ok {
			return rest != "Token" && rest != "Key" // credentials of APIs: CouchDB, OpenStack, Cloudflare
		}
		return name == "Access-Token" || hasAnyPrefix(name, "Authenticated-", "Authentik-", "Anonymous-Consumer",
			"Accel-", "Azure-", "Appengine-", "Apigateway-Api-Userinfo",
			"Arr-", "Akamai-", "Athenz-", "Amzn-Oidc-", "Amzn-Mtls-", "Amzn-Tls-") // but not X-Amzn-Trace-Id
	case 'C':
		return hasAnyPrefix(name, "Client-Ip", "Client-Cert", "Client-Dn", "Client-Verify", "Client-Subject",
			"Client-Issuer", "Client-S-", "Client-I-", "Client-Cn",
			"Client-San", "Client-Serial", "Client-Fingerprint", "Client-Tls", "Client-Ssl", "Consumer-", "Credential-",
			"Cert-", "Certificate-", "Cas-", "Claim-", "Claims", "Cognito-")
	case 'E':
		return hasAnyPrefix(name, "Envoy-", "Endpoint-Api-Userinfo")
	case 'F':
		return hasAnyPrefix(name, "Forwarded")
	case 'G':
		return hasAnyPrefix(name, "Goog-Authenticated-User-", "Goog-Iap-", "Google-Real-Ip")
	case 'H':
		return hasAnyPrefix(name, "Http-Method", "Http-Verb", "Http-Host", "Http-Path", "Hydra-", "Hasura-User",
			"Hasura-Role", "Hasura-Allowed-Roles", "Hasura-Default-Role")
	case 'I':
		return name == "Id-Token" || hasAnyPrefix(name, "Identity-", "Impersonate", "Ibm-Cloud-", "Iv-")
	case 'J':
		return hasAnyPrefix(name, "Jwt-")
	case 'K':
		return hasAnyPrefix(name, "Kratos-", "Kubeflow-", "Kiali-", "Keycloak-", "Krb5-")
	case 'L':
		return hasAnyPrefix(name, "Ldap-")
	case 'M':
		return hasAnyPrefix(name, "Ms-Client-Principal", "Ms-Token-", "Ms-Forwarded-Client-Ip")
	case 'O':
		return hasAnyPrefix(name, "Original-", "Oidc-", "Okta-", "Ory-")
	case 'P': // NiFi and Knox: X-ProxiedEntitiesChain; OpenSearch: X-Proxy-User
		return hasAnyPrefix(name, "Pomerium-", "Proxy", "Proxied", "Presto-User", "Project-")
	case 'R':
		return hasAnyPrefix(name, "Remote-", "Rewrite-", "Rh-Identity", "Ror-", "Run-As", "Runas")
	case 'S':
		return hasAnyPrefix(name, "Ssl-", "Sendfile", "Sso-", "Scope-Orgid", "Session-User", "Spiffe-", "Spinnaker-",
			"Sandstorm-", "Serverless-Authorization", "Saml-", "Shib-", "Sm-")
	case 'T':
		return hasAnyPrefix(name, "Token-", "Tenant-", "Tls-", "Trino-User", "Trino-Original-User", "Teleport-")
	case 'U':
		return strings.HasPrefix(name, "User") && isSpoofableUser(name[len("User"):])
	case 'V':
		return hasAnyPrefix(name, "Vouch-", "Vercel-")
	case 'W':
		return hasAnyPrefix(name, "Webauth-", "Wso2-")
	}
	return false
}

func hasAnyPrefix(name string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// IsOverrideHeader reports whether servers run another method, path or host because of a header.
// It finds every spelling of which CGI, WSGI, PHP or Rack make the same variable.
func IsOverrideHeader(name string) bool {
	if name == "" || name[0]|0x20 != 'x' {
		return false
	}
	folded := FoldHeaderName(name)
	switch strings.ToLower(folded) {
	case "x-http-method-override", "x-http-method", "x-method-override", "x-method", "x-httpmethod-override",
		"x-http-verb", "x-verb-override",
		"x-rewrite-url", "x-rewrite-uri", "x-http-path-override", "x-override-url", "x-http-host-override", "x-host-override":
		return true
	}
	if folded = http.CanonicalHeaderKey(folded); folded == name {
		return false
	}
	// The ingress sets X-Original-URL and similar headers, but only in this spelling.
	switch folded {
	case "X-Original-Url", "X-Original-Uri", "X-Original-Method", "X-Forwarded-Uri", "X-Forwarded-Method",
		"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix":
		return true
	}
	return false
}
