//go:build !unix

package http1

// hasPending needs sockets of Unix. Elsewhere, a stale connection fails when it is used.
func hasPending(uintptr) bool { return false }
