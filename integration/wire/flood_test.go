package wire_test

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// flooded runs a flood, and sends requests as another client meanwhile and afterwards.
func flooded(t *testing.T, g *gate, flood func()) {
	t.Helper()
	g.ask(get("/quick", "Connection: close")) // what is made once, is made
	before := g.cost()
	done := make(chan struct{})
	go func() {
		defer close(done)
		flood()
	}()
	for asked := 0; ; asked++ {
		begun := time.Now()
		if a := g.ask(get("/quick", "Connection: close")); a.status != 200 || time.Since(begun) > 3*time.Second {
			t.Errorf("another client is answered with %s after %s", a, time.Since(begun))
		}
		select {
		case <-done:
			if asked > 0 {
				g.returnsTo(before)
				return
			}
		default:
		}
	}
}

// quickOnly answers /quick, and leaves all else open until authgate gives it up.
func quickOnly(most *atomic.Int64) func(net.Conn, *arrival) bool {
	var open atomic.Int64
	return func(conn net.Conn, a *arrival) bool {
		if a.target() == "/quick" {
			return sayFine(conn, a)
		}
		now := open.Add(1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			continue
		}
		defer open.Add(-1)
		return waitForTheEnd(conn, a)
	}
}

// TestRapidResetIsBounded opens streams and takes them back at once
// (CVE-2023-44487): what they started must not pile up.
func TestRapidResetIsBounded(t *testing.T) {
	t.Parallel()
	var most atomic.Int64
	g := newGate(t, newUpstream(t, quickOnly(&most)), nil)
	flooded(t, g, func() {
		f := g.speakFrames(t)
		go io.Copy(io.Discard, f.Conn) // ends with the connection
		for i := range uint32(20_000) {
			stream := 2*i + 1
			f.request(stream, true, plain("/held")...)
			if f.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
				break
			}
		}
		f.Close() // whatever state it is in
	})
	if most.Load() > 250 {
		t.Errorf("%d requests were open at the upstream at once", most.Load())
	}
}

// TestStreamsOfOneConnectionAreBounded: 100 at once are announced; a client that
// opens more gets an error for each.
func TestStreamsOfOneConnectionAreBounded(t *testing.T) {
	t.Parallel()
	var most atomic.Int64
	g := newGate(t, newUpstream(t, quickOnly(&most)), nil)
	flooded(t, g, func() {
		f := g.speakFrames(t)
		for i := range uint32(150) {
			f.request(2*i+1, true, plain("/held")...)
		}
		if got := f.answer(299); !strings.Contains(got, "REFUSED_STREAM") && !strings.Contains(got, "PROTOCOL_ERROR") {
			t.Errorf("the 150th stream is answered with %s", got)
		}
		f.Close() // the rest is given up
	})
	if most.Load() > 100 {
		t.Errorf("%d requests were open at the upstream at once", most.Load())
	}
}

// TestContinuationFloodEnds: a header block without an end (CVE-2023-45288) ends
// the connection soon after it has passed limits.headerBytes.
func TestContinuationFloodEnds(t *testing.T) {
	t.Parallel()
	g := newGate(t, newUpstream(t, sayFine), nil)
	flooded(t, g, func() {
		f := g.speakFrames(t)
		go io.Copy(io.Discard, f.Conn) // ends with the connection
		block := f.fields(field{"x-a", strings.Repeat("\xff", 8_000)})
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.fields(plain("/a")...), EndStream: true}) // as below
		sent := 0
		for f.WriteContinuation(1, false, block) == nil {
			if sent += len(block); sent > 64<<20 {
				t.Error("64 MiB of one header block were taken")
				return
			}
		}
	})
}

// TestControlFramesCannotBeFlooded: a client that asks and never reads.
func TestControlFramesCannotBeFlooded(t *testing.T) {
	t.Parallel()
	g := newGate(t, newUpstream(t, sayFine), nil)
	for name, write := range map[string]func(*frames) error{
		"PING":     func(f *frames) error { return f.WritePing(false, [8]byte{}) },
		"SETTINGS": func(f *frames) error { return f.WriteSettings() },
		"SETTINGS of a window": func(f *frames) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		},
		"PRIORITY":         func(f *frames) error { return f.WritePriority(1, http2.PriorityParam{StreamDep: 3}) },
		"WINDOW_UPDATE":    func(f *frames) error { return f.WriteWindowUpdate(0, 1) },
		"an unknown frame": func(f *frames) error { return f.WriteRawFrame(0x99, 0, 0, nil) },
	} {
		flooded(t, g, func() {
			f := g.speakFrames(t)
			_ = f.SetWriteDeadline(time.Now().Add(3 * time.Second)) // where authgate stops to read, that is an end, too
			for range 50_000 {
				if write(f) != nil {
					break
				}
			}
			f.Close() // whatever state it is in
		})
		if t.Failed() {
			t.Fatalf("at the flood of %s frames", name)
		}
	}
}

// TestManyConnectionsLeaveNothingBehind: half requests, by the hundred.
func TestManyConnectionsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	g := newGate(t, newUpstream(t, sayFine), nil)
	flooded(t, g, func() {
		for i := range 300 {
			conn := dial(t, g.address)
			if _, err := io.WriteString(conn, get("/a")[:5+i%30]); err != nil {
				t.Error(err)
				return
			}
		}
	})
}
