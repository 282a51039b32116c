package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/listen"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session/seal"
)

func newServe() *cobra.Command {
	var file string
	var logging logFlags
	cmd := &cobra.Command{
		Use:   "serve [--config FILE]",
		Short: "Serve the dashboards of a configuration",
		Long: "Serve until SIGTERM or SIGINT. On SIGTERM /readyz fails at once and requests are\n" +
			"still served for timeouts.shutdownDelay, so that a balancer can look away; on\n" +
			"SIGINT (Ctrl-C) there is no delay. A second of these signals ends the process.\n" +
			"Changed policy files, secrets and certificates are taken within 2 seconds;\n" +
			"SIGHUP looks at them at once, and opens the audit's file again. SIGUSR1 switches\n" +
			"the log to debug, and back.",
		Example: "  authgate serve --config /etc/authgate/authgate.yaml --log-format json",
		Args:    cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := logging.check(); err != nil {
				return err
			}
			stdout, stderr := cli.UnwrapWriter(cmd.OutOrStdout()), cli.UnwrapWriter(cmd.ErrOrStderr())
			log, logQueue := logging.openLog(stderr)
			endLog := startQueue(logQueue)
			err := serve(cmd.Context(), file, log, logQueue, stdout, stderr)
			endLog() // what was logged comes before what is printed
			return logging.startFailure(logging.open(stderr), err)
		},
	}
	cli.AddConfigFlag(cmd, &file)
	logging.add(cmd)
	return cmd
}

