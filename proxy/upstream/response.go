package upstream

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/text"
)

// modifyResponse checks a final response before anything of it is forwarded.
func (f *forwarding) modifyResponse(res *http.Response) error {
	if res.StatusCode < 200 || res.StatusCode > 999 { // net/http would panic; 101 was not asked for
		return &badResponseError{text.SafeError("its status is " + strconv.Itoa(res.StatusCode))}
	}
	f.observeHeader()
	if res.StatusCode == http.StatusUnauthorized && f.Token != "" && f.Upstream.TokenRejected != nil {
		f.Upstream.TokenRejected(f.Token)
	}
	f.stripResponseHeaders(res.Header)
	f.restorePrefix(res.Header)
	f.stripResponseHeaders(res.Trailer)
	if res.Header.Get("Content-Type") == "" {
		f.Recorder.Header()["Content-Type"] = nil // or net/http guesses, and text becomes HTML
		f.Recorder.Header().Set("X-Content-Type-Options", "nosniff")
	}
	if f.Recorder.stream == nil {
		kind, small := classifyResponse(res)
		if small {
			return nil
		}
		if !f.Recorder.OpenStream(kind, f.cancel) {
			return errTooManyStreams
		}
	}
	if f.Recorder.stream.Kind() != stream.Sized || mayHaveTrailers(res) {
		res.Body = &streamBody{ReadCloser: res.Body, f: f, res: res}
	}
	return f.reauthorize()
}

func (f *forwarding) observeHeader() {
	f.Result.HeaderAt = f.Now()
	f.ObserveHeader(f.Upstream.Name, f.Result.HeaderAt.Sub(f.sentAt))
}

// reauthorize decides a stream once more when its response begins: a policy that was published
// since the request began may have been applied to all streams before this one was open.
func (f *forwarding) reauthorize() error { return f.Streams.Reauthorize(f.Recorder.stream) }

// classifyResponse gives the kind of a final response. small means that it fits into buffers, so
// that it does not need to be watched.
func classifyResponse(res *http.Response) (kind stream.Kind, small bool) {
	const fitsBuffers = 64 << 10
	switch {
	case res.Body == http.NoBody || res.ContentLength >= 0 && res.ContentLength <= fitsBuffers && !mayHaveTrailers(res):
		return stream.Sized, true
	case isEventStream(res.Header.Get("Content-Type")):
		return stream.Events, false
	case res.ContentLength < 0:
		return stream.OpenEnded, false
	default:
		return stream.Sized, false
	}
}

// mayHaveTrailers reports whether trailers may follow a body of known length (RFC 9113, 8.1).
func mayHaveTrailers(res *http.Response) bool { return res.ProtoMajor == 2 }

func isEventStream(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}

// streamBody is the body of a response that may be cut.
type streamBody struct {
	io.ReadCloser
	f   *forwarding
	res *http.Response
}

func (b *streamBody) Read(to []byte) (int, error) {
	n, err := b.ReadCloser.Read(to)
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		b.f.stripResponseHeaders(b.res.Trailer)
		return n, err
	}
	s := b.f.Recorder.stream
	reason := s.CutReason()
	if reason == "" {
		return n, err
	}
	switch s.Kind() {
	case stream.Events: // complete as it is: readers drop an event that is cut in the middle
		return n, io.EOF
	case stream.GRPC:
		if b.res.Trailer == nil {
			b.res.Trailer = make(http.Header)
		}
		respond.SetGRPCStatus(b.res.Trailer, cutRefusal(reason))
		return n, io.EOF
	default: // the reader must see that this is not all
		return n, err
	}
}
