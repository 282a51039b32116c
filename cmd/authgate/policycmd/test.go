package policycmd

import (
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	resyntax "regexp/syntax"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/admin"
	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/cmd/authgate/render"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/cases"
	"github.com/example-org/authgate/target"
)

const junitFormat = "junit"

func newPolicyTest() *cobra.Command {
	var t policyTest
	watch := false
	cmd := &cobra.Command{
		Use:   "test CASES...",
		Short: "Test a policy against expected decisions, and report row coverage",
		Long: "Test a policy against expected decisions, and report which of its rows the cases cover.\n" +
			"Use it in CI. CASES are files, YAML or tables.\n\n" +
			"In YAML, a case lists what one subject is allowed and denied:\n\n" +
			"  cases:\n" +
			"    - name: viewers only read    # optional\n" +
			"      who: [example-org:dev, user:eve@example.com]\n" +
			"      allow:\n" +
			"        - GET argocd:/api/v1/applications\n" +
			"        - request: GET argocd:/api/v1/projects\n" +
			"          rule: p, role:viewer, argocd, /api/v1/**, GET, allow\n" +
			"      deny:\n" +
			"        - POST argocd:/api/v1/applications/web/sync\n\n" +
			"A table has a header, and one case per line:\n\n" +
			"  who, method, target, expect, rule\n" +
			"  example-org:dev + user:eve@example.com, GET, argocd:/api/v1/applications, allow\n" +
			"  role:viewer, GET, argocd:/api/v1/projects, allow, \"p, role:viewer, argocd, /api/v1/**, GET, allow\"\n" +
			"  system:anonymous, GET, argocd:/, deny\n\n" +
			"\"who\" is one subject of a policy, or several that one user has. A role alone is only that\n" +
			"role. A target is UPSTREAM:/path or, with --config, a URL. The rule is optional: it is the\n" +
			"row that must decide, written as the row or as FILE:LINE.\n\n" +
			"A p row is covered if it decides a case. A g row is covered if it is on the chain from the\n" +
			"subject of a case to such a row. With --watch, JSON is one object per run." +
			cli.ExitCodes{
				0: "every case passes, and coverage reaches --coverage-min",
				1: "a case fails, or coverage is too low",
				2: "wrong usage, or an upstream that nothing names",
				3: "the policy or a case file does not load",
			}.Table(),
		Example: "  authgate policy test --policy policy.csv cases.yaml\n" +
			"  authgate policy test --config authgate.yaml --coverage-min 100 cases/*.csv\n" +
			"  authgate policy test --policy policy.csv -o junit cases.yaml > report.xml\n" +
			"  authgate policy test --policy policy.csv --watch cases.yaml",
		ValidArgsFunction: cobra.FixedCompletions([]string{"yaml", "yml", "csv"}, cobra.ShellCompDirectiveFilterFileExt),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no case file is named; write authgate policy test --policy policy.csv cases.yaml")
			}
			return cli.Arguments("CASES...")(cmd, args)
		},
		RunE: render.WithAnnotations(&t.out, func(cmd *cobra.Command, args []string) error {
			if err := t.out.Check(); err != nil {
				return err
			}
			if t.pattern != "" && cmd.Flags().Changed("coverage-min") {
				return errors.New("--coverage-min is about all cases; leave out --run")
			}
			if cmd.Flags().Changed("run") && t.pattern == "" {
				return errors.New("--run is empty; write a regular expression, or leave the flag out")
			}
			if watch && t.out.Format != cli.TextFormat && t.out.Format != cli.JSONFormat {
				return errors.New("--watch makes a report for each run, which this form does not allow; write -o text or -o json")
			}
			if t.files = args; watch {
				return t.watch(cmd)
			}
			return t.run(cmd)
		}),
	}
	t.flags.add(cmd)
	t.out.AddFlag(cmd, junitFormat, render.GitHubFormat)
	cmd.Flags().BoolVar(&t.coverage, "coverage", false, "list the rows that no case covers")
	cmd.Flags().Var(&t.minimum, "coverage-min", "fail if fewer than `PERCENT` of the rows are covered")
	cmd.Flags().BoolVar(&t.strict, "strict", false, "fail cases with groups, roles, users or methods that no row mentions")
	cmd.Flags().StringVar(&t.pattern, "run", "", "only cases whose name, or WHO METHOD TARGET, matches this `REGEXP`")
	cmd.Flags().BoolVar(&watch, "watch", false, "run again when the policy or the cases change, until Ctrl-C")
	_ = cmd.RegisterFlagCompletionFunc("coverage-min",
		cobra.FixedCompletions([]string{"100"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// policyTest is one command line of `policy test`.
type policyTest struct {
	flags    policyFlags
	out      cli.Output
	files    []string
	coverage bool
	minimum  percent
	strict   bool
	pattern  string // of --run
}

func (t *policyTest) run(cmd *cobra.Command) error {
	loaded, err := t.flags.load(cmd)
	if err != nil {
		return err
	}
	suite, err := t.readCases(loaded)
	if err != nil {
		return err
	}
	if suite, err = t.filterCases(suite); err != nil {
		return err
	}
	outcomes, coverage := cases.Run(loaded.Snapshot, suite)
	t.checkUnknownNames(cmd, loaded, outcomes)
	report := t.report(loaded.Hash(), outcomes, coverage)
	switch t.out.Format {
	case junitFormat:
		err = cli.WriteError(render.JUnit(cmd.OutOrStdout(), "authgate policy test", report.junit()))
	case render.GitHubFormat:
		err = cli.WriteError(render.Annotations(cmd.OutOrStdout(), report.annotations()))
	default:
		err = t.out.Render(cmd, report, report.print)
	}
	if err != nil {
		return err
	}
	if report.Failed > 0 || report.Coverage.belowMinimum {
		return cli.ErrNo
	}
	return nil
}

// readCases reads the case files. An upstream that nothing names is a mistake in the
// use of the command, unless a configuration says which there are.
func (t *policyTest) readCases(loaded *loadedPolicy) ([]cases.Case, error) {
	sources, err := readCaseFiles(t.files)
	if err != nil {
		return nil, cli.LoadError(err)
	}
	unknownUpstream := false
	suite, err := cases.Read(sources, func(name string) (string, target.Path, error) {
		at, err := loaded.parseTarget(http.MethodGet, name)
		if err != nil {
			unknownUpstream = unknownUpstream || loaded.config == nil && isUnknownUpstream(err)
			return "", target.Path{}, err
		}
		if at.isEndpoint {
			return at.upstream, target.Path{}, cases.BypassError(endpointError("", name).Error())
		}
		return at.upstream, at.path, at.refused
	})
	switch {
	case err != nil && unknownUpstream:
		return nil, cli.UsageError(err)
	case err != nil:
		return nil, cli.LoadError(err)
	}
	for i := range suite {
		c := &suite[i]
		if c.Bypass == nil && len(c.AnyOf) == 0 && admin.IsHealthCheck(c.Method, c.Path.String()) { // of gRPC
			c.Bypass = cases.BypassError(endpointError(c.Method, c.Target).Error())
		}
	}
	return suite, nil
}

// filterCases keeps the cases that --run names. Its coverage is that of these cases.
func (t *policyTest) filterCases(suite []cases.Case) ([]cases.Case, error) {
	if t.pattern == "" {
		return suite, nil
	}
	pattern, err := regexp.Compile(t.pattern)
	if err != nil {
		what := ""
		var syntax *resyntax.Error
		if errors.As(err, &syntax) {
			what = " (" + syntax.Code.String() + ")"
		}
		return nil, fmt.Errorf("--run is %q, which is not a regular expression%s", t.pattern, what)
	}
	matching := slices.DeleteFunc(suite, func(c cases.Case) bool {
		return !pattern.MatchString(c.Name) && !pattern.MatchString(c.SubjectList()+" "+c.Method+" "+c.Target)
	})
	if len(matching) == 0 {
		return nil, fmt.Errorf("--run %s matches no case, neither its name nor WHO METHOD TARGET", cli.ShellQuote(t.pattern))
	}
	return matching, nil
}

// checkUnknownNames finds names and methods in cases that no row knows. A case that expects
// a denial of them passes with any policy: it fails with --strict, and is
// warned of without.
func (t *policyTest) checkUnknownNames(cmd *cobra.Command, loaded *loadedPolicy, outcomes []cases.Outcome) {
	warned := map[string]bool{}
	for i := range outcomes {
		o := &outcomes[i]
		for _, what := range unknownIn(loaded, o.Case) {
			if t.strict && o.Failure == "" {
				o.Failure = what
			}
			if !t.strict && o.Failure == "" && !warned[what] {
				warned[what] = true
				warn(cmd.ErrOrStderr(), o.Case.Where()+": "+what)
			}
		}
	}
}

func unknownIn(loaded *loadedPolicy, c cases.Case) []string {
	var all []string
	for _, name := range loaded.Unknown(c.Subjects...) {
		all = append(all, name.String())
	}
	if c.Only == nil {
		if hint, unknown := loaded.UnknownMethod(c.Method); unknown {
			all = append(all, strings.TrimSuffix("method "+c.Method+" is not registered, and no row names it; "+hint, "; "))
		}
	}
	return all
}

// readCaseFiles reads all of them before it fails.
func readCaseFiles(names []string) ([]policy.Source, error) {
	var sources []policy.Source
	var failures []error
	for _, name := range names {
		data, err := os.ReadFile(name)
		switch {
		case err == nil:
			sources = append(sources, policy.Source{Name: name, Data: data})
		case errors.Is(err, syscall.EISDIR):
			failures = append(failures, fmt.Errorf("%s is a folder; name the files in it, such as %s", name,
				filepath.Join(name, "*.yaml")))
		default:
			failures = append(failures, fmt.Errorf("case file: %w", err))
		}
	}
	return sources, errors.Join(failures...)
}

// percent is a flag that keeps the number as it was written: 99.9 is not 100.
type percent struct{ big.Rat }

var percentPattern = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,9})?$`)

func (p *percent) Set(s string) error {
	if _, ok := p.SetString(s); !ok || !percentPattern.MatchString(s) || p.Cmp(big.NewRat(100, 1)) > 0 {
		return errors.New("write a number from 0 to 100, such as 90 or 99.5")
	}
	return nil
}

func (p *percent) String() string {
	return strings.TrimSuffix(strings.TrimRight(p.FloatString(9), "0"), ".")
}

func (p *percent) Type() string { return "percent" }
