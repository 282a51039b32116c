package client

import "net/netip"

// ForwardedFor is the walk through X-Forwarded-For, for the fuzzer.
func ForwardedFor(rd *Reader, lines []string, peer netip.Addr) netip.Addr {
	addr, _ := rd.forwardedFor(lines, peer, "")
	return addr
}
