package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

// bufferPool lends the copy buffers of responses, which otherwise are most of what
// a forwarded request allocates. It is safe for concurrent use.
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
	p            *Proxy
	x            *exchange
	to           *url.URL
	sentAt       time.Time
	ctx          context.Context // of the request to the upstream; its cause says who ended it
	cancel       context.CancelCauseFunc
	body         *clientBody // nil: there is none
	reverseProxy *httputil.ReverseProxy
}

// forward is step 6: the request goes to the upstream without anything that the
// client said about itself, and the answer streams back.
func (p *Proxy) forward(x *exchange) {
	to, err := x.upstreamURL()
	if err != nil {
		x.outcome = audit.Refuse
		x.refuse(http.StatusBadRequest, "bad_target", "The request was refused: its path has no form that can be passed on.", err)
		p.answer(x)
		return
	}
	limit := p.config.Limits.BodyBytes
	if limit > 0 && x.r.ContentLength > limit {
		x.outcome = audit.Refuse // nothing of it went out
		p.refuseBodyTooLarge(x)
		return
	}
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	x.w.cancel = cancel

	f := &forwarding{p: p, x: x, to: to, sentAt: p.now(), ctx: ctx, cancel: cancel}
	in := x.r.WithContext(ctx)
	if x.r.ContentLength != 0 {
		f.body = f.newClientBody(limit)
		defer f.body.finish()
		x.w.body, in.Body = f.body, f.body
	}
	switch {
	case switchesProtocol(x):
		f.serveWebSocket(in)
	case respond.IsGRPC(x.r) && !p.openStream(x, stream.GRPC, cancel): // known before the upstream is asked
		f.handleError(nil, nil, errTooManyStreams)
	default:
		f.serve(in, x.route.roundTripper(x))
	}
}

// upstreamURL is built afresh: nothing of the client's URL but the canonical path
// and the query, byte for byte. What is judged is what is sent, or nothing is.
func (x *exchange) upstreamURL() (*url.URL, error) {
	path := x.path
	if x.route.stripPath {
		rest := strings.TrimPrefix(path.String(), strings.TrimSuffix(x.route.path, "/"))
		if rest == "" {
			rest = "/"
		}
		var err error
		if path, err = target.ParseWith(rest, x.route.quirks); err != nil {
			return nil, fmt.Errorf("without its prefix %s: %w", x.route.path, err)
		}
		if path.String() != rest {
			return nil, fmt.Errorf("judged %q, without its prefix it would be %q", x.path, path)
		}
	}
	scheme, host := x.route.base()
	to := &url.URL{
		Scheme: scheme, Host: host,
		Path: path.Decoded(), RawPath: path.String(),
		RawQuery: x.r.URL.RawQuery, ForceQuery: x.r.URL.ForceQuery,
	}
	if sent := to.EscapedPath(); sent != path.String() {
		return nil, fmt.Errorf("judged %q, net/url would send %q", path, sent)
	}
	return to, nil
}

// serve lets ReverseProxy carry the request over and the answer back.
func (f *forwarding) serve(in *http.Request, by http.RoundTripper) {
	reverse := httputil.ReverseProxy{
		Transport:      by,
		BufferPool:     &f.p.buffers,
		ErrorLog:       f.x.route.errorLog,
		Rewrite:        f.rewrite,
		ModifyResponse: f.modifyResponse,
		ErrorHandler:   f.handleError,
	}
	f.reverseProxy = &reverse
	in.Header = nil // a copy of it would be thrown away: see header
	reverse.ServeHTTP(f.x.w, in)
}

// rewrite gives the outgoing request its header. An upgrade takes another way: any
// protocol but WebSocket is not switched to; h2c above all would be a tunnel in
// which no further request is judged.
func (f *forwarding) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.Header = f.outgoingHeader()
	f.rewriteRequest(pr.Out)
}

// outgoingHeader is the client's without what is meant for the next hop alone, before
// anything is added: no client has our own removed by naming it in Connection. It
// has room for what dress adds, and shares the values, to which nobody writes.
func (f *forwarding) outgoingHeader() http.Header {
	const added = 14 // X-Forwarded-* and its kin, identity
	in := f.x.r.Header
	h := make(http.Header, len(in)+added)
	maps.Copy(h, in)
	dropHopByHop(h)
	if hasToken(in["Te"], "trailers") { // gRPC asks for them at each hop (RFC 9110, 10.1.4)
		h["Te"] = []string{"trailers"}
	}
	return h
}

