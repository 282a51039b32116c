package upstream

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/proxy/stream"
)

// halfCloseTimeout is how long one direction may continue after the other has ended: enough for
// what was already sent. WebSockets end with Close frames.
const halfCloseTimeout = 60 * time.Second

// tunnel is an open WebSocket. It has a goroutine for each direction, and outlasts the handler of
// its request: net/http's connection, the request and their buffers are garbage while it is open.
type tunnel struct {
	w        *Recorder
	client   net.Conn
	upstream io.ReadWriteCloser
	log      *slog.Logger
	ended    func()      // of its exchange
	frames   frameParser // from the upstream

	running                  atomic.Int32               // directions
	closeTimer               atomic.Pointer[time.Timer] // closes both; runs when one direction has ended
	fromClient, fromUpstream [idleBuffer]byte           // of reads that wait
}

const (
	idleBuffer   = 512     // of a read that may wait for long: most messages of a terminal fit
	tunnelBuffer = 4 << 10 // for what is longer
)

var tunnelBuffers = sync.Pool{New: func() any { return new([tunnelBuffer]byte) }}

// startTunnel takes over both connections.
func startTunnel(w *Recorder, client net.Conn, upstream io.ReadWriteCloser, log *slog.Logger) *tunnel {
	t := &tunnel{w: w, client: client, upstream: upstream, log: log}
	w.status = http.StatusSwitchingProtocols
	if !w.stream.SetInterrupt(func() {
		_ = t.client.SetWriteDeadline(time.Now().Add(stream.CloseTimeout))
		_ = t.upstream.Close()
	}) {
		_ = t.upstream.Close() // toClient ends immediately, and sends a Close frame
	}
	t.ended = w.exchange.Detach()
	w.ResponseWriter = nil
	t.running.Store(2)
	return t
}

// run sends the 101 and starts to copy bytes both ways. early is what the client sent before it
// received the response.
func (t *tunnel) run(head http.Header, early []byte) {
	var first strings.Builder
	first.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = head.Write(&first)
	first.WriteString("\r\n")
	if _, err := io.WriteString(t.client, first.String()); err != nil {
		t.close()
	}
	go t.direction(t.toClient)
	go t.direction(func() { t.toUpstream(early) })
}

// direction runs one direction. The last one to end ends the exchange.
func (t *tunnel) direction(copyAll func()) {
	defer func() {
		if reason := recover(); reason != nil { // net/http does so for handlers
			t.log.Error("panic in a WebSocket", "reason", reason, "stack", string(debug.Stack()))
			t.close()
		}
		if t.running.Add(-1) == 0 {
			t.close()
			t.w.cancel(nil)
			t.ended()
		}
	}()
	copyAll()
}

func (t *tunnel) close() {
	if timer := t.closeTimer.Load(); timer != nil {
		timer.Stop()
	}
	_ = t.client.Close()
	_ = t.upstream.Close()
}

// toClient copies what the upstream sends, and parses its frames. Everything that the client
// gets is written here, so that a Close frame comes between two frames.
func (t *tunnel) toClient() {
	err := copyIdle(t.upstream, t.fromUpstream[:], func(b []byte) error {
		t.w.stream.MarkWriting(true)
		n, err := t.client.Write(b)
		t.w.stream.MarkWriting(false)
		t.w.bytes += int64(n)
		t.frames.observe(b[:n])
		return err
	})
	switch {
	case t.w.stream.CutReason() != "":
		t.sendCloseFrame()
	case err != nil:
		t.close()
	default:
		t.halfClose(t.client)
	}
}

// toUpstream copies what the client sends. It continues to read for a moment after the upstream
// is gone: closing a connection with unread bytes would reset it, and the reset could reach
// the client before the Close frame.
func (t *tunnel) toUpstream(early []byte) {
	write := func(b []byte) error {
		_, err := t.upstream.Write(b)
		return err
	}
	var err error
	if len(early) > 0 {
		err = write(early)
	}
	if err == nil {
		err = copyIdle(t.client, t.fromClient[:], write)
	}
	switch {
	case t.w.stream.CutReason() != "":
		_ = copyIdle(t.client, t.fromClient[:], func([]byte) error { return nil })
	case err != nil:
		t.close()
	default:
		t.halfClose(t.upstream)
	}
}

// copyIdle copies until an error, which is nil at the end. While it waits, it has no other buffer
// than idle.
func copyIdle(from io.Reader, idle []byte, write func([]byte) error) error {
	for {
		n, err := copyOnce(from, idle, write)
		if n == len(idle) && err == nil {
			err = copyBurst(from, write)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// copyBurst copies while there is more than fits into a buffer.
func copyBurst(from io.Reader, write func([]byte) error) error {
	buffer := tunnelBuffers.Get().(*[tunnelBuffer]byte)
	defer tunnelBuffers.Put(buffer)
	for {
		if n, err := copyOnce(from, buffer[:], write); err != nil || n < len(buffer) {
			return err
		}
	}
}

func copyOnce(from io.Reader, buffer []byte, write func([]byte) error) (int, error) {
	n, err := from.Read(buffer)
	if n > 0 {
		if failure := write(buffer[:n]); failure != nil {
			return n, failure
		}
	}
	return n, err
}

// halfClose forwards that one direction has ended.
func (t *tunnel) halfClose(to any) {
	if closeWrite(to) != nil {
		t.close()
		return
	}
	if timer := time.AfterFunc(halfCloseTimeout, t.close); !t.closeTimer.CompareAndSwap(nil, timer) {
		timer.Stop() // the other direction has ended as well
	}
}

// sendCloseFrame ends a tunnel that was cut, with a Close frame if one may be sent here.
func (t *tunnel) sendCloseFrame() {
	code, reason := uint16(closePolicy), t.w.stream.CutReason()
	if reason == stream.Shutdown {
		code = closeGoingAway
	}
	if t.frames.canInsertClose() {
		_ = t.client.SetWriteDeadline(time.Now().Add(stream.CloseTimeout))
		_, _ = t.client.Write(closeFrame(code, reason))
	}
	_ = closeWrite(t.client)
	_ = t.client.SetReadDeadline(time.Now().Add(stream.CloseTimeout))
}

// closeWrite ends one direction.
func closeWrite(c any) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
