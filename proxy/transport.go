package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/text"
)

// transports are the ways to one upstream, each with connections of its own. A
// connection that has carried gRPC never carries anything else: argocd-server
// tells the two apart once a connection, by its first request.
type transports struct {
	plain           http.RoundTripper
	noHeaderTimeout http.RoundTripper // the same, for answers that may begin at any time
	upgrade         http.RoundTripper // HTTP/1.1, always: there is no Upgrade in HTTP/2
	grpc            http.RoundTripper // HTTP/2, always
}

// unixHost stands in URLs where a socket has no name.
const unixHost = "unix"

// roundTripper picks the way that a request goes: the seam behind which everything
// about connections lies.
func (u *upstream) roundTripper(x *exchange) http.RoundTripper {
	available := u.transports.Load()
	switch {
	case x.isWebSocketUpgrade():
		return available.upgrade
	case isGRPC(x.r):
		return duplex{available.grpc, x.r}
	}
	transport := available.plain
	if u.requestsStream(x.r) {
		transport = available.noHeaderTimeout
	}
	if u.url.Scheme == config.SchemeH2C {
		return duplex{transport, x.r}
	}
	return transport
}

// duplex lets the end of a call end the reading of what its client still has to
// say. ReverseProxy takes Close from the bodies that it passes on, and net/http's
// HTTP/2 does not look at the context while it reads one: a call whose server is
// gone, or that is cut, would wait for a silent client (golang/go#78973).
type duplex struct {
	http.RoundTripper
	client *http.Request
}

func (d duplex) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || d.client.ProtoMajor < 2 { // HTTP/1: Close would itself wait
		return d.RoundTripper.RoundTrip(r)
	}
	sent := *r
	sent.Body = struct {
		io.Reader
		io.Closer
	}{r.Body, d.client.Body}
	stop := context.AfterFunc(r.Context(), func() { _ = d.client.Body.Close() })
	res, err := d.RoundTripper.RoundTrip(&sent)
	if err != nil {
		stop()
		return nil, err
	}
	res.Body = duplexBody{res.Body, stop}
	return res, nil
}

// duplexBody is the other half.
type duplexBody struct {
	io.ReadCloser
	stop func() bool
}

func (b duplexBody) Close() error {
	b.stop()
	return b.ReadCloser.Close()
}

// base is what an outgoing URL begins with. The Host header is another matter.
func (u *upstream) base() (scheme, host string) {
	switch u.url.Scheme {
	case config.SchemeH2C:
		return "http", u.url.Host
	case config.SchemeUnix:
		return "http", unixHost
	default:
		return u.url.Scheme, u.url.Host
	}
}

func newTransports(c *config.Upstream, k upstreamKind, timeouts config.Timeouts, trust tlsTrust) transports {
	http1 := newHTTP1(c, timeouts, trust)
	t := transports{plain: http1, upgrade: http1, grpc: newGRPCTransport(c, k, timeouts, trust)}
	noTimeout := *c
	noTimeout.Timeouts.UpstreamHeader = 0
	if c.URL.Scheme == config.SchemeH2C {
		t.plain, t.noHeaderTimeout = newHTTP2(c, timeouts, trust), newHTTP2(&noTimeout, timeouts, trust)
	} else {
		t.noHeaderTimeout = newHTTP1(&noTimeout, timeouts, trust)
	}
	return t
}

func newHTTP1(c *config.Upstream, timeouts config.Timeouts, trust tlsTrust) http.RoundTripper {
	t := newTransport(c, timeouts, trust)
	t.Protocols.SetHTTP1(true)
	return retryTransport{trackConns(t)}
}

func newHTTP2(c *config.Upstream, timeouts config.Timeouts, trust tlsTrust) *http.Transport {
	t := newTransport(c, timeouts, trust)
	t.Protocols.SetUnencryptedHTTP2(true)
	// Without it every request waits for a peer that is gone without a word, on
	// the same connection, each for its own timeout.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}
	return t
}

// newTransport sets all but the protocols. There is no Proxy: HTTP_PROXY would
// receive the requests with the identity in them.
func newTransport(c *config.Upstream, timeouts config.Timeouts, trust tlsTrust) *http.Transport {
	return &http.Transport{
		DialContext:            newDialer(c, timeouts, net.Dialer{}).DialContext,
		TLSHandshakeTimeout:    c.Timeouts.Dial(timeouts),
		ResponseHeaderTimeout:  c.Timeouts.Header(timeouts),
		ExpectContinueTimeout:  time.Second, // 0 would have clients send bodies that nobody has asked for
		DisableCompression:     true,        // what the client did not ask for would break ETag and Range
		MaxIdleConnsPerHost:    1024,        // with fewer than there are at once, requests dial anew
		IdleConnTimeout:        time.Duration(c.Timeouts.Idle),
		MaxResponseHeaderBytes: 256 << 10,
		TLSClientConfig:        trust.config(c),
		Protocols:              new(http.Protocols),
	}
}

// newGRPCTransport speaks HTTP/2 or not at all: by ALPN over TLS, else with prior
// knowledge. No timeout for the response header: a stream may be silent for long.
func newGRPCTransport(c *config.Upstream, k upstreamKind, timeouts config.Timeouts, trust tlsTrust) http.RoundTripper {
	t := newTransport(c, timeouts, trust)
	t.ResponseHeaderTimeout = 0
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	t.TLSClientConfig.VerifyConnection = func(cs tls.ConnectionState) error {
		if cs.NegotiatedProtocol != "h2" { // net/http would go on in HTTP/1.1
			return text.SafeError("the upstream does not offer HTTP/2 (ALPN h2), which gRPC needs")
		}
		return nil
	}
	// Servers of gRPC count pings: grpc-go closes the connection at the fourth
	// within a silent stream, where they come oftener than every 5 minutes (gRFC
	// A8). A peer whose machine is gone is found sooner, by unanswered segments.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 5*time.Minute + 15*time.Second, PingTimeout: 5 * time.Second}
	if c.URL.Scheme != config.SchemeUnix {
		t.DialContext = newDialer(c, timeouts, net.Dialer{
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
			Control:         setTCPUserTimeout(20 * time.Second),
		}).DialContext
	}
	if k.exactGRPCType {
		return grpcContentType{t}
	}
	return t
}

// grpcContentType is for servers that know gRPC by exactly application/grpc and reset
// the connection, with every call on it, at anything else. Nothing is lost: they
// speak one codec, proto.
type grpcContentType struct{ http.RoundTripper }

func (t grpcContentType) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := *r
	sent.Header = r.Header.Clone()
	sent.Header["Content-Type"] = []string{"application/grpc"}
	return t.RoundTripper.RoundTrip(&sent)
}
