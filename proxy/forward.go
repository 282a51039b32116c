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
	"github.com/example-org/authgate/redact"
	"github.com/example-org/authgate/target"
)

// buffers lends the copy buffers of responses, which otherwise are most of what
// a forwarded request allocates. It is safe for concurrent use.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return buffer[:]
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put((*[32 << 10]byte)(buffer)) }

// passage is one request on its way to the upstream and back.
type passage struct {
	p      *Proxy
	x      *exchange
	to     *url.URL
	sent   time.Time
	ctx    context.Context // of the request to the upstream; its cause says who ended it
	cancel context.CancelCauseFunc
	body   *clientBody // nil: there is none
	by     *httputil.ReverseProxy
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
		p.bodyTooLarge(x)
		return
	}
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	x.w.cancel = cancel

	f := &passage{p: p, x: x, to: to, sent: p.now(), ctx: ctx, cancel: cancel}
	in := x.r.WithContext(ctx)
	if x.r.ContentLength != 0 {
		f.body = f.newBody(limit)
		defer f.body.end()
		x.w.body, in.Body = f.body, f.body
	}
	switch {
	case switchesProtocol(x):
		f.tunnel(in)
	case isGRPC(x.r) && !p.watch(x, grpcCall, cancel): // known before the upstream is asked
		f.failed(nil, nil, errTooManyStreams)
	default:
		f.pass(in, x.route.tripper(x))
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

// pass lets ReverseProxy carry the request over and the answer back.
func (f *passage) pass(in *http.Request, by http.RoundTripper) {
	reverse := httputil.ReverseProxy{
		Transport:      by,
		BufferPool:     &f.p.buffers,
		ErrorLog:       f.x.route.errorLog,
		Rewrite:        f.rewrite,
		ModifyResponse: f.received,
		ErrorHandler:   f.failed,
	}
	f.by = &reverse
	in.Header = nil // a copy of it would be thrown away: see header
	reverse.ServeHTTP(f.x.w, in)
}

// rewrite gives the outgoing request its header. An upgrade takes another way: any
// protocol but WebSocket is not switched to; h2c above all would be a tunnel in
// which no further request is judged.
func (f *passage) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.Header = f.header()
	f.address(pr.Out)
}

// header is the client's without what is meant for the next hop alone, before
// anything is added: no client has our own removed by naming it in Connection. It
// has room for what dress adds, and shares the values, to which nobody writes.
func (f *passage) header() http.Header {
	const added = 14 // X-Forwarded-* and its kin, identity
	in := f.x.r.Header
	h := make(http.Header, len(in)+added)
	maps.Copy(h, in)
	dropHopByHop(h)
	if lists(in["Te"], "trailers") { // gRPC asks for them at each hop (RFC 9110, 10.1.4)
		h["Te"] = []string{"trailers"}
	}
	return h
}

// address makes of a copy of the client's request, hop-by-hop headers removed,
// what the upstream gets.
func (f *passage) address(out *http.Request) {
	out.URL = f.to
	out.Trailer = nil // names alone would go on, and values that nobody has looked at
	out.Host = f.x.client.host
	if f.x.route.hostHeader != "" {
		out.Host = f.x.route.hostHeader
	}
	f.p.dress(f.x, out.Header)
}

// received looks at a final response before anything of it goes on.
func (f *passage) received(res *http.Response) error {
	x := f.x
	if res.StatusCode < 200 || res.StatusCode > 999 { // net/http would panic; 101 nobody asked for
		return &badAnswerError{redact.Words("its status is " + strconv.Itoa(res.StatusCode))}
	}
	f.answered()
	if f.body.unread() {
		f.by.FlushInterval = -1 // an early answer: its client may wait for it before it sends more
	}
	if res.StatusCode == http.StatusUnauthorized {
		x.credentialRefused()
	}
	f.p.undress(x.route, res.Header)
	x.restorePrefix(res.Header)
	f.p.undress(x.route, res.Trailer)
	if res.Header.Get("Content-Type") == "" {
		x.w.Header()["Content-Type"] = nil // or net/http guesses, and text becomes HTML
		x.w.Header().Set("X-Content-Type-Options", "nosniff")
	}
	if x.stream == nil {
		kind, small := kindOfAnswer(res)
		if small {
			return nil
		}
		if !f.p.watch(x, kind, f.cancel) {
			return errTooManyStreams
		}
	}
	if x.stream.kind != sized || mayHaveTrailers(res) {
		res.Body = &streamBody{ReadCloser: res.Body, f: f, res: res}
	}
	return f.stillAllowed()
}

func (f *passage) answered() {
	f.x.answered = f.p.now()
	f.p.metrics.upstreamSeconds[f.x.route.name].Observe(f.x.answered.Sub(f.sent).Seconds())
}

// stillAllowed judges a stream once more when its answer has come: a policy that
// came into force since the request began has perhaps not seen it registered.
func (f *passage) stillAllowed() error {
	s := f.x.stream
	f.p.review(s, f.p.state.Load())
	if reason := s.wasCut(); reason != "" {
		return &cutError{reason}
	}
	return nil
}

// streamBody is the body of an answer that may be cut.
type streamBody struct {
	io.ReadCloser
	f   *passage
	res *http.Response
}

func (b *streamBody) Read(to []byte) (int, error) {
	n, err := b.ReadCloser.Read(to)
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		b.f.p.undress(b.f.x.route, b.res.Trailer)
		return n, err
	}
	s := b.f.x.stream
	reason := s.wasCut()
	if reason == "" {
		return n, err
	}
	switch s.kind {
	case events: // complete as it is: what is broken off in the middle of an event is dropped by its reader
		return n, io.EOF
	case grpcCall:
		f := refusalOfCut(reason)
		if b.res.Trailer == nil {
			b.res.Trailer = make(http.Header)
		}
		setGRPCStatus(b.res.Trailer, f)
		return n, io.EOF
	default: // whoever reads must see that this is not all
		return n, err
	}
}

// sinceHeader is how long a request took; for a stream, until it began.
func (x *exchange) sinceHeader(end time.Time) time.Duration {
	if x.stream != nil && x.stream.kind.lasting() && !x.answered.IsZero() {
		end = x.answered
	}
	return end.Sub(x.begun)
}

var errTooManyStreams = errors.New("limits.streamsPerPrincipal")
