package upstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/target"
)

// Forwarder forwards requests. It is safe for concurrent use.
type Forwarder struct {
	Respond       *respond.Writer
	Streams       *stream.Registry
	SessionCookie *cookie.Chunked // authgate's: upstreams neither see nor set it
	BodyLimit     int64           // bytes of a request body; 0: none
	BodyTimeout   time.Duration   // for the next byte of a request body; 0: none
	Now           func() time.Time

	// ObserveHeader takes how long an upstream took until its response header.
	ObserveHeader func(upstream string, elapsed time.Duration)

	buffers bufferPool
	headers headerPool
}

// Request is a request that was allowed.
type Request struct {
	respond.Request // its path is what was decided

	Recorder *Recorder // W
	Upstream *Upstream
	Exchange Exchange

	Identity IdentityHeaders // empty: the upstream gets no identity
	Token    string          // sent as the credential; empty: none

	// SpentAuthorization says that the Authorization header opened authgate, so that it is not
	// for the upstream.
	SpentAuthorization bool

	Result *Result
}

// Result is what happened to a request. It is complete also if [Forwarder.Forward] panics with
// http.ErrAbortHandler, because the upstream broke off.
type Result struct {
	Reason   string    // code of the refusal, or why the request failed; empty: neither
	Refused  bool      // nothing of the request reached the upstream
	HeaderAt time.Time // when the upstream's response header arrived
}

// forwarding is one request on its way to the upstream and back.
type forwarding struct {
	*Forwarder
	Request
	to      url.URL
	sentAt  time.Time
	ctx     context.Context // of the request to the upstream; its cause says who ended it
	cancel  context.CancelCauseFunc
	body    *clientBody // nil: there is none
	interim interim

	forwardedValues [7]string // of X-Forwarded-* and similar
}

// Forward sends a request to its upstream without anything that the client claimed about
// itself, and streams the response back. It writes a refusal if it gets no response.
func (fw *Forwarder) Forward(q Request) {
	f := &forwarding{Forwarder: fw, Request: q, sentAt: fw.Now()}
	if err := f.setURL(); err != nil {
		f.refuse(&respond.Refusal{
			Status: http.StatusBadRequest, Code: "bad_target",
			Detail: "The request was refused: its path cannot be forwarded.", Cause: err,
		})
		return
	}
	if fw.BodyLimit > 0 && q.R.ContentLength > fw.BodyLimit {
		f.refuse(f.bodyTooLarge())
		return
	}
	if switchesProtocol(q.R) {
		f.serveWebSocket()
		return
	}
	f.setContext(q.R.Context())
	defer f.cancel(nil)
	if q.R.ContentLength != 0 {
		f.body = f.newClientBody()
		defer f.body.finish()
		f.Recorder.body = f.body
	}
	if respond.IsGRPC(q.R) && !f.Recorder.OpenStream(stream.GRPC, f.cancel) { // known before the upstream is asked
		f.handleError(errTooManyStreams)
		return
	}
	f.serve(f.Upstream.roundTripper(q.R))
}

// setContext makes the context of the request to the upstream.
func (f *forwarding) setContext(parent context.Context) {
	f.ctx, f.cancel = context.WithCancelCause(parent)
	f.Recorder.cancel = f.cancel
}

var errTooManyStreams = errors.New("limits.streamsPerPrincipal")

// refuse writes a refusal of a request that did not reach the upstream.
func (f *forwarding) refuse(r *respond.Refusal) {
	f.Result.Refused = true
	f.fail(r)
}

// fail writes a refusal.
func (f *forwarding) fail(r *respond.Refusal) {
	f.Result.Reason = r.Code
	f.Respond.Write(f.Request.Request, r)
}

// setURL builds a new URL that has nothing of the client's but the canonical path and the query,
// byte for byte. What was decided is sent, or nothing is.
func (f *forwarding) setURL() error {
	path, u := f.Path, f.Upstream
	if u.StripPath {
		rest := strings.TrimPrefix(path.String(), strings.TrimSuffix(u.Path, "/"))
		if rest == "" {
			rest = "/"
		}
		var err error
		if path, err = target.ParseWith(rest, u.Quirks); err != nil {
			return fmt.Errorf("without its prefix %s: %w", u.Path, err)
		}
		if path.String() != rest {
			return fmt.Errorf("decided %q, without its prefix it would be %q", f.Path, path)
		}
	}
	f.to = url.URL{
		Scheme: u.Scheme, Host: u.Host,
		Path: path.Decoded(), RawPath: path.String(),
		RawQuery: f.R.URL.RawQuery, ForceQuery: f.R.URL.ForceQuery,
	}
	if sent := f.to.EscapedPath(); sent != path.String() {
		return fmt.Errorf("decided %q, net/url would send %q", path, sent)
	}
	return nil
}

// serve sends the request to the upstream and forwards the response.
func (f *forwarding) serve(by http.RoundTripper) {
	out := f.outgoingRequest()
	res, err := by.RoundTrip(out)
	f.interim.end()
	if err != nil {
		f.handleError(err)
		return
	}
	f.forwardResponse(res)
	if f.body == nil { // the transport is done with the request
		f.headers.put(out.Header)
	}
}

// outgoingRequest is the request that the upstream gets. It shares nothing with the client's that
// is written to. Upgrades do not come here.
func (f *forwarding) outgoingRequest() *http.Request {
	out := f.R.WithContext(httptrace.WithClientTrace(f.ctx, f.interim.trace(f.Recorder)))
	out.Close, out.Body = false, nil
	if f.body != nil {
		out.Body = f.body
	}
	out.Header = f.outgoingHeader()
	f.rewriteRequest(out)
	return out
}

// outgoingHeader is the client's header without hop-by-hop headers. Nothing has been added yet,
// so that a client cannot have authgate's headers removed by naming them in Connection. It
// shares the values, which are never written to.
func (f *forwarding) outgoingHeader() http.Header {
	in := f.R.Header
	h := f.headers.get()
	maps.Copy(h, in)
	dropHopByHop(h)
	if hasToken(in["Te"], "trailers") { // gRPC asks for them at each hop (RFC 9110, 10.1.4)
		h["Te"] = []string{"trailers"}
	}
	return h
}

// rewriteRequest turns a copy of the client's request, without hop-by-hop headers, into the
// request that the upstream gets.
func (f *forwarding) rewriteRequest(out *http.Request) {
	out.URL = &f.to
	out.Trailer = nil // names alone would be forwarded, and values that were not checked
	out.Host = f.Client.Host
	if f.Upstream.HostHeader != "" {
		out.Host = f.Upstream.HostHeader
	}
	f.setRequestHeaders(out.Header)
	if _, hasUserAgent := out.Header["User-Agent"]; !hasUserAgent {
		out.Header["User-Agent"] = noUserAgent // or net/http names itself
	}
}

// noUserAgent is shared by requests, and never written to.
var noUserAgent = []string{""}
