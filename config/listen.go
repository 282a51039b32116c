package config

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// TLS says with what authgate ends TLS itself, on listen; adminListen has none.
type TLS struct {
	CertFile string `yaml:"certFile" is:"file"`
	KeyFile  string `yaml:"keyFile"  is:"file"`
}

// Enabled reports whether the port speaks TLS.
func (t TLS) Enabled() bool { return t.CertFile != "" }

func (t TLS) check(at yamlfile.Node) {
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		at.Key("keyFile").AddFault("is missing, and certFile is worth nothing without it",
			"name the private key of the certificate, in PEM")
	case t.CertFile == "" && t.KeyFile != "":
		at.Key("certFile").AddFault("is missing, and the port would speak without TLS",
			"name the certificate of the key, in PEM, with its chain")
	}
}

// checkListen takes an address that net.Listen takes, with its port as a number:
// what a name such as "http" means differs from machine to machine.
func checkListen(address string, at yamlfile.Node) {
	const hint = `write ":8080" for every interface or "127.0.0.1:8080" for one`
	if file, isSocket := socketPath(address); isSocket {
		checkSocket(file).addTo(at)
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		at.AddFault(text.Quote(address)+" is not host:port", hint)
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		at.AddFault(text.Quote(address)+" has no port from 0 to 65535", hint)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !validName(host) {
		at.AddFault(text.Quote(address)+" has no valid host", hint)
	}
}

// isEphemeralPort reports whether the system picks a port, another one each time.
func isEphemeralPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && strings.Trim(port, "0") == ""
}

func checkPathPrefix(prefix string, at yamlfile.Node) {
	if c := checkCanonicalPath(prefix); c.message != "" {
		c.addTo(at)
	} else if prefix == "/" {
		at.AddFault("must not be the whole host", "write /oauth2")
	}
}

// checkCanonicalPath wants a path in the form that requests are brought to before they
// are compared with it, without what could be read in two ways.
func checkCanonicalPath(path string) problem {
	p, err := target.Parse(path)
	switch {
	case err != nil:
		return problem{text.Quote(path) + " is not a path: " + err.Error(), "write it like /oauth2"}
	case p.HasEncodedSlash():
		return problem{text.Quote(path) + " holds an encoded slash", "write it like /oauth2"}
	case p.String() != path:
		return problem{text.Quote(path) + " is not in canonical form", "write " + text.Quote(p.String())}
	case path != "/" && strings.HasSuffix(path, "/"):
		return problem{text.Quote(path) + " has a trailing slash", "write " + text.Quote(strings.TrimRight(path, "/"))}
	}
	return problem{}
}

// parseTrustedProxy reads one of trustedProxies. It refuses what would match other
// addresses than it seems to.
func parseTrustedProxy(s string) (netip.Prefix, problem) {
	if s == "unix" {
		return UnixPeers(), problem{}
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		address, err := netip.ParseAddr(s)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, problem{
				text.Quote(s) + " is neither a CIDR nor an address",
				`write "10.0.0.0/16", "10.0.0.7" or unix`,
			}
		}
		prefix = netip.PrefixFrom(address, address.BitLen())
	}
	switch {
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, problem{
			text.Quote(s) + " is an IPv4-mapped IPv6 address and would never match",
			"write it without ::ffff:",
		}
	case prefix != prefix.Masked():
		return netip.Prefix{}, problem{
			text.Quote(s) + " has address bits after its mask",
			"write " + text.Quote(prefix.Masked().String()) + " for the network or " +
				text.Quote(prefix.Addr().String()) + " for the one address",
		}
	}
	return prefix, problem{}
}

