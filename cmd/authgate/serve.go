package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy"
)

func newServe() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Serve the dashboards of a configuration",
		Long: "Serve until SIGTERM or SIGINT. On SIGTERM /readyz fails at once and requests are\n" +
			"still served for timeouts.shutdownDelay, so that a balancer can look away; on\n" +
			"SIGINT (Ctrl-C) there is no delay. A second of these signals ends the process.\n" +
			"Changed policy files are taken within 2 seconds; SIGHUP looks at them at once.",
		Example: "  authgate serve --config /etc/authgate/authgate.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), file, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addConfigFlag(cmd, &file)
	return cmd
}

// serve is the one recipe that wires everything: load, build, listen, wait, drain.
func serve(ctx context.Context, file string, stdout, stderr io.Writer) error {
	started := time.Now()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP) // until the very end: it must never end the process
	defer signal.Stop(reload)
	signal.Ignore(syscall.SIGPIPE) // whoever read the audit or the log may go: requests do not stop for that

	parts, err := loadParts(file, needed)
	if err != nil {
		return notLoaded{err}
	}
	c := parts.config
	log := slog.New(slog.NewTextHandler(stderr, nil))
	records, closeRecords, err := audit.Open(c.Audit.Output, stdout, stderr)
	if err != nil {
		return notLoaded{err}
	}
	defer closeRecords()

	traffic, err := listen("listen", c.Listen)
	if err != nil {
		return notLoaded{err}
	}
	defer traffic.Close()
	admin, err := listen("adminListen", c.AdminListen)
	if err != nil {
		return notLoaded{err}
	}
	defer admin.Close()

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	issuer := newRelyingParty(parts.issuer, registry, log)
	gate, err := proxy.New(proxy.Options{
		Config: c, Issuer: issuer, Keys: parts.keys, Policy: parts.policy, Shadow: parts.shadow, UpstreamCAs: parts.upstreams,
		Audit: audit.New(records, log), Registry: registry, Log: log,
	})
	if err != nil {
		return notLoaded{err}
	}

	background, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { issuer.Run(background) })
	running.Go(func() { newPolicyWatch(parts, gate, log).run(background, reload) })
	running.Go(func() { gate.ConfirmDecisions(background) })
	running.Go(func() { sayWhenReady(background, issuer, started, log) })

	servers := []*http.Server{
		newServer(c, gate, log),
		newServer(c, gate.Admin(registry), log),
	}
	defer func() { // whatever is left of them, before running is waited for
		for _, s := range servers {
			s.Close()
		}
	}()
	broken := make(chan error, len(servers))
	for i, listener := range []net.Listener{traffic, admin} {
		running.Go(func() { broken <- servers[i].Serve(listener) })
	}
	log.Info("listening", "listen", traffic.Addr().String(), "admin", admin.Addr().String(), "version", buildVersion())

	delay := time.Duration(c.Timeouts.ShutdownDelay)
	select {
	case err := <-broken:
		return failed{fmt.Errorf("serving: %w", err)}
	case <-ctx.Done():
		delay = 0
	case s := <-signals:
		if s == os.Interrupt {
			delay = 0
		}
	}
	signal.Stop(signals) // from here on a signal ends the process
	return drain(gate, servers, delay, time.Duration(c.Timeouts.Shutdown), log)
}

// drain stops taking requests without losing one: first the balancer is told,
// then, after it had time to look away, the ports close and requests in flight
// end.
func drain(gate *proxy.Proxy, servers []*http.Server, delay, limit time.Duration, log *slog.Logger) error {
	gate.Drain()
	log.Info("shutting down", "delay", delay, "limit", limit)
	time.Sleep(delay)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, s := range servers {
		if err := s.Shutdown(ctx); err != nil {
			log.Warn("requests were still running at the end of timeouts.shutdown", "error", err)
			s.Close()
		}
	}
	log.Info("stopped")
	return nil
}

func newRelyingParty(c identity.Config, registry prometheus.Registerer, log *slog.Logger) *identity.RelyingParty {
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "authgate_groups_dropped_total", Help: "Groups of the issuer that were not believed.",
	}, []string{"reason"})
	registry.MustRegister(dropped)
	for _, reason := range []string{"reserved", "malformed"} {
		dropped.WithLabelValues(reason)
	}
	c.GroupDropped = func(reason string) { dropped.WithLabelValues(reason).Inc() }
	return identity.New(c, log)
}

func newServer(c *config.Config, handler http.Handler, log *slog.Logger) *http.Server {
	server := &http.Server{
		Handler:                      handler,
		ReadHeaderTimeout:            time.Duration(c.Timeouts.ReadHeader),
		IdleTimeout:                  time.Duration(c.Timeouts.Idle),
		MaxHeaderBytes:               c.Limits.HeaderBytes,
		DisableGeneralOptionsHandler: true, // OPTIONS * is refused like any other odd target
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
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

func listen(key, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: %s is taken by another process; stop it, or write another address", key, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return listener, nil
}

func sayWhenReady(ctx context.Context, issuer *identity.RelyingParty, started time.Time, log *slog.Logger) {
	select {
	case <-ctx.Done():
	case <-issuer.Discovered():
		log.Info("ready", "startup", time.Since(started).Round(100*time.Microsecond))
	}
}
