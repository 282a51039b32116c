package server

import (
	"context"
	"log/slog"
	"sync"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/credential"
	"github.com/example-org/authgate/proxy"
)

// ServiceAccounts are the sources of the tokens that upstreams are shown, one for each
// account however many upstreams and roles name it.
type ServiceAccounts struct {
	Sources map[config.ServiceAccount]*credential.Source // by the account alone, without the role
	proxy   proxy.TokenSources
}

// NewServiceAccounts sends no request yet: a missing Role must not fail the start.
func NewServiceAccounts(c *config.Config, log *slog.Logger) ServiceAccounts {
	cluster := credential.NewCluster(log)
	all := ServiceAccounts{make(map[config.ServiceAccount]*credential.Source), make(proxy.TokenSources)}
	for _, u := range c.Upstreams {
		for _, a := range u.Identity.ServiceAccounts {
			of := a
			of.Role = ""
			source := all.Sources[of]
			if source == nil {
				if source = cluster.ServiceAccount(a.Namespace, a.Name); a.TokenFile != "" {
					source = credential.File(a.TokenFile, log)
				}
				all.Sources[of] = source
			}
			all.proxy[a] = source
		}
	}
	return all
}

// run keeps all of them warm until ctx ends.
func (a ServiceAccounts) run(ctx context.Context) {
	var running sync.WaitGroup
	for _, source := range a.Sources {
		running.Go(func() { source.Run(ctx) })
	}
	running.Wait()
}
