// Package server runs the proxy: it loads what a configuration names, builds every part,
// listens, reloads changed files, and shuts down without losing a request.
package server

import (
	"context"
	"errors"
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

	"github.com/example-org/authgate/admin"
	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/listen"
	"github.com/example-org/authgate/login"
	"github.com/example-org/authgate/policy/pathspace"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session/seal"
)

// Options is what Run needs besides the configuration.
type Options struct {
	ConfigFile     string
	Log            LogOptions
	Stdout, Stderr io.Writer
	Build          BuildInfo

	// PolicyTools answers the operator pages; nil: the admin port has none.
	PolicyTools func(*config.Config) admin.PolicyTools
}

// StartError is an error that kept the server from starting: a configuration, a file that
// it names or a port is unusable.
type StartError struct{ Err error }

func (e *StartError) Error() string { return e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// Run serves until ctx ends or the process receives SIGTERM or SIGINT. It sets the
// process's default log and its signal handling.
func Run(ctx context.Context, o Options) error {
	log, logQueue := openLog(o.Stderr, o.Log)
	defer startQueue(logQueue)() // writes what is logged before the caller prints the error
	return serve(ctx, o, log, logQueue)
}

// serve is the one recipe that wires everything: load, build, listen, wait, drain.
func serve(ctx context.Context, o Options, log levelLogger, logQueue *audit.Queue) error {
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
	signal.Ignore(syscall.SIGPIPE) // requests continue when the reader of the audit or the log exits

	deps, err := LoadDeps(o.ConfigFile, FailOnMissing)
	if err != nil {
		return &StartError{err}
	}
	c := deps.Config
	for _, warning := range deps.Warnings() {
		log.Warn(warning)
	}
	warnLowFDLimit(fdLimit(), c.Limits.Connections, log.Logger)
	records, err := openAudit(c.Audit, o.Stdout, o.Stderr, log.Logger)
	if err != nil {
		return &StartError{err}
	}
	if records != nil {
		defer startQueue(records)() // ends last, when nothing writes to it any more
	}

	if err := deps.awaitConfigMap(ctx, log.Logger); errors.Is(err, errStopped) {
		return nil
	} else if err != nil {
		return &StartError{err}
	}
	keys := seal.NewKeyring(deps.Keys)
	redis, err := deps.OpenRedis(keys, log.Logger)
	if err != nil {
		return &StartError{err}
	}
	if redis != nil {
		defer redis.Close()
	}

	var running sync.WaitGroup
	defer running.Wait()
	listeners, err := openListeners(ctx, c)
	if err != nil {
		return &StartError{err}
	}
	defer listeners.close()

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	o.Build.register(registry)
	registerConfigMap(deps.configMap, registry)
	registry.MustRegister(deps.certificates())
	registerQueueMetrics(registry, records, logQueue)
	issuer := newRelyingParty(deps.Issuer, registry, log.Logger)
	bearers := identity.NewBearers(issuer, identityBearers(c, deps.BearerCAs), log.Logger)
	accounts := NewServiceAccounts(c, log.Logger)
	auditTo := auditWriter(records, log.Logger)
	var reverseProxy *proxy.Proxy
	store, usedStates := newSessionStore(c, redis, keys,
		func(group string) bool { return reverseProxy.MentionsGroup(group) })
	reverseProxy, err = proxy.New(proxy.Options{
		Config: c, Issuer: issuer, BearerVerifier: bearers, ServiceAccounts: accounts.proxy, Store: store,
		Policy: deps.Policy, Shadow: deps.Shadow, UpstreamCAs: deps.UpstreamCAs,
		Pages: deps.Pages, UpstreamCertificates: deps.clientCertificates(), Icons: deps.Icons,
		PagesBelow: pathspace.PagesBelow, ReadLimit: usedStates,
		Audit: auditTo, AuditQueue: records, Overloaded: listen.Overloaded, Registry: registry,
		Log: log.Logger,
	})
	if err != nil {
		return &StartError{err}
	}
	reverseProxy.MountLogin(login.New(login.Options{
		Config: c, Issuer: issuer, Sessions: reverseProxy.Sessions(), SessionCookie: proxy.NewSessionCookie(c.Session.Cookie),
		Endpoints: reverseProxy.Endpoints(), Keyring: keys, UsedStates: usedStates,
		ServesHost: reverseProxy.ServesHost, EndStreams: reverseProxy.EndStreams, Registry: registry, Log: log.Logger,
	}))
	view := &operatorView{
		deps: deps, version: o.Build.Version, startedAt: started, issuer: issuer, reverseProxy: reverseProxy,
	}
	var tools admin.PolicyTools
	if o.PolicyTools != nil {
		tools = o.PolicyTools(c)
	}
	adminHandler := admin.New(admin.Options{
		Operator: view.newOperator(tools, auditTo),
		Issuer:   issuer, Sessions: reverseProxy.Sessions(), Shared: redis != nil, State: reverseProxy,
		Audit: auditTo, AuditQueue: records, Overloaded: listen.Overloaded, Profile: c.AdminProfile, Log: log.Logger,
	})
	if deps.adminToken != "" {
		adminHandler.SetToken(deps.adminToken)
	}
	reloader := newReloader(log.Logger)
	reloader.watchPolicies(deps, reverseProxy, view)
	reloader.registerReloadMetrics(registry)
	reloader.watchKeys(c.Session.Keys, deps.KeysText, keys)
	reloader.watchSecrets(deps, reloadTargets{issuer, bearers, reverseProxy, adminHandler, redis})
	reloader.watchCertificate("TLS", c.TLS.CertFile, c.TLS.KeyFile, deps.TLS)
	for _, u := range c.Upstreams {
		reloader.watchCertificate("client certificate for upstream "+u.Name, u.TLS.CertFile, u.TLS.KeyFile,
			deps.ClientCerts[u.Name])
	}

	background, stop := context.WithCancel(ctx)
	defer stop()
	running.Go(func() { followMemoryLimit(background, log.Logger) })
	running.Go(func() { log.toggleDebugOn(background, level) })
	running.Go(func() { reopenOn(background, rotated, records) })
	running.Go(func() { issuer.Run(background) })
	running.Go(func() { bearers.Run(background) })
	running.Go(func() { accounts.run(background) })
	running.Go(func() { reloader.watcher.Run(background, reload) })
	if deps.configMap != nil {
		running.Go(func() { deps.configMap.Run(background) })
	}
	running.Go(func() { reverseProxy.RunCrossCheck(background) })
	running.Go(func() { reverseProxy.ReviewStreams(background) })
	running.Go(func() { reverseProxy.RunSessions(background) })
	running.Go(func() { logWhenReady(background, issuer, started, log.Logger) })

	listeners.setHandlers(c, adminHandler.Traffic(reverseProxy), adminHandler.Port(registry), deps.TLS, log)
	serveErr := make(chan error, 2)
	running.Go(func() { serveErr <- listeners.serveTraffic() })
	running.Go(func() { serveErr <- listeners.serveAdmin() })
	log.Info("listening", "listen", listeners.trafficListener.Addr().String(), "admin",
		listeners.adminListener.Addr().String(), "version", o.Build.Version, "revision", o.Build.Revision)

	delay := time.Duration(c.Timeouts.ShutdownDelay)
	select {
	case err := <-serveErr:
		return fmt.Errorf("serving: %w", err)
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
		Name: "authgate_groups_dropped_total",
		Help: "Groups that authgate dropped, and logins and refreshes without groups: no groups claim, or too many " +
			"groups to list.",
	}, []string{"reason"})
	registry.MustRegister(dropped)
	for _, reason := range []string{"reserved", "malformed", "no_claim", "overage"} {
		dropped.WithLabelValues(reason)
	}
	skipped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "authgate_jwks_keys_skipped_total",
		Help: "Keys of issuers that cannot be used, once for each change of their key sets.",
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
