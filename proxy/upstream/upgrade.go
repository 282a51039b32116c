package upstream

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/text"
)

// httputil.ReverseProxy loses what the client sends together with its handshake, and leaks the
// connection of an upstream that switches to another protocol (golang/go#80875). This code does
// neither, has smaller buffers, and sends a Close frame when a stream is cut.

// switchesProtocol reports whether a request becomes a WebSocket if the upstream agrees. Its
// Connection header must list the upgrade (RFC 9110, 7.8).
func switchesProtocol(r *http.Request) bool {
	return IsWebSocketUpgrade(r) && hasToken(r.Header["Connection"], "upgrade")
}

// hasToken reports whether comma-separated values contain a token.
func hasToken(values []string, token string) bool {
	for _, line := range values {
		for element := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(textproto.TrimString(element), token) {
				return true
			}
		}
	}
	return false
}

// serveWebSocket asks the upstream to switch. Any other response than a valid 101 is forwarded
// like the response to any request.
func (f *forwarding) serveWebSocket() {
	if !f.Recorder.OpenStream(stream.WebSocket, f.cancel) {
		f.handleError(errTooManyStreams)
		return
	}
	out := f.R.Clone(f.ctx)
	dropHopByHop(out.Header)
	f.rewriteRequest(out)
	out.Body = nil
	out.Header["Connection"] = []string{"Upgrade"}
	out.Header["Upgrade"] = []string{"websocket"}
	canonicalWebSocketHeaders(out.Header)

	res, err := f.Upstream.roundTripper(f.R).RoundTrip(out) //nolint:bodyclose // each branch below forwards or closes it
	switch {
	case err != nil:
		f.handleError(err)
	case res.StatusCode != http.StatusSwitchingProtocols:
		f.forwardResponse(res)
	default:
		f.switchProtocols(res)
	}
}

// switchProtocols checks the 101, forwards it and runs the tunnel until it ends. It always closes
// the upstream's connection.
func (f *forwarding) switchProtocols(res *http.Response) {
	defer res.Body.Close()
	upstream, ok := res.Body.(io.ReadWriteCloser)
	if protocol := res.Header["Upgrade"]; !ok || len(protocol) != 1 || !strings.EqualFold(protocol[0], "websocket") ||
		!hasToken(res.Header["Connection"], "upgrade") {
		f.handleError(&badResponseError{"it switches to another protocol than websocket alone"})
		return
	}
	f.observeHeader()
	if err := f.reauthorize(); err != nil {
		f.handleError(err)
		return
	}
	dropHopByHop(res.Header)
	f.stripResponseHeaders(res.Header)
	f.restorePrefix(res.Header)
	head := res.Header
	head["Connection"] = []string{"Upgrade"}
	head["Upgrade"] = []string{"websocket"}
	head["X-Request-Id"] = []string{f.RequestID}
	canonicalWebSocketHeaders(head)

	conn, buffered, err := http.NewResponseController(f.Recorder).Hijack()
	if err != nil {
		f.handleError(text.SafeError("the client's connection cannot be taken over"))
		return
	}
	t := &tunnel{w: f.Recorder, client: conn, upstream: upstream}
	defer t.close()
	t.closeTimer = time.AfterFunc(math.MaxInt64, t.close)
	defer t.closeTimer.Stop()
	t.run(head, buffered.Reader)
}

// dropHopByHop removes the headers that are only for the next hop (RFC 9110, 7.6.1).
func dropHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for element := range strings.SplitSeq(line, ",") {
			h.Del(textproto.TrimString(element))
		}
	}
	for _, name := range []string{
		"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade",
	} {
		delete(h, name)
	}
}

// canonicalWebSocketHeaders writes names as RFC 6455 does. Header names have no case, but some
// servers compare it.
func canonicalWebSocketHeaders(h http.Header) {
	for name, values := range h {
		if rest, ok := strings.CutPrefix(name, "Sec-Websocket-"); ok {
			delete(h, name)
			h["Sec-WebSocket-"+rest] = values
		}
	}
}

// halfCloseTimeout is how long one direction may continue after the other has ended: enough for
// what was already sent. WebSockets end with Close frames.
const halfCloseTimeout = 60 * time.Second

// tunnel is an open WebSocket.
type tunnel struct {
	w          *Recorder
	client     net.Conn
	upstream   io.ReadWriteCloser
	frames     frameParser // from the upstream
	closeTimer *time.Timer // closes both; runs when one direction has ended
}

func (t *tunnel) close() {
	_ = t.client.Close()
	_ = t.upstream.Close()
}

// run sends the 101 and copies bytes both ways until both directions have ended. buffered has
// what the client sent before it received the response.
func (t *tunnel) run(head http.Header, buffered *bufio.Reader) {
	t.w.status = http.StatusSwitchingProtocols
	if !t.w.stream.SetInterrupt(func() {
		_ = t.client.SetWriteDeadline(time.Now().Add(stream.CloseTimeout))
		_ = t.upstream.Close()
	}) {
		_ = t.upstream.Close() // the copy below ends immediately, and sends a Close frame
	}
	var first strings.Builder
	first.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = head.Write(&first)
	first.WriteString("\r\n")
	if _, err := io.WriteString(t.client, first.String()); err != nil {
		return
	}

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.toUpstream(buffered)
	}()
	err := t.toClient()
	switch {
	case t.w.stream.CutReason() != "":
		t.sendCloseFrame()
	case err != nil:
		t.close()
	default:
		t.halfClose(t.client)
	}
	<-ended
}

const tunnelBuffer = 4 << 10

// toClient copies what the upstream sends, and parses its frames. Everything that the client
// gets is written here, so that a Close frame comes between two frames.
func (t *tunnel) toClient() error {
	buffer := make([]byte, tunnelBuffer)
	for {
		n, err := t.upstream.Read(buffer)
		if n > 0 {
			t.w.stream.MarkWriting(true)
			written, failure := t.client.Write(buffer[:n])
			t.w.stream.MarkWriting(false)
			t.w.bytes += int64(written)
			t.frames.observe(buffer[:written])
			if failure != nil {
				return failure
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// toUpstream copies what the client sends. It continues to read for a moment after the upstream
// is gone: closing a connection with unread bytes would reset it, and the reset could reach
// the client before the Close frame.
func (t *tunnel) toUpstream(buffered *bufio.Reader) {
	if n := buffered.Buffered(); n > 0 {
		b, _ := buffered.Peek(n)
		if _, err := t.upstream.Write(b); err != nil {
			return
		}
	}
	_, err := io.CopyBuffer(onlyWriter{t.upstream}, onlyReader{t.client}, make([]byte, tunnelBuffer))
	switch {
	case t.w.stream.CutReason() != "":
		_, _ = io.CopyBuffer(io.Discard, onlyReader{t.client}, make([]byte, 512))
	case err != nil:
		t.close()
	default:
		t.halfClose(t.upstream)
	}
}

// halfClose forwards that one direction has ended.
func (t *tunnel) halfClose(to any) {
	t.closeTimer.Reset(halfCloseTimeout)
	if closeWrite(to) != nil {
		t.close()
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

// onlyReader and onlyWriter make io.CopyBuffer use the buffer that it gets.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)
