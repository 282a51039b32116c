package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/example-org/authgate/audit"
)

// statusClientGone is nginx's word for a client that left before the answer. It
// stands in the audit; nobody receives it.
const statusClientGone = 499

// buffers lends the copy buffers of responses, which otherwise are most of what
// a forwarded request allocates. It is safe for concurrent use.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }

// forward is step 6: the request goes to the upstream without anything that the
// client said about itself, and the answer streams back.
func (p *Proxy) forward(x *exchange) {
	to := x.upstreamURL()
	if to.EscapedPath() != x.path.String() { // what is judged is what is sent, or nothing is
		x.outcome = audit.Refuse
		x.refuse(http.StatusBadRequest, "bad_target", "The request was refused: its path has no form that can be passed on.",
			fmt.Errorf("judged %q, net/url would send %q", x.path, to.EscapedPath()))
		p.answer(x)
		return
	}
	sent := p.now()
	reverse := httputil.ReverseProxy{
		Transport:  x.route.transport,
		BufferPool: &p.buffers,
		ErrorLog:   x.route.errorLog,
		Rewrite: func(pr *httputil.ProxyRequest) {
			p.rewrite(x, pr, to)
		},
		ModifyResponse: func(res *http.Response) error {
			x.answered = p.now()
			p.metrics.upstreamSeconds.Observe(x.answered.Sub(sent).Seconds())
			return p.clean(x, res)
		},
		// The request handed to it is the outgoing one, credentials included: only
		// the error is looked at.
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			p.upstreamFailed(x, err)
		},
	}
	reverse.ServeHTTP(x.w, x.r)
}

// upstreamURL is built afresh: nothing of the client's URL but the canonical
// path and the query, byte for byte.
func (x *exchange) upstreamURL() *url.URL {
	return &url.URL{
		Scheme: x.route.url.Scheme, Host: x.route.url.Host,
		Path: x.path.Decoded(), RawPath: x.path.String(),
		RawQuery: x.r.URL.RawQuery, ForceQuery: x.r.URL.ForceQuery,
	}
}

// rewrite runs after ReverseProxy has removed the hop-by-hop headers, so that a
// client cannot have our own removed by naming them in Connection.
func (p *Proxy) rewrite(x *exchange, pr *httputil.ProxyRequest, to *url.URL) {
	out := pr.Out
	out.URL = to
	out.Trailer = nil
	out.Host = x.client.host
	if x.route.hostHeader != "" {
		out.Host = x.route.hostHeader
	}
	dropBelieved(out.Header)
	p.sessions.Strip(out.Header)
	if !x.upgrade() {
		out.Header.Del("Upgrade")
		out.Header.Del("Connection")
	}
	setForwarded(out.Header, x.client)
	if x.route.headers && x.signedIn() && !x.incognito {
		setIdentity(out.Header, x.session.Principal)
	}
}

// clean keeps an upstream from speaking for authgate.
func (p *Proxy) clean(x *exchange, res *http.Response) error {
	if res.StatusCode < 100 || res.StatusCode > 999 {
		return fmt.Errorf("upstream answered with status %d", res.StatusCode) // net/http would panic
	}
	if isStream(res) {
		x.stream = true
		p.metrics.streams.WithLabelValues(x.route.name).Inc()
	}
	if cookies := res.Header["Set-Cookie"]; len(cookies) > 0 {
		kept := cookies[:0]
		for _, cookie := range cookies {
			if !p.sessions.Owns(cookie) {
				kept = append(kept, cookie)
			}
		}
		res.Header["Set-Cookie"] = kept
	}
	res.Header.Del("Alt-Svc") // would lead browsers around authgate
	if res.Header.Get("Content-Type") == "" {
		x.w.Header()["Content-Type"] = nil // or net/http guesses, and text becomes HTML
		x.w.Header().Set("X-Content-Type-Options", "nosniff")
	}
	return nil
}

// isStream reports whether a response has no end to wait for.
func isStream(res *http.Response) bool {
	return res.StatusCode == http.StatusSwitchingProtocols ||
		strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
}

// upstreamFailed answers for an upstream that did not.
func (p *Proxy) upstreamFailed(x *exchange, err error) {
	x.outcome = audit.Allow // it was let through
	name := x.route.name
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		x.reason = "client_gone"
		x.w.WriteHeader(statusClientGone)
		return
	case errors.As(err, &timeout) && timeout.Timeout():
		x.refuse(http.StatusGatewayTimeout, "upstream_timeout", "The dashboard "+name+" did not answer in time.", err)
	default:
		x.refuse(http.StatusBadGateway, "upstream_down", "The dashboard "+name+" could not be reached.", err)
	}
	p.answer(x)
}

// sinceHeader is how long a request took; for a stream, until it began.
func (x *exchange) sinceHeader(end time.Time) time.Duration {
	if x.stream {
		end = x.answered
	}
	return end.Sub(x.begun)
}
