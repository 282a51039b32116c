package proxy

import (
	"net/netip"

	"github.com/example-org/authgate/config"
)

// What is fuzzed by itself.
var (
	SplitHost       = splitHost
	CanonicalOrigin = canonicalOrigin
	Believed        = believed
	PlainName       = plainName
	HasParameter    = hasParameter
	RequestID       = requestID
)

// ReturnTo reads rd under a path prefix.
func ReturnTo(prefix, rd string) string { return (&Proxy{prefix: prefix}).returnTo(rd) }

// ForwardedFor walks X-Forwarded-For behind trusted proxies.
func ForwardedFor(trusted []netip.Prefix, lines []string, peer netip.Addr) netip.Addr {
	return (&Proxy{config: &config.Config{TrustedProxies: trusted}}).forwardedFor(lines, peer)
}
