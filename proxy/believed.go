package proxy

import (
	"net/http"
	"strings"
)

// dropBelieved takes from h what only a proxy may say, and every name with a byte
// but letters, digits and hyphens: CGI, WSGI, PHP and Rack fold X_User and X.User
// into the variable of X-User. net/http has brought the other names to one
// spelling, so that exact ones suffice below.
func dropBelieved(h http.Header) {
	for name := range h {
		if !plainName(name) || believed(name) {
			delete(h, name)
		}
	}
}

func plainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return name != ""
}

// believed reports whether some server behind might believe this request header
// about identity, address, scheme, path or method. The first byte tells most
// names apart, so that an ordinary header costs one comparison.
func believed(name string) bool {
	switch name[0] {
	case 'A': // Argo CD's extensions overwrite these only where they have a value
		return hasAny(name, "Argocd-User", "Argocd-Target-Cluster-")
	case 'C': // Cloudflare; RFC 9440
		return hasAny(name, "Cf-", "Client-Cert")
	case 'F':
		return hasAny(name, "Forwarded", "Fastly-Client", "Front-End-Https")
	case 'G': // oauth2-proxy of old; grpc-gateway makes metadata of them, above all Authorization
		return hasAny(name, "Gap-", "Grpc-Metadata-", "Grpcgateway-")
	case 'H': // h2c; Host beside :authority (RFC 9113, 8.3.1)
		return name == "Http2-Settings" || name == "Host"
	case 'I': // Kubernetes: with an injected credential that may impersonate, cluster-admin
		return hasAny(name, "Impersonate-")
	case 'P': // Proxy is the HTTP_PROXY of a CGI (httpoxy)
		return name == "Proxy" || name == "Path-Info" || hasAny(name, "Proxy-")
	case 'R':
		return hasAny(name, "Remote-")
	case 'S':
		return name == "Sm-User" || name == "Script-Name" || hasAny(name, "Ssl-Client-")
	case 'T':
		return name == "True-Client-Ip" || hasAny(name, "Tailscale-User-")
	case 'V':
		return name == "Via"
	case 'X':
		return strings.HasPrefix(name, "X-") && believedX(name[len("X-"):])
	}
	return false
}

// believedX is believed for what stands behind X-.
func believedX(name string) bool {
	switch name {
	case "User", "Email", "Groups", "Scheme", "Url-Scheme", "Real-Ip", "Cluster-Client-Ip", "Proxyuser-Ip", // who, from where
		"Method-Override", "Rewrite-Url", "Script-Name": // what is run, as opposed to what was judged
		return true
	case "":
		return false
	}
	switch name[0] {
	case 'A':
		return hasAny(name, "Auth-Request-", "Authenticated-User", "Authentik-", "Accel-", "Azure-",
			"Amzn-Oidc-", "Amzn-Mtls-", "Amzn-Tls-") // but not X-Amzn-Trace-Id
	case 'C':
		return hasAny(name, "Client-Ip", "Client-Cert")
	case 'E':
		return hasAny(name, "Envoy-")
	case 'F':
		return hasAny(name, "Forwarded")
	case 'G':
		return hasAny(name, "Goog-Authenticated-User-", "Goog-Iap-Jwt-Assertion")
	case 'H':
		return hasAny(name, "Http-Method")
	case 'M':
		return hasAny(name, "Ms-Client-Principal", "Ms-Token-")
	case 'O':
		return hasAny(name, "Original-")
	case 'P':
		return hasAny(name, "Pomerium-")
	case 'R':
		return hasAny(name, "Remote-")
	case 'S':
		return hasAny(name, "Ssl-Client-", "Sendfile")
	case 'T':
		return hasAny(name, "Token-")
	case 'V':
		return hasAny(name, "Vouch-")
	case 'W':
		return hasAny(name, "Webauth-")
	}
	return false
}

func hasAny(name string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
