// Package policycmd holds the `authgate policy` commands, which ask a policy offline. Each
// has a file; WHO, METHOD, TARGET and --policy are read in one place for all of them.
package policycmd

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// New makes the command `policy`.
func New(version string) *cobra.Command {
	return cli.Group("policy", "Answer questions about a policy, without network or cluster",
		newPolicyCan(), newPolicyExplain(), newPolicyWhoCan(), newPolicyMatrix(),
		newPolicyDiff(), newPolicyTest(), newPolicyLint(version), newPolicyFmt(),
		newPolicyReplay(), newPolicySuggest(), newPolicyImport())
}

// policyFlags say which policy is asked.
type policyFlags struct {
	policies []string
	config   string
}

func (f *policyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.policies, "policy", nil, "policy `FILE`, - for standard input; may be repeated")
	cmd.Flags().StringVar(&f.config, "config", "", cli.ConfigUsage+"; it names the policy and the upstreams")
	_ = cmd.MarkFlagFilename("policy", "csv")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// loadedPolicy is a policy, and the configuration around it where there is one.
type loadedPolicy struct {
	*policy.Snapshot
	config *config.Config // nil if the policy was named by --policy alone
}

// check refuses flags that are empty, which is mostly a variable that is not set.
func (f *policyFlags) check(cmd *cobra.Command) error {
	if slices.Contains(f.policies, "") {
		return errors.New("--policy is empty; name a file, or leave the flag out")
	}
	return cli.CheckConfigFlag(cmd)
}

// read gives the files of the policy as they are, and the configuration around it.
// Without --policy it is the one that every command uses, see FindConfig.
func (f *policyFlags) read(cmd *cobra.Command) ([]policy.Source, *config.Config, error) {
	if err := f.check(cmd); err != nil {
		return nil, nil, err
	}
	var c *config.Config
	files := f.policies
	name := f.config
	if len(files) == 0 {
		var err error
		if name, err = cli.FindConfig(name); err != nil {
			return nil, nil, errNoPolicy
		}
	}
	if name != "" {
		var err error
		if c, err = config.Load(name); err != nil {
			return nil, nil, cli.LoadError(err)
		}
		if len(files) == 0 {
			if !c.Policy.ConfigMap.IsZero() {
				return nil, nil, inConfigMapError(c.Policy.ConfigMap)
			}
			files = c.Policy.Files
		}
	}
	sources, err := readPolicyFiles(cmd.InOrStdin(), files)
	return sources, c, err
}

var errNoPolicy = errors.New("no policy is named; write --policy FILE or --config FILE " + cli.NoDefaultConfig)

// inConfigMapError says how to ask a policy that is not in files.
func inConfigMapError(m config.ConfigMap) error {
	namespace := ""
	if m.Namespace != "" {
		namespace = " -n " + m.Namespace
	}
	return fmt.Errorf("the policy is in a ConfigMap (policy.configMap), and this command makes no network connection; "+
		"name its rows with --policy:\n  kubectl get configmap%s %s -o go-template='{{index .data \"policy.csv\"}}' "+
		"> policy.csv", namespace, m.Name)
}

// readPolicyFiles reads policy files; - is standard input.
func readPolicyFiles(stdin io.Reader, files []string) ([]policy.Source, error) {
	piped := slices.Index(files, fromStdin)
	if piped < 0 {
		sources, err := policy.ReadFiles(files...)
		if err != nil {
			return nil, cli.LoadError(err)
		}
		return sources, nil
	}
	if slices.Contains(files[piped+1:], fromStdin) {
		return nil, errors.New("standard input is one text; write --policy - once")
	}
	data, failed := io.ReadAll(stdin)
	sources, err := policy.ReadFiles(slices.Delete(slices.Clone(files), piped, piped+1)...)
	if err := errors.Join(failed, err); err != nil {
		return nil, cli.LoadError(err)
	}
	return slices.Insert(sources, piped, policy.Source{Name: stdinName, Data: data}), nil
}

// usesStdin reports whether the policy is read from standard input.
func (f *policyFlags) usesStdin() bool { return slices.Contains(f.policies, fromStdin) }

func (f *policyFlags) load(cmd *cobra.Command) (*loadedPolicy, error) {
	sources, c, err := f.read(cmd)
	if err != nil {
		return nil, err
	}
	var upstreams []string
	var quirks map[string]target.Quirks
	if c != nil {
		upstreams, quirks = c.UpstreamNames(), c.Quirks()
	}
	snapshot, err := policy.Load(sources, upstreams, quirks)
	if err != nil {
		return nil, cli.LoadError(err)
	}
	return &loadedPolicy{snapshot, c}, nil
}
