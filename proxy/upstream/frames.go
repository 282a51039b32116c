package upstream

import "encoding/binary"

// frameParser follows the frames of a WebSocket (RFC 6455, 5.2) through the bytes of a tunnel, to
// know where a frame ends: only there may another be inserted. It keeps no payload and trusts
// no peer. Bytes that are not a WebSocket only produce a wrong boundary. The zero value is
// before the first frame.
type frameParser struct {
	header      [14]byte // of the frame that is being read
	headerBytes int      // bytes of it
	payloadLeft uint64   // bytes of payload to come
	invalid     bool     // a length that no frame can have: nothing is known any more
	closeSeen   bool     // a Close frame has begun: no frame may follow it
}

const opcodeClose = 0x8

// observe parses the next bytes.
func (f *frameParser) observe(b []byte) {
	for len(b) > 0 && !f.invalid {
		if f.payloadLeft > 0 {
			n := min(f.payloadLeft, uint64(len(b)))
			f.payloadLeft -= n
			b = b[n:]
			continue
		}
		f.header[f.headerBytes] = b[0]
		f.headerBytes++
		b = b[1:]
		if f.headerBytes >= 2 && f.headerBytes == f.headerLength() {
			f.parseHeader()
		}
	}
}

// headerLength is the length of the current header, from its first two bytes.
func (f *frameParser) headerLength() int {
	n := 2
	switch f.header[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.header[1]&0x80 != 0 { // masked
		n += 4
	}
	return n
}

// parseHeader reads a complete header.
func (f *frameParser) parseHeader() {
	switch length := f.header[1] & 0x7f; length {
	case 126:
		f.payloadLeft = uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		f.payloadLeft = binary.BigEndian.Uint64(f.header[2:])
		f.invalid = f.payloadLeft>>63 != 0 // "the most significant bit MUST be 0"
	default:
		f.payloadLeft = uint64(length)
	}
	f.closeSeen = f.closeSeen || f.header[0]&0x0f == opcodeClose
	f.headerBytes = 0
}

// canInsertClose reports whether a Close frame may be inserted here.
func (f *frameParser) canInsertClose() bool {
	return f.headerBytes == 0 && f.payloadLeft == 0 && !f.invalid && !f.closeSeen
}

// Close codes of RFC 6455, 7.4.1.
const (
	closeGoingAway = 1001
	closePolicy    = 1008
)

// closeFrame is a server's Close frame: not masked, its code and a reason of at
// most 123 bytes.
func closeFrame(code uint16, reason string) []byte {
	reason = reason[:min(len(reason), 123)]
	frame := []byte{0x80 | opcodeClose, byte(2 + len(reason))}
	frame = binary.BigEndian.AppendUint16(frame, code)
	return append(frame, reason...)
}
