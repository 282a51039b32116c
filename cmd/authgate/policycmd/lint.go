package policycmd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/cmd/authgate/render"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/policy/lint"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/text"
)

const sarifFormat = "sarif"

func newPolicyLint(version string) *cobra.Command {
	var flags policyFlags
	var out cli.Output
	var failOn string
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Find rows that probably do not do what they seem to",
		Long: "Find rows that probably do not do what they seem to: deny rows that lock out inheriting\n" +
			"roles, redundant rows, names that look like typos, and anonymous access. With --config,\n" +
			"also paths that no request can have. Use it in CI. The codes are explained in\n" +
			render.LintDocsURL + ".\n\n" +
			"A comment above a row silences one code for it, and says why:\n\n" +
			"  # authgate:ignore AG105 here until the page is back" +
			cli.ExitCodes{
				0: "no finding reaches --fail-on",
				1: "a finding does",
				3: "the policy does not load: the findings are its faults",
			}.Table(),
		Example: "  authgate policy lint --policy policy.csv\n" +
			"  authgate policy lint --config authgate.yaml --fail-on info\n" +
			"  authgate policy lint --policy policy.csv -o sarif > policy.sarif",
		Args: cli.Arguments(),
		RunE: render.WithAnnotations(&out, func(cmd *cobra.Command, _ []string) error {
			limit, err := severity(failOn)
			if err := cmp.Or(err, out.Check()); err != nil {
				return err
			}
			sources, c, err := flags.read(cmd)
			if err != nil {
				return err
			}
			report := lint.Run(sources, lintEnvironment(c))
			switch out.Format {
			case sarifFormat:
				err = cli.WriteError(render.SARIF(cmd.OutOrStdout(), report.Findings, version))
			case render.GitHubFormat:
				err = cli.WriteError(render.Annotations(cmd.OutOrStdout(), lintAnnotations(report.Findings)))
			default:
				answer := newLintAnswer(report)
				err = out.Render(cmd, answer, answer.print)
			}
			switch {
			case err != nil:
				return err
			case report.Faults != nil:
				return cli.LoadError(errors.New("the policy does not load"))
			case slices.ContainsFunc(report.Findings, func(f lint.Finding) bool { return f.Severity >= limit }):
				return cli.ErrNo
			}
			return nil
		}),
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&failOn, "fail-on", lint.Warning.String(),
		"lowest `SEVERITY` that causes exit code 1: error, warning or info")
	_ = cmd.RegisterFlagCompletionFunc("fail-on",
		cobra.FixedCompletions([]string{"error", "warning", "info"}, cobra.ShellCompDirectiveNoFileComp))
	out.AddFlag(cmd, sarifFormat, render.GitHubFormat)
	return cmd
}

func lintAnnotations(findings []lint.Finding) []render.Annotation {
	var all []render.Annotation
	for _, f := range findings {
		level := f.Severity.String()
		if f.Severity == lint.Info {
			level = "notice"
		}
		all = append(all, render.Annotation{
			Level: level, File: f.At.File, Line: f.At.Line, Column: f.At.Column,
			Title: f.Code, Text: strings.TrimSuffix(f.Message+"; "+f.Hint, "; "),
		})
	}
	return all
}

func severity(word string) (lint.Severity, error) {
	for s := lint.Info; s <= lint.Error; s++ {
		if s.String() == word {
			return s, nil
		}
	}
	return 0, fmt.Errorf("--fail-on is %q; %w", word, cli.OneOf(word, []string{"error", "warning", "info"}))
}