// serve is the one recipe that wires everything: load, build, listen, wait, drain.
func serve(ctx context.Context, file string, log levelLogger, logQueue *audit.Queue, stdout, stderr io.Writer) error {
	started := time.Now()
	slog.SetDefault(log.Logger)
	log.redirectStandardLog()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	reload, rotated, level := make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP) // until the very end: these two must never end the process
	defer signal.Stop(reload)
	signal.Notify(rotated, syscall.SIGHUP)
	defer signal.Stop(rotated)
	notifyLogLevel(level)
	defer signal.Stop(level)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // a twentieth of the CPU that a request takes, for 6 MiB: what lives long is small
	}
	signal.Ignore(syscall.SIGPIPE) // whoever read the audit or the log may go: requests do not stop for that

	deps, err := loadDeps(file, failOnMissing)
	if err != nil {
		return cli.LoadError(err)
	}
	c := deps.config
	for _, warning := range deps.warnings() {
		log.Warn(warning)
	}
	warnLowFDLimit(fdLimit(), c.Limits.Connections, log.Logger)
	records, err := openAudit(c.Audit, stdout, stderr, log.Logger)
	if err != nil {
		return cli.LoadError(err)
	}
	if records != nil {
		defer startQueue(records)() // ends last, when nothing writes to it any more
	}

	keys := seal.NewKeyring(deps.keys)
	redis, err := deps.openRedis(keys, log.Logger)
	if err != nil {
		return cli.LoadError(err)
	}
	if redis != nil {
		defer redis.Close()
	}

	var running sync.WaitGroup
	defer running.Wait()
	listeners, err := openListeners(ctx, c)
	if err != nil {
		return cli.LoadError(err)
	}
	defer listeners.close()

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := readBuildInfo()
	build.register(registry)
	registerQueueMetrics(registry, records, logQueue)
	issuer := newRelyingParty(deps.issuer, registry, log.Logger)
	bearers := identity.NewBearers(issuer, identityBearers(c, deps.bearers), log.Logger)
	accounts := newServiceAccounts(c, log.Logger)
	reverseProxy, err := proxy.New(proxy.Options{
		Config: c, Issuer: issuer, BearerVerifier: bearers, ServiceAccounts: accounts.proxy, Keyring: keys, Redis: redis, Policy: deps.policy, Shadow: deps.shadow, UpstreamCAs: deps.upstreamCAs,
		UpstreamCertificates: deps.clientCertificates(),
		Audit:                auditWriter(records, log.Logger), AuditQueue: records, Overloaded: listen.Overloaded, Registry: registry, Log: log.Logger,
	})
	if err != nil {
		return cli.LoadError(err)
	}
	reloader := newReloader(log.Logger)
	reloader.watchPolicies(deps, reverseProxy)
	reloader.registerReloadMetrics(registry)
	reloader.watchKeys(c.Session.Keys, deps.keysText, keys)
	reloader.watchSecrets(deps, reloadTargets{issuer, bearers, reverseProxy, redis})
	reloader.watchCertificate("TLS", c.TLS.CertFile, c.TLS.KeyFile, deps.tls)
	for _, u := range c.Upstreams {
		reloader.watchCertificate("client certificate for upstream "+u.Name, u.TLS.CertFile, u.TLS.KeyFile, deps.clientCerts[u.Name])
	}

	background, stop := context.WithCancel(ctx)
	defer stop()
	running.Go(func() { log.toggleDebugOn(background, level) })
	running.Go(func() { reopenOn(background, rotated, records) })
	running.Go(func() { issuer.Run(background) })
	running.Go(func() { bearers.Run(background) })
	running.Go(func() { accounts.run(background) })
	running.Go(func() { reloader.watcher.Run(background, reload) })
	running.Go(func() { reverseProxy.RunCrossCheck(background) })
	running.Go(func() { reverseProxy.ReviewStreams(background) })
	running.Go(func() { reverseProxy.RunSessions(background) })
	running.Go(func() { logWhenReady(background, issuer, started, log.Logger) })

	listeners.setHandlers(c, reverseProxy, reverseProxy.AdminSessions(deps.adminToken, reverseProxy.Admin(registry)), deps.tls, log)
	serveErr := make(chan error, 2)
	running.Go(func() { serveErr <- listeners.serveTraffic() })
	running.Go(func() { serveErr <- listeners.serveAdmin() })
	log.Info("listening", "listen", listeners.trafficListener.Addr().String(), "admin", listeners.adminListener.Addr().String(), "version", build.version, "revision", build.revision)

	delay := time.Duration(c.Timeouts.ShutdownDelay)
	select {
	case err := <-serveErr:
		return cli.RunError(fmt.Errorf("serving: %w", err))
	case <-ctx.Done():
		delay = 0
	case s := <-signals:
		if s == os.Interrupt {
			delay = 0
		}
	}
	signal.Stop(signals) // from here on a signal ends the process
	listeners.shutDown(context.WithoutCancel(ctx), reverseProxy, delay, time.Duration(c.Timeouts.Shutdown), log.Logger)
	return nil
}

func newRelyingParty(c identity.Config, registry prometheus.Registerer, log *slog.Logger) *identity.RelyingParty {
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "authgate_groups_dropped_total", Help: "Groups of the issuer that were not believed, and logins and refreshes without any: no groups claim, or too many groups to list.",
	}, []string{"reason"})
	registry.MustRegister(dropped)
	for _, reason := range []string{"reserved", "malformed", "no_claim", "overage"} {
		dropped.WithLabelValues(reason)
	}
	skipped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "authgate_jwks_keys_skipped_total", Help: "Keys of issuers that cannot be used, once for each change of their key sets.",
	}, []string{"reason"})
	registry.MustRegister(skipped)
	for _, reason := range identity.SkippedKeyReasons() {
		skipped.WithLabelValues(reason)
	}
	c.KeySkipped = func(reason string) { skipped.WithLabelValues(reason).Inc() }
	c.GroupDropped = func(reason string) { dropped.WithLabelValues(reason).Inc() }
	return identity.New(c, log)
}

func logWhenReady(ctx context.Context, issuer *identity.RelyingParty, started time.Time, log *slog.Logger) {
	select {
	case <-ctx.Done():
	case <-issuer.Discovered():
		log.Info("ready", "startup", time.Since(started).Round(100*time.Microsecond))
	}
}
