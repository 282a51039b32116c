package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

// TLS says with what authgate ends TLS itself, on listen; adminListen has none.
type TLS struct {
	CertFile string `yaml:"certFile" is:"file"`
	KeyFile  string `yaml:"keyFile"  is:"file"`
}

// Enabled reports whether the port speaks TLS.
func (t TLS) Enabled() bool { return t.CertFile != "" }

func (t TLS) check(at node) {
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		at.key("keyFile").addFault("is missing, and certFile is worth nothing without it", "name the private key of the certificate, in PEM")
	case t.CertFile == "" && t.KeyFile != "":
		at.key("certFile").addFault("is missing, and the port would speak without TLS", "name the certificate of the key, in PEM, with its chain")
	}
}

// checkListen takes an address that net.Listen takes, with its port as a number:
// what a name such as "http" means differs from machine to machine.
func checkListen(address string, at node) {
	const hint = `write ":8080" for every interface or "127.0.0.1:8080" for one`
	if file, isSocket := socketPath(address); isSocket {
		at.addProblem(checkSocket(file))
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		at.addFault(text.Quote(address)+" is not host:port", hint)
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		at.addFault(text.Quote(address)+" has no port from 0 to 65535", hint)
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !validName(host) {
		at.addFault(text.Quote(address)+" has no valid host", hint)
	}
}

// isEphemeralPort reports whether the system picks a port, another one each time.
func isEphemeralPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && strings.Trim(port, "0") == ""
}

func checkPathPrefix(prefix string, at node) {
	if c := checkCanonicalPath(prefix); c.message != "" {
		at.addProblem(c)
	} else if prefix == "/" {
		at.addFault("must not be the whole host", "write /oauth2")
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
