package proxy

import (
	"context"
	"net/http"

	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/text"
)

// recorder writes the answer of one exchange and notes what it was. Unwrap gives
// http.ResponseController the connection behind it: deadlines and upgrades
// depend on that.
type recorder struct {
	http.ResponseWriter
	proto           int    // major version of HTTP
	supportsInterim bool   // the client understands interim responses: HTTP/1.0 has none
	requestID       string // goes with the answer
	p               *Proxy
	x               *exchange // that it writes the answer of

	status  int
	bytes   int64
	interim int
	cancel  context.CancelCauseFunc // of the request to the upstream, while there is one
	body    *clientBody             // that goes to the upstream; nil: there is none
	stream  *stream.Stream          // watched while it is written; nil: the answer is short
}

func (p *Proxy) newRecorder(w http.ResponseWriter, r *http.Request, requestID string) *recorder {
	return &recorder{
		ResponseWriter:  w,
		proto:           r.ProtoMajor,
		supportsInterim: r.ProtoAtLeast(1, 1),
		requestID:       requestID,
		p:               p,
	}
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols { // others may come before (RFC 9110, 15.2)
		w.writeInterim(status)
		return
	}
	if w.status == 0 {
		w.status = status
		w.finalize(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// finalize puts into the final header what is authgate's to say. Earlier, an interim
// response of the upstream would have carried it, and lost it to this one.
func (w *recorder) finalize(h http.Header) {
	h["X-Request-Id"] = []string{w.requestID}
	if w.status != http.StatusSwitchingProtocols && w.status != http.StatusNotModified { // neither is kept as an answer
		w.p.writeSessionCookie(w.x)
	}
	if w.proto == 1 && w.body.unread() {
		// An early answer. net/http would read on before it sends it, and cannot tell
		// what comes behind from another request.
		h.Set("Connection", "close")
	}
	// The client shall come back on a new connection, to somebody else, and not
	// use this one just when it is closed. SetKeepAlivesEnabled(false) would cut
	// idle connections at once, amid a request that is under way on one.
	if w.p.draining.Load() && w.proto == 1 && w.status != http.StatusSwitchingProtocols {
		h.Set("Connection", "close")
	}
}

// maxInterim is how many interim responses an upstream may send to one request.
// net/http counts none where somebody listens for them.
const maxInterim = 5

const errInterim = text.SafeError("the upstream sent interim (1xx) responses without end")

// writeInterim passes on what may go before an answer: 102 (RFC 2518, 10.1) bare,
// and the links of 103 (RFC 8297). Whatever else an upstream puts beside them,
// cookies above all, it can say in its answer. net/http itself says 100, when the
// body is first read.
func (w *recorder) writeInterim(status int) {
	if w.interim++; w.interim > maxInterim {
		if w.cancel != nil {
			w.cancel(errInterim)
		}
		return
	}
	h := w.Header()
	links := h["Link"]
	clear(h)
	if status == http.StatusEarlyHints && len(links) > 0 {
		h["Link"] = links
	} else if status != http.StatusProcessing {
		return
	}
	if w.supportsInterim {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.proto == 2 && w.stream == nil {
		w.p.openStream(w.x, stream.Sized, func(error) {})
	}
	w.stream.MarkWriting(true)
	n, err := w.ResponseWriter.Write(b)
	w.stream.MarkWriting(false)
	w.bytes += int64(n)
	return n, err
}

// flushBody waits until a client of HTTP/2 has taken the body, as long as the answer
// is watched: net/http would wait when nobody looks after it any more. Connections
// of HTTP/1 are looked after themselves (package listen).
func (w *recorder) flushBody() {
	if w.proto == 2 && w.bytes > 0 {
		_ = w.FlushError() // a client that is gone gets nothing
	}
}

// FlushError sends what is buffered (http.ResponseController).
func (w *recorder) FlushError() error {
	w.stream.MarkWriting(true)
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.stream.MarkWriting(false)
	return err
}

func (w *recorder) statusCode() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
