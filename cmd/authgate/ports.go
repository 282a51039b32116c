package main

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

// ports are the two that authgate has, and what answers on them.
type ports struct {
	traffic, admin         *http.Server
	trafficOpen, adminOpen net.Listener
	requests               atomic.Int64 // that are being handled on the traffic port
}

// openPorts opens both, or none.
func openPorts(ctx context.Context, c *config.Config) (*ports, error) {
	traffic, err := listen.Open(ctx, c.Listen, c.Limits.Connections)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	admin, err := listen.Open(ctx, c.AdminListen, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("adminListen: %w", err), traffic.Close())
	}
	return &ports{trafficOpen: traffic, adminOpen: admin}, nil
}

// answer says who answers on each. The traffic port speaks TLS where it has a
// certificate to show.
func (p *ports) answer(c *config.Config, gate, admin http.Handler, shown *certificate, log leveled) {
	p.traffic = newServer(c, p.counted(gate), log)
	p.traffic.ConnContext = listen.ConnContext
	if shown != nil {
		p.traffic.TLSConfig = shown.Config()
		p.traffic.Protocols.SetHTTP2(true)
	}
	p.admin = newServer(c, bounded(admin), log)
}

// bounded ends answers of the admin port that a client of HTTP/2 does not take.
// On HTTP/1 package listen does, and on the traffic port package proxy.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			written := &boundedWriter{w, http.NewResponseController(w)}
			defer written.begin() // what is left is sent when the handler is done
			w = written
		}
		h.ServeHTTP(w, r)
	})
}

type boundedWriter struct {
	http.ResponseWriter

	control *http.ResponseController
}

func (w *boundedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *boundedWriter) begin() { _ = w.control.SetWriteDeadline(time.Now().Add(time.Minute)) }

func (w *boundedWriter) Write(b []byte) (int, error) {
	w.begin()
	n, err := w.ResponseWriter.Write(b)
	_ = w.control.SetWriteDeadline(time.Time{}) // a profile may be silent for longer
	return n, err
}

func (p *ports) serveTraffic() error {
	if p.traffic.TLSConfig != nil {
		return p.traffic.ServeTLS(p.trafficOpen, "", "")
	}
	return p.traffic.Serve(p.trafficOpen)
}

func (p *ports) serveAdmin() error { return p.admin.Serve(p.adminOpen) }

// close ends at once what is left of them.
func (p *ports) close() {
	for _, s := range []*http.Server{p.traffic, p.admin} {
		if s != nil {
			_ = s.Close()
		}
	}
	_, _ = p.trafficOpen.Close(), p.adminOpen.Close()
}

// counted counts the requests that are being handled: a server knows of
// connections only, and forgets them when it closes them.
func (p *ports) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		defer p.requests.Add(-1)
		h.ServeHTTP(w, r)
	})
}

// newServer bounds what a peer can hold before it has asked for anything. There is
// neither ReadTimeout nor WriteTimeout: they would cut uploads, and every stream;
// what reads or writes for long sets deadlines of its own.
func newServer(c *config.Config, handler http.Handler, log leveled) *http.Server {
	server := &http.Server{
		Handler:                      handler,
		ReadHeaderTimeout:            time.Duration(c.Timeouts.ReadHeader),
		IdleTimeout:                  time.Duration(c.Timeouts.Idle),
		MaxHeaderBytes:               c.Limits.HeaderBytes,
		DisableGeneralOptionsHandler: true, // OPTIONS * is refused like any other odd target
		ErrorLog:                     log.forServer(),
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

// warnOfFewDescriptors compares what the system lets this process open with what
// its connections may need: each has one to a client and one to an upstream. When
// they run out, nothing is accepted, dialled or read any more.
func warnOfFewDescriptors(most uint64, connections int, log *slog.Logger) {
	const others, usual = 256, 4096 // listeners, files, the issuer; what no limit comes to
	need := uint64(usual)
	if connections > 0 {
		need = 2*uint64(connections) + others
	}
	if most < need {
		log.Warn("this process may open few files; connections fail when they run out", "limit", most, "wanted", need,
			"mend", "raise its limit of open files (ulimit -n, LimitNOFILE), or lower limits.connections")
	}
}
