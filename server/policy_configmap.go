package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/backoff"
	"github.com/example-org/authgate/credential"
	"github.com/example-org/authgate/server/configmap"
)

// How long a start waits for the API server, and between attempts. Kubernetes starts the pod
// again afterwards, and shows the reason.
const (
	configMapTimeout      = 30 * time.Second
	configMapFirstBackoff = 500 * time.Millisecond
	configMapMaxBackoff   = 5 * time.Second
)

// errStopped says that a signal ended the process while it was starting.
var errStopped = errors.New("stopped while starting")

// ReadConfigMap reads the policy of policy.configMap once, if the configuration names one.
func (p *Deps) ReadConfigMap(ctx context.Context, log *slog.Logger) error {
	at := p.Config.Policy.ConfigMap
	if at.IsZero() {
		return nil
	}
	if p.configMap == nil {
		var err error
		if p.configMap, err = configmap.New(credential.NewCluster(log), at.Namespace, at.Name, log); err != nil {
			return fmt.Errorf("policy.configMap: %w", withHint(err))
		}
	}
	if err := p.configMap.Load(ctx); err != nil {
		return fmt.Errorf("policy.configMap: %w", err)
	}
	var err error
	if p.Sources, err = p.configMap.Read(); err != nil {
		return fmt.Errorf("policy.configMap: %w", err)
	}
	p.Policy, err = loadPolicy(p.Sources, p.Config)
	return err
}

// withHint adds a hint. That of package credential is about ServiceAccounts.
func withHint(err error) error {
	var none *credential.NoClusterError
	if errors.As(err, &none) {
		return fmt.Errorf("%w; run authgate in a pod with a ServiceAccount, or set KUBECONFIG", err)
	}
	return err
}

// awaitConfigMap is ReadConfigMap for a start: it waits a while for an API server that does
// not answer. Any other error needs an operator.
func (p *Deps) awaitConfigMap(ctx context.Context, log *slog.Logger) error {
	stopping, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(stopping, configMapTimeout)
	defer cancel()
	for failures := 1; ; failures++ {
		err := p.ReadConfigMap(ctx, log)
		var unreachable *configmap.UnreachableError
		switch {
		case stopping.Err() != nil:
			return errStopped
		case !errors.As(err, &unreachable):
			return err
		case failures == 1:
			log.Warn("waiting for the policy's ConfigMap", "error", err, "limit", configMapTimeout)
		}
		select {
		case <-ctx.Done():
			if stopping.Err() != nil {
				return errStopped
			}
			return err
		case <-time.After(backoff.Delay(configMapFirstBackoff, configMapMaxBackoff, failures)):
		}
	}
}

// registerConfigMap publishes whether changes of the ConfigMap are seen; 1 without one.
func registerConfigMap(m *configmap.ConfigMap, registry prometheus.Registerer) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "authgate_policy_configmap_up",
		Help: "Whether policy.configMap is watched: 0 while the API server cannot be reached, or forbids it.",
	}, func() float64 {
		if m == nil || m.Watching() {
			return 1
		}
		return 0
	}))
}
