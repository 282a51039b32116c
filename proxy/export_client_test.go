package proxy

import (
	"net/netip"

	"github.com/example-org/authgate/config"
)

// What is fuzzed by itself.
var (
	SplitHost         = splitHost
	CanonicalOrigin   = canonicalOrigin
	IsSpoofable       = isSpoofable
	IsPlainHeaderName = isPlainHeaderName
	HasParameter      = hasParameter
	RequestID         = requestID
)

// SafeReturnPath reads rd under a path prefix.
func SafeReturnPath(prefix, rd string) string { return (&Proxy{prefix: prefix}).safeReturnPath(rd) }

// ForwardedFor walks X-Forwarded-For behind trusted proxies.
func ForwardedFor(trusted []netip.Prefix, lines []string, peer netip.Addr) netip.Addr {
	return (&Proxy{config: &config.Config{TrustedProxies: trusted}}).forwardedFor(lines, peer)
}
