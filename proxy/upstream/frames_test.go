package upstream

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/example-org/authgate/proxy/stream"
)

// frame makes one as RFC 6455, 5.2 draws it.
func frame(opcode byte, length int, masked bool) []byte {
	b := []byte{0x80 | opcode, 0}
	switch {
	case length < 126:
		b[1] = byte(length)
	case length < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(length))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(length))
	}
	if masked {
		b[1] |= 0x80
		b = append(b, 1, 2, 3, 4)
	}
	return append(b, bytes.Repeat([]byte{0x88}, length)...)
}

func TestAFrameMayFollowOnlyWhereOneHasEnded(t *testing.T) {
	t.Parallel()
	var f frameParser
	if !f.canInsertClose() {
		t.Error("not before the first frame")
	}
	for _, length := range []int{0, 1, 125, 126, 127, 65535, 65536, 70000} {
		for _, masked := range []bool{false, true} {
			whole := frame(1, length, masked)
			for i, b := range whole {
				f.observe([]byte{b})
				if last := i == len(whole)-1; f.canInsertClose() != last {
					t.Fatalf("length %d masked %t: byte %d of %d: %t", length, masked, i+1, len(whole), f.canInsertClose())
				}
			}
		}
	}
	f.observe(frame(opcodeClose, 2, false))
	if f.canInsertClose() {
		t.Error("after a Close frame")
	}
	f = frameParser{}
	f.observe([]byte{0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0})
	f.observe([]byte{0x81, 0})
	if f.canInsertClose() {
		t.Error("after a length that no frame has")
	}
}

// FuzzFrames: how the bytes are cut into reads makes no difference, and whole
// frames end where they end.
func FuzzFrames(f *testing.F) {
	for _, seed := range [][]byte{frame(1, 5, false), frame(2, 200, true), frame(8, 2, false), append(frame(9, 0,
		false), frame(1, 300, false)...), {0x82, 127, 0xff}, {}} {
		f.Add(seed, uint64(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, cuts uint64) {
		b = b[:min(len(b), 4096)]
		var whole, pieces frameParser
		whole.observe(b)
		random := rand.New(rand.NewPCG(cuts, 0))
		for rest := b; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			pieces.observe(rest[:n])
			rest = rest[n:]
		}
		if whole.canInsertClose() != pieces.canInsertClose() || whole.payloadLeft != pieces.payloadLeft || whole.closeSeen != pieces.closeSeen {
			t.Fatalf("in one: %+v, in pieces: %+v", whole, pieces)
		}
		if !whole.canInsertClose() {
			return
		}
		whole.observe(frame(1, int(cuts%70000), cuts&1 == 1))
		if !whole.canInsertClose() {
			t.Fatal("one more frame, and it is not at its end")
		}
		whole.observe(closeFrame(closePolicy, stream.Denied))
		if whole.canInsertClose() || whole.payloadLeft != 0 || whole.headerBytes != 0 {
			t.Fatalf("our own Close frame: %+v", whole)
		}
	})
}
