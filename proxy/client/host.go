package client

import (
	"net/netip"
	"strconv"
	"strings"
)

// CanonicalOrigin converts an origin to lower case and removes its scheme's default port. It
// is empty for everything that is not the origin of a web page, such as null.
func CanonicalOrigin(origin string) string {
	scheme, rest, _ := strings.Cut(strings.ToLower(origin), "://")
	if scheme != "http" && scheme != "https" {
		return ""
	}
	_, host := SplitHost(rest, scheme)
	if host == "" {
		return ""
	}
	return scheme + "://" + host
}

// SplitHost gives the name that selects an upstream, and the host as an origin contains it.
// A Host header must be one name or address, with an optional dot after a name and one
// optional port, so that no two servers read it as different hosts. Both results are empty
// for any other.
func SplitHost(raw, scheme string) (name, host string) {
	if len(raw) > maxHost {
		return "", ""
	}
	rawName, rawPort, hasPort := raw, "", false
	if at := strings.LastIndexByte(raw, ':'); at > strings.LastIndexByte(raw, ']') {
		rawName, rawPort, hasPort = raw[:at], raw[at+1:], true
	}
	name, ok := hostName(rawName)
	if !ok {
		return "", ""
	}
	host = bracketIPv6(name)
	if hasPort {
		port, ok := portNumber(rawPort)
		if !ok {
			return "", ""
		}
		if port != defaultPort(scheme) {
			host += ":" + port
		}
	}
	return name, host
}

// maxHost is the length of a name (RFC 1035, 2.3.4), its dot and a port.
const maxHost = 253 + len(".:65535")

// hostName converts a name to lower case and removes the dot after it. An address in brackets
// gets its canonical form (RFC 5952).
func hostName(raw string) (string, bool) {
	if inner, ok := strings.CutPrefix(raw, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return addr.String(), closed && err == nil && addr.Is6() && addr.Zone() == ""
	}
	name := strings.TrimSuffix(strings.ToLower(raw), ".")
	for i := range len(name) {
		c := name[i]
		ok := 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' ||
			c == '.' && i > 0 && name[i-1] != '.'
		if !ok {
			return "", false
		}
	}
	return name, name != "" && name[len(name)-1] != '.'
}

// portNumber removes leading zeros.
func portNumber(digits string) (string, bool) {
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || len(digits) > len("65535") {
		return "", false
	}
	return strings.TrimLeft(digits, "0"), true
}

// bracketIPv6 writes a name as a URL contains it: IPv6 addresses in brackets.
func bracketIPv6(name string) string {
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}