// lintEnvironment says which requests come to which upstream, as proxy.Route does it.
func lintEnvironment(c *config.Config) lint.Environment {
	if c == nil {
		return lint.Environment{Endpoints: []string{"/healthz", "/readyz"}}
	}
	env := lint.Environment{
		Upstreams:       c.UpstreamNames(),
		Quirks:          c.Quirks(),
		Endpoints:       []string{"/healthz", "/readyz", subtreePattern(c.PathPrefix)},
		Routed:          map[string][]string{},
		RoutedElsewhere: map[string][]string{},
		StripPrefix:     map[string]string{},

		EncodedSlash: map[string][]string{},
	}
	for _, u := range c.Upstreams {
		env.Routed[u.Name] = []string{subtreePattern(u.Path)}
		env.EncodedSlash[u.Name] = proxy.EncodedSlashPatterns(&u)
		if u.StripPath {
			env.StripPrefix[u.Name] = strings.TrimSuffix(u.Path, "/")
		}
		for _, other := range c.Upstreams {
			if len(other.Path) > len(u.Path) && !slices.ContainsFunc(u.Hosts,
				func(host string) bool { return ownsPath(c, u, host, other.Path) }) {
				env.RoutedElsewhere[u.Name] = append(env.RoutedElsewhere[u.Name], subtreePattern(other.Path))
			}
		}
	}
	return env
}

// ownsPath reports whether no other upstream gets what is asked of one of its hosts.
func ownsPath(c *config.Config, u config.Upstream, host, path string) bool {
	index, _ := proxy.Route(c.Upstreams, host, path)
	return index < 0 || c.Upstreams[index].Name == u.Name
}

// subtreePattern gives the pattern of a prefix and all that lies below it.
func subtreePattern(prefix string) string { return strings.TrimSuffix(prefix, "/") + "/**" }

// lintAnswer is the answer of `policy lint`.
type lintAnswer struct {
	Findings []lintFinding `json:"findings"`
	Errors   int           `json:"errors"` // how many findings have this severity
	Warnings int           `json:"warnings"`
	Infos    int           `json:"infos"`
	Silenced int           `json:"silenced"` // by authgate:ignore comments
	Policy   string        `json:"policy"`   // hash; empty where the policy does not load
}

type lintFinding struct {
	Code     string `json:"code"`     // AG104
	Name     string `json:"name"`     // dead-allow
	Severity string `json:"severity"` // error, warning or info
	File     string `json:"file"`
	Line     int    `json:"line"`   // 0 where it is about the whole file
	Column   int    `json:"column"` // in bytes
	Message  string `json:"message"`
	Hint     string `json:"fix"`  // empty where nothing needs to be done
	Text     string `json:"text"` // of the line
	Page     string `json:"page"` // that explains the code
}

func newLintAnswer(report lint.Report) lintAnswer {
	answer := lintAnswer{Findings: []lintFinding{}, Silenced: report.Ignored, Policy: report.Hash}
	names := map[string]string{}
	for _, check := range lint.Checks() {
		names[check.Code] = check.Name
	}
	for _, f := range report.Findings {
		answer.Findings = append(answer.Findings, lintFinding{
			Code: f.Code, Name: names[f.Code], Severity: f.Severity.String(),
			File: f.At.File, Line: f.At.Line, Column: f.At.Column,
			Message: f.Message, Hint: f.Hint, Text: strings.TrimSpace(f.Line), Page: render.LintDocs(f.Code),
		})
		switch f.Severity {
		case lint.Error:
			answer.Errors++
		case lint.Warning:
			answer.Warnings++
		default:
			answer.Infos++
		}
	}
	return answer
}

func (a lintAnswer) print(s *cli.Printer) {
	for _, f := range a.Findings {
		where := f.File
		if f.Line > 0 {
			where += fmt.Sprintf(":%d:%d", f.Line, f.Column)
		}
		tone := s.Dim
		switch f.Severity {
		case lint.Error.String():
			tone = s.Failure
		case lint.Warning.String():
			tone = s.Warn
		}
		s.Line("%s: %s %s: %s", s.Bold(where), tone(f.Severity), f.Code, f.Message)
		if f.Text != "" {
			s.Line("    %s", s.Dim(text.Truncate(text.Escape(f.Text), 200)))
		}
		if f.Hint != "" {
			s.Line("    %s %s", s.Success("->"), f.Hint)
		}
	}
	summary := cli.Plural(a.Errors, "error") + ", " + cli.Plural(a.Warnings, "warning") + ", " +
		cli.Plural(a.Infos, "info")
	if a.Silenced > 0 {
		summary += fmt.Sprintf(", %d silenced", a.Silenced)
	}
	if len(a.Findings) > 0 {
		summary += "; the codes: " + render.LintDocsURL
	}
	s.Line("%s", summary)
}
