package proxy

import (
	"net/http"
	"strings"

	"github.com/example-org/authgate/identity"
)

// believed are the request headers that some server behind might believe about
// identity, address, scheme, path or method. A client's own never reach it.
var believed = map[string]bool{
	// who: reverse proxies and the servers that trust them
	"Remote-User": true, "Remote-Name": true, "Remote-Email": true, "Remote-Groups": true,
	"X-Authenticated-User": true, "X-User": true, "X-Email": true, "X-Groups": true, "X-Client-Cert": true,
	"X-Goog-Iap-Jwt-Assertion": true, "Sm-User": true, "X-Proxyuser-Ip": true,
	// where from
	"Forwarded": true, "X-Forwarded": true, "X-Real-Ip": true, "X-Client-Ip": true, "True-Client-Ip": true,
	"X-Original-Host": true, "X-Original-For": true, "X-Original-Forwarded-For": true, "Fastly-Client-Ip": true,
	"X-Cluster-Client-Ip": true, "X-Scheme": true, "X-Url-Scheme": true, "Front-End-Https": true, "Via": true,
	// what is run, as opposed to what was judged
	"X-Original-Url": true, "X-Original-Uri": true, "X-Original-Method": true, "X-Rewrite-Url": true,
	"X-Http-Method-Override": true, "X-Http-Method": true, "X-Method-Override": true,
	"X-Script-Name": true, "Script-Name": true, "Path-Info": true,
	// hop by hop, or the environment of a CGI (httpoxy)
	"Proxy": true, "Proxy-Connection": true, "Proxy-Authorization": true, "Http2-Settings": true,
}

// believedFamilies are the same by prefix.
var believedFamilies = []string{
	"X-Forwarded-", "X-Auth-Request-", "X-Remote-", "X-Webauth-", "X-Authentik-", "X-Vouch-", "X-Pomerium-",
	"X-Goog-Authenticated-User-", "X-Ms-Client-Principal", "X-Ms-Token-", "X-Token-", "Cf-", "Tailscale-User-", "Gap-",
	"X-Amzn-Oidc-", "X-Amzn-Mtls-", "X-Amzn-Tls-", "X-Ssl-Client-", "Ssl-Client-", "Client-Cert", "Impersonate-",
	"Grpc-Metadata-", "Grpcgateway-", "X-Envoy-", "X-Azure-", "X-Accel-", "X-Sendfile", "Argocd-User",
	"Argocd-Target-Cluster-",
}

// dropBelieved takes from h what only a proxy may say. A name with any byte but
// letters, digits and hyphens goes too: CGI, WSGI, PHP and Rack fold X_User and
// X.User into the variable of X-User.
func dropBelieved(h http.Header) {
	for name := range h {
		if believed[name] || !plainName(name) || inFamily(name) {
			delete(h, name)
		}
	}
}

func inFamily(name string) bool {
	for _, prefix := range believedFamilies {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func plainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// setForwarded says where the request came from, anew.
func setForwarded(h http.Header, c client) {
	if addr := c.address(); addr != "" {
		h.Set("X-Forwarded-For", addr)
		h.Set("X-Real-Ip", addr)
	}
	h.Set("X-Forwarded-Proto", c.scheme)
	h.Set("X-Forwarded-Host", c.host)
}

// setIdentity says who is asking, under the names that oauth2-proxy made common:
// User is the subject, which no user can choose. An e-mail that the issuer has
// not verified is nobody's, and is not told.
func setIdentity(h http.Header, who identity.Principal) {
	email := ""
	if who.EmailVerified {
		email = who.Email
	}
	groups := make([]string, len(who.Groups))
	for i, g := range who.Groups {
		groups[i] = headerValue(g)
	}
	set := func(name, value string) {
		if value != "" {
			h.Set("X-Forwarded-"+name, value)
			h.Set("X-Auth-Request-"+name, value)
		}
	}
	set("User", headerValue(who.Subject))
	set("Email", headerValue(email))
	set("Preferred-Username", headerValue(who.Username))
	set("Groups", strings.Join(groups, ","))
}

// headerValue percent-encodes what is not plain ASCII, and the comma and percent
// sign, so that no name can make two groups or two headers.
func headerValue(s string) string {
	const hex = "0123456789ABCDEF"
	var b []byte
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' || c == ',' || c == '%' {
			if b == nil {
				b = append(make([]byte, 0, len(s)+8), s[:i]...)
			}
			b = append(b, '%', hex[c>>4], hex[c&15])
			continue
		}
		if b != nil {
			b = append(b, c)
		}
	}
	if b == nil {
		return s
	}
	return string(b)
}
