package upstream

import (
	"context"
	"net/http"
	"time"

	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/text"
)

// Exchange is a request and its response, as the Recorder of the response knows it.
type Exchange interface {
	stream.Opener

	// FinalizeHeader completes the header of the final response, and says whether an HTTP/1
	// connection must end with it. An interim response must not carry what it adds.
	FinalizeHeader(status int, h http.Header) (closeConnection bool)

	// Detach says that the exchange outlasts its handler, which returns now. Nothing may use the
	// client's request any more. The caller calls end when it has ended.
	Detach() (end func())
}

// Recorder writes the response of an exchange and records its status and size. Unwrap gives
// http.ResponseController the connection, which deadlines and upgrades need.
type Recorder struct {
	http.ResponseWriter
	proto           int       // major version of HTTP
	supportsInterim bool      // the client understands interim responses: HTTP/1.0 has none
	requestID       [1]string // is sent with the response
	streams         *stream.Registry
	exchange        Exchange

	status  int
	bytes   int64
	interim int
	cancel  context.CancelCauseFunc // of the request to the upstream, while there is one
	body    *clientBody             // that is sent to the upstream; nil: there is none
	stream  *stream.Stream          // the response, while it is watched; nil: it is short
}

// MakeRecorder returns the recorder of an exchange.
func MakeRecorder(w http.ResponseWriter, r *http.Request, requestID string, streams *stream.Registry,
	x Exchange,
) Recorder {
	return Recorder{
		ResponseWriter: w, proto: r.ProtoMajor, supportsInterim: r.ProtoAtLeast(1, 1),
		requestID: [1]string{requestID}, streams: streams, exchange: x,
	}
}

// Unwrap is for [http.ResponseController].
func (w *Recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Status is the status of the response, 200 if none was written.
func (w *Recorder) Status() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// Bytes counts the bytes of the response body.
func (w *Recorder) Bytes() int64 { return w.bytes }

// LongLived reports whether the response is a long-lived stream.
func (w *Recorder) LongLived() bool { return w.stream.LongLived() }

// OpenStream registers the response as a stream. It reports false if its owner has as many
// streams as one owner may have.
func (w *Recorder) OpenStream(kind stream.Kind, cancel context.CancelCauseFunc) bool {
	w.stream = w.streams.Open(w.exchange, kind, cancel, func() {
		// A moment, in which a stream can end properly if its client reads it.
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(stream.CloseTimeout))
	})
	return w.stream != nil
}

// CloseStream closes the stream of the response, if it is one. It gives the reason why the
// stream was cut, if it was.
func (w *Recorder) CloseStream() (cutReason string) { return w.streams.Close(w.stream) }

// WriteHeader is for [http.ResponseWriter].
func (w *Recorder) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols { // others may precede it (RFC 9110, 15.2)
		w.writeInterim(status)
		return
	}
	if w.status == 0 {
		w.status = status
		w.finalize(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// finalize completes the final header. If it did so earlier, an interim response of the upstream
// would carry what it adds, and the final one would lack it.
func (w *Recorder) finalize(h http.Header) {
	h["X-Request-Id"] = w.requestID[:]
	mustClose := w.exchange.FinalizeHeader(w.status, h)
	// In an early response, net/http would read the rest of the body before it sends it, and
	// cannot distinguish what follows from another request.
	if w.proto == 1 && (mustClose || w.body.unread()) {
		h.Set("Connection", "close")
	}
}

// maxInterim is how many interim responses an upstream may send for one request. net/http does
// not limit them if they are forwarded.
const maxInterim = 5

const errInterim = text.SafeError("the upstream sent interim (1xx) responses without end")

// writeInterim forwards interim responses: 102 (RFC 2518, 10.1) without a header, and the links
// of 103 (RFC 8297). Upstreams can send everything else, cookies above all, in the final
// response. net/http itself sends 100, when the body is first read.
func (w *Recorder) writeInterim(status int) {
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

func (w *Recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.proto == 2 && w.stream == nil {
		w.OpenStream(stream.Sized, func(error) {})
	}
	w.stream.MarkWriting(true)
	n, err := w.ResponseWriter.Write(b)
	w.stream.MarkWriting(false)
	w.bytes += int64(n)
	return n, err
}

// FlushBody waits until an HTTP/2 client has read the body, while the response is still watched:
// otherwise net/http would wait when nothing watches it any more. Package listen watches the
// connections of HTTP/1.
func (w *Recorder) FlushBody() {
	if w.proto == 2 && w.bytes > 0 {
		_ = w.FlushError() // the client may be gone
	}
}

// FlushError sends what is buffered (http.ResponseController).
func (w *Recorder) FlushError() error {
	w.stream.MarkWriting(true)
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.stream.MarkWriting(false)
	return err
}
