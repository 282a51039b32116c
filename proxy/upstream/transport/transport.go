package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/example-org/authgate/proxy/upstream/http1"
	"github.com/example-org/authgate/text"
)

func (s *Set) newHTTP1(o Options) http.RoundTripper {
	if o.Standard {
		t := s.newTransport(o)
		t.Protocols.SetHTTP1(true)
		return retryTransport{trackConns(t)}
	}
	t := &http1.Transport{
		DialContext:            newDialer(o, net.Dialer{}).DialContext,
		TLSClientConfig:        newTLSConfig(o),
		TLSHandshakeTimeout:    o.DialTimeout,
		ResponseHeaderTimeout:  o.HeaderTimeout,
		ExpectContinueTimeout:  expectContinueTimeout,
		IdleConnTimeout:        o.IdleTimeout,
		MaxIdleConnsPerHost:    maxIdleConns,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	s.own = append(s.own, t)
	return ownHTTP1{t}
}

// ownHTTP1 marks the errors that repeat nothing of what an upstream sent.
type ownHTTP1 struct{ *http1.Transport }

func (t ownHTTP1) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.Transport.RoundTrip(r)
	if err == nil {
		return res, nil
	}
	var broken http1.ProtocolError
	if errors.As(err, &broken) {
		return nil, text.SafeError(broken.Error())
	}
	return nil, err
}

const (
	expectContinueTimeout = time.Second // with 0, bodies would be sent before the upstream asks for them
	maxIdleConns          = 1024        // with fewer than concurrent requests, requests would dial again
	maxHeaderBytes        = 256 << 10
)

func (s *Set) newHTTP2(o Options) *http.Transport {
	t := s.newTransport(o)
	t.Protocols.SetUnencryptedHTTP2(true)
	// Without pings, every request on a connection to an unreachable peer waits for its own
	// timeout.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second}
	return t
}

// newTransport sets everything but the protocols. It sets no Proxy: HTTP_PROXY would receive
// requests that contain the user's identity.
func (s *Set) newTransport(o Options) *http.Transport {
	t := &http.Transport{
		DialContext:            newDialer(o, net.Dialer{}).DialContext,
		TLSHandshakeTimeout:    o.DialTimeout,
		ResponseHeaderTimeout:  o.HeaderTimeout,
		ExpectContinueTimeout:  expectContinueTimeout,
		DisableCompression:     true, // compression that the client did not request would break ETag and Range
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        o.IdleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		TLSClientConfig:        newTLSConfig(o),
		Protocols:              new(http.Protocols),
	}
	s.standard = append(s.standard, t)
	return t
}

func newTLSConfig(o Options) *tls.Config {
	return &tls.Config{
		RootCAs: o.CAs, MinVersion: tls.VersionTLS12, ServerName: o.ServerName, GetClientCertificate: o.ClientCertificate,
	}
}

// newGRPC uses HTTP/2 only: by ALPN over TLS, otherwise with prior knowledge. It has no timeout
// for the response header, because a stream may be silent for long.
func (s *Set) newGRPC(o Options) http.RoundTripper {
	t := s.newTransport(o)
	t.ResponseHeaderTimeout = 0
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	t.TLSClientConfig.VerifyConnection = func(cs tls.ConnectionState) error {
		if cs.NegotiatedProtocol != "h2" { // net/http would continue in HTTP/1.1
			return text.SafeError("the upstream does not offer HTTP/2 (ALPN h2), which gRPC needs")
		}
		return nil
	}
	// gRPC servers limit pings: grpc-go closes a connection at the fourth ping within a silent
	// stream if they arrive more often than every 5 minutes (gRFC A8). Unacknowledged segments
	// detect an unreachable machine sooner.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 5*time.Minute + 15*time.Second, PingTimeout: 5 * time.Second}
	if o.Socket == "" {
		t.DialContext = newDialer(o, net.Dialer{
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
			Control:         setTCPUserTimeout(20 * time.Second),
		}).DialContext
	}
	if o.ExactGRPCType {
		return grpcContentType{t}
	}
	return t
}

// grpcContentType implements [Options.ExactGRPCType].
type grpcContentType struct{ http.RoundTripper }

func (t grpcContentType) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := *r
	sent.Header = r.Header.Clone()
	sent.Header["Content-Type"] = []string{"application/grpc"}
	return t.RoundTripper.RoundTrip(&sent)
}

// Duplex ends the reading of the client's body when the call ends. ReverseProxy hides Close of
// the bodies that it passes on, and net/http's HTTP/2 does not check the context while it
// reads one. Without this, a call that is cut, or whose server is gone, would wait for a
// silent client (golang/go#78973).
func Duplex(by http.RoundTripper, client *http.Request) http.RoundTripper { return duplex{by, client} }

type duplex struct {
	http.RoundTripper
	client *http.Request
}

func (d duplex) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || d.client.ProtoMajor < 2 { // HTTP/1: Close itself would wait
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

type duplexBody struct {
	io.ReadCloser
	stop func() bool
}

func (b duplexBody) Close() error {
	b.stop()
	return b.ReadCloser.Close()
}
