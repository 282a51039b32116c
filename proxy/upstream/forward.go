package upstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/example-org/authgate/proxy/client"
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
}

// Request is a request that was allowed.
type Request struct {
	respond.Request
	Recorder *Recorder // W
	Client   client.Client
	Path     target.Path // what was decided
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

// bufferPool lends the copy buffers of responses, which are otherwise most of what a forwarded
// request allocates. It is safe for concurrent use.
type bufferPool struct{ pool sync.Pool }

func (b *bufferPool) Get() []byte {
	if buffer, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return buffer[:]
	}
	return make([]byte, 32<<10)
}

func (b *bufferPool) Put(buffer []byte) { b.pool.Put((*[32 << 10]byte)(buffer)) }

// forwarding is one request on its way to the upstream and back.
type forwarding struct {
	*Forwarder
	Request
	to           *url.URL
	sentAt       time.Time
	ctx          context.Context // of the request to the upstream; its cause says who ended it
	cancel       context.CancelCauseFunc
	body         *clientBody // nil: there is none
	reverseProxy httputil.ReverseProxy
}

// Forward sends a request to its upstream without anything that the client claimed about
// itself, and streams the response back. It writes a refusal if it gets no response.
func (fw *Forwarder) Forward(q Request) {
	f := &forwarding{Forwarder: fw, Request: q, sentAt: fw.Now()}
	var err error
	if f.to, err = f.upstreamURL(); err != nil {
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
	var cancel context.CancelCauseFunc
	f.ctx, cancel = context.WithCancelCause(q.R.Context())
	defer cancel(nil)
	f.cancel, f.Recorder.cancel = cancel, cancel

	in := q.R.WithContext(f.ctx)
	if q.R.ContentLength != 0 {
		f.body = f.newClientBody()
		defer f.body.finish()
		f.Recorder.body, in.Body = f.body, f.body
	}
	switch {
	case switchesProtocol(q.R):
		f.serveWebSocket(in)
	case respond.IsGRPC(q.R) && !f.Recorder.OpenStream(stream.GRPC, cancel): // known before the upstream is asked
		f.handleError(nil, nil, errTooManyStreams)
	default:
		f.serve(in, f.Upstream.roundTripper(q.R))
	}
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

// upstreamURL builds a new URL that has nothing of the client's but the canonical path and the
// query, byte for byte. What was decided is sent, or nothing is.
func (f *forwarding) upstreamURL() (*url.URL, error) {
	path, u := f.Path, f.Upstream
	if u.StripPath {
		rest := strings.TrimPrefix(path.String(), strings.TrimSuffix(u.Path, "/"))
		if rest == "" {
			rest = "/"
		}
		var err error
		if path, err = target.ParseWith(rest, u.Quirks); err != nil {
			return nil, fmt.Errorf("without its prefix %s: %w", u.Path, err)
		}
		if path.String() != rest {
			return nil, fmt.Errorf("decided %q, without its prefix it would be %q", f.Path, path)
		}
	}
	to := &url.URL{
		Scheme: u.Scheme, Host: u.Host,
		Path: path.Decoded(), RawPath: path.String(),
		RawQuery: f.R.URL.RawQuery, ForceQuery: f.R.URL.ForceQuery,
	}
	if sent := to.EscapedPath(); sent != path.String() {
		return nil, fmt.Errorf("decided %q, net/url would send %q", path, sent)
	}
	return to, nil
}

// serve lets ReverseProxy forward the request and the response.
func (f *forwarding) serve(in *http.Request, by http.RoundTripper) {
	f.reverseProxy = httputil.ReverseProxy{
		Transport:      by,
		BufferPool:     &f.buffers,
		ErrorLog:       f.Upstream.errorLog,
		Rewrite:        f.rewrite,
		ModifyResponse: f.modifyResponse,
		ErrorHandler:   f.handleError,
	}
	in.Header = nil // a copy would be discarded: see outgoingHeader
	f.reverseProxy.ServeHTTP(f.Recorder, in)
}

// rewrite gives the outgoing request its header. Upgrades do not come here.
func (f *forwarding) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.Header = f.outgoingHeader()
	f.rewriteRequest(pr.Out)
}

// outgoingHeader is the client's header without hop-by-hop headers. Nothing has been added yet,
// so that a client cannot have authgate's headers removed by naming them in Connection. It
// has room for what setRequestHeaders adds, and shares the values, which are never written
// to.
func (f *forwarding) outgoingHeader() http.Header {
	const added = 14 // X-Forwarded-* and similar, identity
	in := f.R.Header
	h := make(http.Header, len(in)+added)
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
	out.URL = f.to
	out.Trailer = nil // names alone would be forwarded, and values that were not checked
	out.Host = f.Client.Host
	if f.Upstream.HostHeader != "" {
		out.Host = f.Upstream.HostHeader
	}
	f.setRequestHeaders(out.Header)
}
