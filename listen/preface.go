package listen

// preface is what a client of HTTP/2 begins with (RFC 9113, 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// opening follows the first bytes of a connection. net/http waits for 14 of them,
// then for all 24 of the preface, before it looks at any: a request line that is
// shorter and at fault would get its 400 only when the time for headers is over.
type opening struct {
	seen  int // bytes that have come, at most those of the preface
	asked int // how many net/http waits for; 0: not for the preface, or no more
}

// short is what net/http compares first: all that is special about the line.
const short = len("PRI * HTTP/2.0")

// follow takes note of what was read.
func (o *opening) follow(b []byte) {
	if o.asked < 0 || o.seen >= len(preface) {
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

// mismatch notes that no preface is coming, and whether somebody waits for one.
func (o *opening) mismatch(seen int, c byte) {
	const handshake = 22 // a record of TLS: not HTTP at all yet
	o.asked = -1
	if o.seen == 0 && c == handshake {
		return
	}
	switch {
	case seen < short:
		o.seen, o.asked = seen, short
	case seen < len(preface) && seen != short:
		o.seen, o.asked = seen, len(preface)
	}
}

// isOver reports whether a read that asks for n bytes is net/http's, for the rest
// of a preface that is not coming: it asks for exactly that rest, and gives up
// when nothing comes without an error (io.ErrNoProgress). No other read does.
func (o *opening) isOver(n int) bool {
	if o.asked <= 0 {
		return false
	}
	if n == o.asked-o.seen {
		return true
	}
	o.asked = -1
	return false
}
