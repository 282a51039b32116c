package upstream

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/textproto"
	"strings"

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
// like the response to any request. An open WebSocket outlasts the handler, and with it the
// context of the client's request.
func (f *forwarding) serveWebSocket() {
	f.setContext(context.WithoutCancel(f.R.Context()))
	stopFollowing := context.AfterFunc(f.R.Context(), func() { f.cancel(context.Cause(f.R.Context())) })
	open := false
	defer func() {
		if stopFollowing(); !open {
			f.cancel(nil)
		}
	}()
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
		open = f.switchProtocols(res)
	}
}

// switchProtocols checks the 101, forwards it and starts the tunnel, which closes the upstream's
// connection at its end. It reports whether there is a tunnel; if not, it has closed it.
func (f *forwarding) switchProtocols(res *http.Response) bool {
	upstream, err := f.checkSwitch(res)
	if err != nil {
		res.Body.Close()
		f.handleError(err)
		return false
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
		res.Body.Close()
		f.handleError(text.SafeError("the client's connection cannot be taken over"))
		return false
	}
	startTunnel(f.Recorder, conn, upstream, f.Upstream.log).run(head, earlyBytes(buffered.Reader))
	return true
}

// checkSwitch gives the connection to an upstream that has switched to WebSocket.
func (f *forwarding) checkSwitch(res *http.Response) (io.ReadWriteCloser, error) {
	upstream, ok := res.Body.(io.ReadWriteCloser)
	if protocol := res.Header["Upgrade"]; !ok || len(protocol) != 1 || !strings.EqualFold(protocol[0], "websocket") ||
		!hasToken(res.Header["Connection"], "upgrade") {
		return nil, &badResponseError{"it switches to another protocol than websocket alone"}
	}
	f.observeHeader()
	return upstream, f.reauthorize()
}

// earlyBytes is what the client sent before it received the response.
func earlyBytes(r *bufio.Reader) []byte {
	b, _ := r.Peek(r.Buffered())
	return bytes.Clone(b)
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
