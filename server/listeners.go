package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/listen"
)

// listeners are the two that authgate has, and what answers on them.
type listeners struct {
	traffic, admin                 *http.Server
	trafficListener, adminListener net.Listener
	requests                       atomic.Int64 // that are being handled on the traffic port
}

// openListeners opens both, or none.
func openListeners(ctx context.Context, c *config.Config) (*listeners, error) {
	traffic, err := listen.Open(ctx, c.Listen, c.Limits.Connections)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	admin, err := listen.Open(ctx, c.AdminListen, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("adminListen: %w", err), traffic.Close())
	}
	return &listeners{trafficListener: traffic, adminListener: admin}, nil
}

// setHandlers sets the handler of each port. The traffic port uses TLS if it has a
// certificate.
func (p *listeners) setHandlers(c *config.Config, handler, admin http.Handler, cert *Certificate, log levelLogger) {
	p.traffic = newServer(c, p.countRequests(handler), log)
	p.traffic.ConnContext = listen.ConnContext
	if cert != nil {
		p.traffic.TLSConfig = cert.TLSConfig()
		p.traffic.Protocols.SetHTTP2(true)
	}
	p.admin = newServer(c, withWriteDeadline(admin), log)
}

// withWriteDeadline ends answers of the admin port that a client of HTTP/2 does not take.
// On HTTP/1 package listen does, and on the traffic port package proxy.
func withWriteDeadline(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			deadlineW := &deadlineWriter{w, http.NewResponseController(w)}
			defer deadlineW.setDeadline() // what is left is sent when the handler is done
			w = deadlineW
		}
		h.ServeHTTP(w, r)
	})
}

type deadlineWriter struct {
	http.ResponseWriter

	control *http.ResponseController
}

func (w *deadlineWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *deadlineWriter) setDeadline() { _ = w.control.SetWriteDeadline(time.Now().Add(time.Minute)) }

func (w *deadlineWriter) Write(b []byte) (int, error) {
	w.setDeadline()
	n, err := w.ResponseWriter.Write(b)
	_ = w.control.SetWriteDeadline(time.Time{}) // a profile may be silent for longer
	return n, err
}

func (p *listeners) serveTraffic() error {
	if p.traffic.TLSConfig != nil {
		return p.traffic.ServeTLS(p.trafficListener, "", "")
	}
	return p.traffic.Serve(p.trafficListener)
}

func (p *listeners) serveAdmin() error { return p.admin.Serve(p.adminListener) }

// close ends at once what is left of them.
func (p *listeners) close() {
	for _, s := range []*http.Server{p.traffic, p.admin} {
		if s != nil {
			_ = s.Close()
		}
	}
	_, _ = p.trafficListener.Close(), p.adminListener.Close()
}

// countRequests counts the requests that are being handled: a server knows of
// connections only, and forgets them when it closes them.
func (p *listeners) countRequests(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		defer p.requests.Add(-1)
		h.ServeHTTP(w, r)
	})
}

// newServer bounds what a peer can hold before it has asked for anything. There is
// neither ReadTimeout nor WriteTimeout: they would cut uploads, and every stream;
// what reads or writes for long sets deadlines of its own.
func newServer(c *config.Config, handler http.Handler, log levelLogger) *http.Server {
	server := &http.Server{
		Handler:                      handler,
		ReadHeaderTimeout:            time.Duration(c.Timeouts.ReadHeader),
		IdleTimeout:                  time.Duration(c.Timeouts.Idle),
		MaxHeaderBytes:               c.Limits.HeaderBytes,
		DisableGeneralOptionsHandler: true, // OPTIONS * is refused like any other odd target
		ErrorLog:                     log.serverLogger(),
		Protocols:                    new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 100,
			SendPingTimeout:      30 * time.Second,
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     30 * time.Second,
		},
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	return server
}

// warnLowFDLimit compares what the system lets this process open with what
// its connections may need: each has one to a client and one to an upstream. When
// they run out, nothing is accepted, dialled or read any more.
func warnLowFDLimit(limit uint64, connections int, log *slog.Logger) {
	const reserve, typical = 256, 4096 // for listeners, files and the issuer; assumed without limits.connections
	required := uint64(typical)
	if connections > 0 {
		required = 2*uint64(connections) + reserve
	}
	if limit < required {
		log.Warn("file descriptor limit too low: connections fail when no descriptor is free", "limit", limit, "required",
			required,
			"hint", "raise its limit of open files (ulimit -n, LimitNOFILE), or lower limits.connections")
	}
}
