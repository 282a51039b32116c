package listen

// preface is the beginning of an HTTP/2 connection (RFC 9113, 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// prefaceTracker follows the first bytes of a connection. net/http waits for 14 of them,
// then for all 24 of the preface, before it reads any: a short, invalid request line would
// get its 400 only after the header timeout.
type prefaceTracker struct {
	seen    int // bytes that were read, at most those of the preface
	awaited int // how many net/http waits for; 0: not for the preface, or no longer
}

// prefaceLineLen is what net/http compares first: the distinctive part of the line.
const prefaceLineLen = len("PRI * HTTP/2.0")

// observe records what was read.
func (o *prefaceTracker) observe(b []byte) {
	if o.awaited < 0 || o.seen >= len(preface) {
		return
	}
	for i, c := range b {
		if o.seen+i < len(preface) && c == preface[o.seen+i] {
			continue
		}
		o.mismatch(o.seen+len(b), c)
		return
	}
	o.seen += len(b)
}

// mismatch records that no preface is coming, and reports whether net/http waits for one.
func (o *prefaceTracker) mismatch(seen int, c byte) {
	const handshake = 22 // a record of TLS: not HTTP yet
	o.awaited = -1
	if o.seen == 0 && c == handshake {
		return
	}
	switch {
	case seen < prefaceLineLen:
		o.seen, o.awaited = seen, prefaceLineLen
	case seen < len(preface) && seen != prefaceLineLen:
		o.seen, o.awaited = seen, len(preface)
	}
}

// isAbandonedRead reports whether a read of n bytes is net/http's, for the rest of a preface
// that is not coming: it asks for exactly that rest, and gives up after reads of nothing
// without an error (io.ErrNoProgress). No other read does.
func (o *prefaceTracker) isAbandonedRead(n int) bool {
	if o.awaited <= 0 {
		return false
	}
	if n == o.awaited-o.seen {
		return true
	}
	o.awaited = -1
	return false
}