// rewriteRequest makes of a copy of the client's request, hop-by-hop headers removed,
// what the upstream gets.
func (f *forwarding) rewriteRequest(out *http.Request) {
	out.URL = f.to
	out.Trailer = nil // names alone would go on, and values that nobody has looked at
	out.Host = f.x.client.Host
	if f.x.route.hostHeader != "" {
		out.Host = f.x.route.hostHeader
	}
	f.p.setRequestHeaders(f.x, out.Header)
}

// modifyResponse looks at a final response before anything of it goes on.
func (f *forwarding) modifyResponse(res *http.Response) error {
	x := f.x
	if res.StatusCode < 200 || res.StatusCode > 999 { // net/http would panic; 101 nobody asked for
		return &badResponseError{text.SafeError("its status is " + strconv.Itoa(res.StatusCode))}
	}
	f.observeHeaders()
	if f.body.unread() {
		f.reverseProxy.FlushInterval = -1 // an early answer: its client may wait for it before it sends more
	}
	if res.StatusCode == http.StatusUnauthorized {
		x.upstreamRejectedToken()
	}
	f.p.stripResponseHeaders(x.route, res.Header)
	x.restorePrefix(res.Header)
	f.p.stripResponseHeaders(x.route, res.Trailer)
	if res.Header.Get("Content-Type") == "" {
		x.w.Header()["Content-Type"] = nil // or net/http guesses, and text becomes HTML
		x.w.Header().Set("X-Content-Type-Options", "nosniff")
	}
	if x.stream == nil {
		kind, small := classifyResponse(res)
		if small {
			return nil
		}
		if !f.p.openStream(x, kind, f.cancel) {
			return errTooManyStreams
		}
	}
	if x.stream.Kind() != stream.Sized || mayHaveTrailers(res) {
		res.Body = &streamBody{ReadCloser: res.Body, f: f, res: res}
	}
	return f.reauthorize()
}

func (f *forwarding) observeHeaders() {
	f.x.upstreamHeaderAt = f.p.now()
	f.p.metrics.upstreamSeconds[f.x.route.name].Observe(f.x.upstreamHeaderAt.Sub(f.sentAt).Seconds())
}

// reauthorize judges a stream once more when its answer has come: a policy that
// came into force since the request began has perhaps not seen it registered.
func (f *forwarding) reauthorize() error {
	return f.p.streams.Reauthorize(f.x.stream)
}

// streamBody is the body of an answer that may be cut.
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
		b.f.p.stripResponseHeaders(b.f.x.route, b.res.Trailer)
		return n, err
	}
	s := b.f.x.stream
	reason := s.CutReason()
	if reason == "" {
		return n, err
	}
	switch s.Kind() {
	case stream.Events: // complete as it is: what is broken off in the middle of an event is dropped by its reader
		return n, io.EOF
	case stream.GRPC:
		f := refusalOfCut(reason)
		if b.res.Trailer == nil {
			b.res.Trailer = make(http.Header)
		}
		respond.SetGRPCStatus(b.res.Trailer, f)
		return n, io.EOF
	default: // whoever reads must see that this is not all
		return n, err
	}
}

// duration is how long a request took; for a stream, until it began.
func (x *exchange) duration(end time.Time) time.Duration {
	if x.stream.LongLived() && !x.upstreamHeaderAt.IsZero() {
		end = x.upstreamHeaderAt
	}
	return end.Sub(x.startedAt)
}

var errTooManyStreams = errors.New("limits.streamsPerPrincipal")

// openStream registers the response of an exchange as a stream. It reports false if its owner
// has as many streams as one owner may have.
func (p *Proxy) openStream(x *exchange, kind stream.Kind, cancel context.CancelCauseFunc) bool {
	x.authorize()
	s := p.streams.Open(x, kind, cancel, func() {
		// A moment, in which a stream can end properly if its client reads it.
		_ = http.NewResponseController(x.w.ResponseWriter).SetWriteDeadline(time.Now().Add(stream.CloseTimeout))
	})
	x.stream, x.w.stream = s, s
	return s != nil
}

// authorize records by what the streams of an exchange have been authorized.
func (x *exchange) authorize() {
	x.authorizedBy.Store(x.state)
	x.groupsReadAt.Store(x.session.FetchedAt.UnixNano())
}

// closeStream closes the stream of an exchange, if it has one.
func (p *Proxy) closeStream(x *exchange) {
	if reason := p.streams.Close(x.stream); reason != "" {
		x.reason = reason
	}
}

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