// parseHTTPURL reads an absolute http or https URL. Faults repeat nothing of it:
// people put passwords into URLs.
func parseHTTPURL(raw, example string) (*url.URL, problem) {
	hint := "write it as " + example
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, problem{"is not a URL", hint}
	case strings.ContainsFunc(raw, unicode.IsControl), strings.ContainsFunc(u.Path, unicode.IsControl):
		return nil, problem{"has a control character", hint}
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, problem{"must be an absolute http or https URL with a host", hint}
	case u.User != nil:
		return nil, problem{"must not hold a user name or a password", hint}
	case strings.ContainsAny(raw, "?#"):
		return nil, problem{"must have neither a query nor a fragment", hint}
	case !validPort(u.Port()) && u.Port() != "" || strings.HasSuffix(u.Host, ":"):
		return nil, problem{"must have a port from 1 to 65535, or none", hint}
	}
	return u, problem{}
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// checkHost wants a host in the one form that requests are compared in.
func checkHost(host string) problem {
	if host == "*" {
		return problem{}
	}
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" || address.String() != host {
			return problem{
				text.Quote(host) + " is not how the address is written",
				"write " + text.Quote(address.WithZone("").String()),
			}
		}
		return problem{}
	}
	if u, err := url.Parse("//" + host); err == nil && u.Host == host && host != u.Hostname() && u.Hostname() != "" {
		return problem{
			text.Quote(host) + " has a port or brackets; a host counts on every port",
			"write " + text.Quote(u.Hostname()),
		}
	}
	lower := strings.TrimSuffix(strings.ToLower(host), ".")
	parent, wild := strings.CutPrefix(lower, "*.") // any one label in front
	switch {
	case wild && validName(parent) && host == lower:
		return problem{}
	case wild && validName(parent):
		return problem{text.Quote(host) + " is not how the host is compared", "write " + text.Quote(lower)}
	case strings.Contains(host, "*"):
		return problem{
			text.Quote(host) + " is a pattern that is not known",
			`write "*.example.com" for one label in front of a name, or name each host`,
		}
	case validName(host) && host == lower:
		return problem{}
	case validName(lower):
		return problem{text.Quote(host) + " is not how the host is compared", "write " + text.Quote(lower)}
	}
	return problem{
		text.Quote(host) + " is not a host",
		"write a name such as argo-cd.example.com, without scheme and path, and with other letters as xn--...",
	}
}

// checkOrigin wants what a browser would send as Origin (RFC 6454, 6.2): anything
// else never matches.
func checkOrigin(origin string) problem {
	u, c := parseHTTPURL(origin, "https://other.example.com")
	switch {
	case c.message != "":
		return c
	case u.Path != "":
		return problem{"is an origin and has no path", "write " + text.Quote(u.Scheme+"://"+u.Host)}
	case origin != strings.ToLower(origin):
		return problem{"is not how browsers write it", "write " + text.Quote(strings.ToLower(origin))}
	case u.Scheme == "http" && u.Port() == "80", u.Scheme == "https" && u.Port() == "443":
		return problem{
			"has the port that browsers leave out",
			"write " + text.Quote(strings.TrimSuffix(origin, ":"+u.Port())),
		}
	}
	return problem{}
}

func checkAuthority(host string) problem {
	u, c := parseHTTPURL("http://"+host, "")
	if c.message != "" || u.Host != host {
		return problem{
			text.Quote(host) + " is not a host",
			"write a name such as argo-cd.example.com, with a port where it needs one",
		}
	}
	return problem{}
}

// validName reports whether s is a host name of letters, digits, hyphens and
// underscores (RFC 1123, 2.1; the underscore is seen in internal names).
func validName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isAlphanumeric(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// maxSocketPath is what sockaddr_un takes, without the NUL at its end (unix(7)).
const maxSocketPath = 107

// UnixPeers is what `unix` in trustedProxies becomes: clients that connect through a
// Unix socket, and so has no address. No address is in it.
func UnixPeers() netip.Prefix { return netip.Prefix{} }

// socketPath gives the path of unix:/path/to.sock.
func socketPath(address string) (file string, isSocket bool) {
	return strings.CutPrefix(address, "unix:")
}

// checkSocket wants one spelling of a path that a socket can have: it is not
// relative to the file, because two programs have to mean the same one by it.
func checkSocket(file string) problem {
	const example = "write it as unix:/run/authgate/authgate.sock"
	switch {
	case strings.HasPrefix(file, "//"):
		return problem{"is not a path of a Unix socket: it begins with two slashes", "write unix: and one slash"}
	case !strings.HasPrefix(file, "/"):
		return problem{"must be an absolute path after unix:", example}
	case strings.ContainsFunc(file, unicode.IsControl):
		return problem{"has a control character, such as a line end, in its path", example}
	case file == "/":
		return problem{"is not a path of a Unix socket", example}
	case path.Clean(file) != file:
		return problem{"is not the shortest form of the path", "write " + text.Quote("unix:"+path.Clean(file))}
	case len(file) > maxSocketPath:
		return problem{
			"is a path of " + strconv.Itoa(len(file)) + " bytes; the system takes 107 for a Unix socket",
			"choose a shorter one, such as /run/authgate.sock",
		}
	}
	return problem{}
}
