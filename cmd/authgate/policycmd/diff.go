package policycmd

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/compare"
	"github.com/example-org/authgate/target"
)

const markdownFormat = "md"

func newPolicyDiff() *cobra.Command {
	var configFile, failOn string
	var out cli.Output
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "List what a changed policy grants and revokes",
		Long: "List exactly which requests one policy file allows and another does not: by upstream,\n" +
			"path, method and subject, each with an example path and the rows that decide. Use it to\n" +
			"review a change. Rows that are only rewritten or reordered are not a change. One of the\n" +
			"files may be -, standard input. With --config, rows may only name its upstreams.\n\n" +
			"If a change of a deny row affects only users who match several subjects, the change lists\n" +
			"the combination. system:anonymous there means users that no other row mentions: they are\n" +
			"treated as anonymous where anonymous access is allowed.\n\n" +
			"-o md writes Markdown, for example for a comment on a pull request." +
			cli.ExitCodes{
				0: "nothing changes, or nothing of the kind that --fail-on names",
				1: "something changes",
				3: "one of the policies does not load",
			}.Table(),
		Example: "  git show origin/main:policy.csv | authgate policy diff - policy.csv\n" +
			"  authgate policy diff --config authgate.yaml --fail-on granted -o md old.csv policy.csv",
		Args: cli.Arguments("OLD", "NEW"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 2 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return []string{"csv"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			if !slices.Contains(failOnWords, failOn) {
				return fmt.Errorf("--fail-on is %q; %w", failOn, cli.OneOf(failOn, failOnWords))
			}
			if args[0] == fromStdin && args[1] == fromStdin {
				return errors.New("OLD and NEW are both -; one of them must be a file")
			}
			c, err := comparePolicies(cmd.InOrStdin(), args[0], args[1], configFile)
			if err != nil {
				return err
			}
			if out.Format == markdownFormat {
				_, err = io.WriteString(cmd.OutOrStdout(), c.markdown())
				err = cli.WriteError(err)
			} else {
				err = out.RenderLazy(cmd, func() any { return newPolicyChanges(c) }, c.print)
			}
			if err != nil {
				return err
			}
			if c.fails(failOn) {
				return cli.ErrNo
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&configFile, "config", "", "configuration `FILE` that names the upstreams")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	cmd.Flags().StringVar(&failOn, "fail-on", failOnAny,
		"`KIND` of change that causes exit code 1: granted, revoked or any")
	_ = cmd.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions(failOnWords, cobra.ShellCompDirectiveNoFileComp))
	out.AddFlag(cmd, markdownFormat)
	return cmd
}

const failOnAny = "any"

var failOnWords = []string{"granted", "revoked", failOnAny}

// comparison is a diff of two policies.
type comparison struct {
	compare.Diff
	old, updated *policy.Snapshot
}

func (c comparison) fails(on string) bool {
	return c.GrantedN > 0 && on != "revoked" || c.RevokedN > 0 && on != "granted"
}

// comparePolicies reads both policies before it fails: the faults of both are shown.
func comparePolicies(stdin io.Reader, oldName, newName, configFile string) (comparison, error) {
	var upstreams []string
	var quirks map[string]target.Quirks
	if configFile != "" {
		c, err := config.Load(configFile)
		if err != nil {
			return comparison{}, cli.LoadError(err)
		}
		upstreams, quirks = c.UpstreamNames(), c.Quirks()
	}
	var old, updated *policy.Snapshot
	var oldErr, newErr error
	var loading sync.WaitGroup
	loading.Go(func() { old, oldErr = loadOne(stdin, oldName, upstreams, quirks) })
	updated, newErr = loadOne(stdin, newName, upstreams, quirks)
	loading.Wait()
	if err := errors.Join(oldErr, newErr); err != nil {
		return comparison{}, cli.LoadError(err)
	}
	diff, err := compare.Policies(old, updated, upstreams)
	if err != nil {
		return comparison{}, cli.RunError(fmt.Errorf("comparing %s with %s: %w", oldName, newName, err))
	}
	return comparison{diff, old, updated}, nil
}

func loadOne(
	stdin io.Reader, name string, upstreams []string, quirks map[string]target.Quirks,
) (*policy.Snapshot, error) {
	var sources []policy.Source
	var err error
	if name == fromStdin {
		var data []byte
		data, err = io.ReadAll(stdin)
		sources = []policy.Source{{Name: stdinName, Data: data}}
	} else {
		sources, err = policy.ReadFiles(name)
	}
	if err != nil {
		return nil, err
	}
	return policy.Load(sources, upstreams, quirks)
}

// policyChanges is the answer of `policy diff`.
type policyChanges struct {
	Granted      []policyChange `json:"granted"`
	Revoked      []policyChange `json:"revoked"`
	GrantedCount int            `json:"granted_count"` // larger than the list if that is cut after the first 100,000
	RevokedCount int            `json:"revoked_count"`
	Old          string         `json:"old"` // hash
	New          string         `json:"new"`
}

type policyChange struct {
	Subject  string   `json:"subject"`
	AlsoIn   []string `json:"also_in"`  // empty, or: only for users who also match one of these
	Upstream string   `json:"upstream"` // * for every upstream that no row names
	// a pattern to read; paths that a more specific line matches are not included
	Path        string   `json:"path"`
	Methods     []string `json:"methods"` // GET covers HEAD, and * is every method, but those in except
	Except      []string `json:"except"`
	ExamplePath string   `json:"example_path"` // a path for which the decision changes
	// file:line of the allowing row: in the new policy if granted, in the old one if revoked
	Rule string `json:"rule"`
	Row  string `json:"row"` // its text
	// g rows from the subject, or else the first of also_in, to that of the row
	Chain []chainLink `json:"chain"`
	// file:line of the row that denies in the other policy; empty if no row allows it there
	DeniedBy string `json:"denied_by"`
}

func newPolicyChanges(c comparison) policyChanges {
	return policyChanges{
		Granted: toPolicyChanges(c.Granted), GrantedCount: c.GrantedN,
		Revoked: toPolicyChanges(c.Revoked), RevokedCount: c.RevokedN,
		Old: c.old.Hash(), New: c.updated.Hash(),
	}
}

func toPolicyChanges(changes []compare.Change) []policyChange {
	list := make([]policyChange, 0, len(changes))
	for _, c := range changes {
		one := policyChange{
			Subject: c.Subject, AlsoIn: append([]string{}, c.AlsoIn...), Upstream: c.Upstream, Path: c.Path,
			Methods: c.Methods.Named(), Except: c.Methods.Except(), ExamplePath: c.ExamplePath,
			Rule: c.Allowing.Where(), Row: c.Allowing.String(), Chain: newChain(c.Chain),
		}
		if c.Denying != nil {
			one.DeniedBy = c.Denying.Where()
		}
		list = append(list, one)
	}
	return list
}
