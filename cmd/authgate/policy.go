package main

import (
	"errors"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/policy"
)

func newPolicy() *cobra.Command {
	cmd := group("policy", "Ask a policy, offline: no issuer, no network, no cluster",
		newPolicyCan(), newPolicyExplain(), newPolicyWhoCan(), newPolicyMatrix(),
		newPolicyDiff(), newPolicyTest(), newPolicyLint(), newPolicyFmt(),
		newPolicyReplay(), newPolicySuggest(), newPolicyImport())
	cmd.PersistentPreRun = func(*cobra.Command, []string) {
		debug.SetGCPercent(400) // one answer, and the process ends: time is worth more than memory
	}
	return cmd
}

// policyFlags say which policy is asked.
type policyFlags struct {
	policies []string
	config   string
}

func (f *policyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.policies, "policy", nil, "policy `FILE`; may be repeated")
	cmd.Flags().StringVar(&f.config, "config", "", "configuration `FILE` that names the policy and the upstreams")
	_ = cmd.MarkFlagFilename("policy", "csv")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// loadedPolicy is a policy, and the configuration around it where there is one.
type loadedPolicy struct {
	*policy.Snapshot
	config *config.Config // nil without --config
}

// read gives the files of the policy as they are, and the configuration if one is
// named.
func (f *policyFlags) read() ([]policy.Source, *config.Config, error) {
	var c *config.Config
	files := f.policies
	if f.config != "" {
		var err error
		if c, err = config.Load(f.config); err != nil {
			return nil, nil, notLoaded{err}
		}
		if len(files) == 0 {
			files = c.Policy.Files
		}
	}
	if len(files) == 0 {
		return nil, nil, errors.New("no policy is named; write --policy FILE or --config FILE")
	}
	sources, err := policy.ReadFiles(files...)
	if err != nil {
		return nil, nil, notLoaded{err}
	}
	return sources, c, nil
}

func (f *policyFlags) load() (*loadedPolicy, error) {
	sources, c, err := f.read()
	if err != nil {
		return nil, err
	}
	var upstreams []string
	if c != nil {
		upstreams = c.UpstreamNames()
	}
	snapshot, err := policy.Load(sources, upstreams)
	if err != nil {
		return nil, notLoaded{err}
	}
	return &loadedPolicy{snapshot, c}, nil
}
