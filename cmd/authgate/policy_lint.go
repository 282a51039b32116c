package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
)

const (
	sarifForm = "sarif"
	lintPage  = "https://github.com/example-org/authgate/blob/main/docs/lint.md"
)

func newPolicyLint() *cobra.Command {
	var flags policyFlags
	var out output
	var failOn string
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Point out rows that do something else than they seem to",
		Long: "Point out rows that do something else than they seem to: a deny that locks out\n" +
			"who inherits it, rows that change nothing, names that look like a slip, doors that\n" +
			"stand open. With --config, paths that no request can have, too. Every finding has\n" +
			"a code, which " + lintPage + " explains.\n\n" +
			"A comment right above a row silences a code, and says why:\n\n" +
			"  # authgate:ignore AG105 here until the page is back\n\n" +
			"Exit code 0: nothing at or above --fail-on; 1: something; 3: the policy does not\n" +
			"load, and the findings are its faults.",
		Example: "  authgate policy lint --policy policy.csv\n" +
			"  authgate policy lint --config authgate.yaml --fail-on info\n" +
			"  authgate policy lint --policy policy.csv -o sarif > policy.sarif",
		Args: arguments(),
		RunE: out.annotating(func(cmd *cobra.Command, _ []string) error {
			limit, err := severity(failOn)
			if err := cmp.Or(err, out.check()); err != nil {
				return err
			}
			sources, c, err := flags.read(cmd)
			if err != nil {
				return err
			}
			report := policy.Lint(sources, surroundings(c))
			switch out.form {
			case sarifForm:
				err = written(writeSARIF(cmd.OutOrStdout(), report.Findings))
			case githubForm:
				err = written(writeAnnotations(cmd.OutOrStdout(), lintAnnotations(report.Findings)))
			default:
				answer := newLintAnswer(report)
				err = out.answer(cmd, answer, answer.print)
			}
			switch {
			case err != nil:
				return err
			case report.Faults != nil:
				return notLoaded{errors.New("the policy does not load")}
			case slices.ContainsFunc(report.Findings, func(f policy.Finding) bool { return f.Severity >= limit }):
				return errNo
			}
			return nil
		}),
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&failOn, "fail-on", policy.Warning.String(), "least `SEVERITY` that makes exit code 1: error, warning or info")
	_ = cmd.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions([]string{"error", "warning", "info"}, cobra.ShellCompDirectiveNoFileComp))
	out.add(cmd, sarifForm, githubForm)
	return cmd
}

func lintAnnotations(findings []policy.Finding) []annotation {
	var all []annotation
	for _, f := range findings {
		level := f.Severity.String()
		if f.Severity == policy.Info {
			level = "notice"
		}
		all = append(all, annotation{level, f.At.File, f.At.Line, f.At.Column, f.Code, strings.TrimSuffix(f.What+"; "+f.Mend, "; ")})
	}
	return all
}

func severity(word string) (policy.Severity, error) {
	for s := policy.Info; s <= policy.Error; s++ {
		if s.String() == word {
			return s, nil
		}
	}
	return 0, fmt.Errorf("--fail-on is %q; %w", word, oneOf(word, []string{"error", "warning", "info"}))
}

// surroundings says which requests come to which upstream, as proxy.Route does it.
func surroundings(c *config.Config) policy.Surroundings {
	if c == nil {
		return policy.Surroundings{Own: []string{"/healthz", "/readyz"}}
	}
	around := policy.Surroundings{
		Upstreams: c.UpstreamNames(),
		Quirks:    c.Quirks(),
		Own:       []string{"/healthz", "/readyz", below(c.PathPrefix)},
		Served:    map[string][]string{},
		Elsewhere: map[string][]string{},
		Stripped:  map[string]string{},

		CodedSlash: map[string][]string{},
	}
	for _, u := range c.Upstreams {
		around.Served[u.Name] = []string{below(u.Path)}
		around.CodedSlash[u.Name] = proxy.CodedSlashPatterns(&u)
		if u.StripPath {
			around.Stripped[u.Name] = strings.TrimSuffix(u.Path, "/")
		}
		for _, other := range c.Upstreams {
			if len(other.Path) > len(u.Path) && !slices.ContainsFunc(u.Hosts, func(host string) bool { return keeps(c, u, host, other.Path) }) {
				around.Elsewhere[u.Name] = append(around.Elsewhere[u.Name], below(other.Path))
			}
		}
	}
	return around
}

// keeps reports whether no other upstream gets what is asked of one of its hosts.
func keeps(c *config.Config, u config.Upstream, host, path string) bool {
	index, _ := proxy.Route(c.Upstreams, host, path)
	return index < 0 || c.Upstreams[index].Name == u.Name
}

// below gives the pattern of a prefix and all that lies below it.
func below(prefix string) string { return strings.TrimSuffix(prefix, "/") + "/**" }

// lintAnswer is the answer of `policy lint`.
type lintAnswer struct {
	Findings []finding `json:"findings"`
	Errors   int       `json:"errors"` // how many findings have this severity
	Warnings int       `json:"warnings"`
	Infos    int       `json:"infos"`
	Silenced int       `json:"silenced"` // by authgate:ignore comments
	Policy   string    `json:"policy"`   // hash; empty where the policy does not load
}

type finding struct {
	Code     string `json:"code"`     // AG104
	Name     string `json:"name"`     // dead-allow
	Severity string `json:"severity"` // error, warning or info
	File     string `json:"file"`
	Line     int    `json:"line"`   // 0 where it is about the whole file
	Column   int    `json:"column"` // in bytes
	Message  string `json:"message"`
	Mend     string `json:"mend"` // empty where nothing needs to be done
	Text     string `json:"text"` // of the line
	Page     string `json:"page"` // that explains the code
}

func newLintAnswer(report policy.Report) lintAnswer {
	answer := lintAnswer{Findings: []finding{}, Silenced: report.Silenced, Policy: report.Hash}
	names := map[string]string{}
	for _, check := range policy.Checks() {
		names[check.Code] = check.Name
	}
	for _, f := range report.Findings {
		answer.Findings = append(answer.Findings, finding{
			Code: f.Code, Name: names[f.Code], Severity: f.Severity.String(),
			File: f.At.File, Line: f.At.Line, Column: f.At.Column,
			Message: f.What, Mend: f.Mend, Text: strings.TrimSpace(f.Line), Page: pageOf(f.Code),
		})
		switch f.Severity {
		case policy.Error:
			answer.Errors++
		case policy.Warning:
			answer.Warnings++
		default:
			answer.Infos++
		}
	}
	return answer
}

func pageOf(code string) string { return lintPage + "#" + strings.ToLower(code) }

func (a lintAnswer) print(s *sheet) {
	for _, f := range a.Findings {
		where := f.File
		if f.Line > 0 {
			where += fmt.Sprintf(":%d:%d", f.Line, f.Column)
		}
		tone := s.faint
		switch f.Severity {
		case policy.Error.String():
			tone = s.bad
		case policy.Warning.String():
			tone = s.warn
		}
		s.line("%s: %s %s: %s", s.strong(where), tone(f.Severity), f.Code, f.Message)
		if f.Text != "" {
			s.line("    %s", s.faint(harmless(f.Text)))
		}
		if f.Mend != "" {
			s.line("    %s %s", s.good("->"), f.Mend)
		}
	}
	summary := plural(a.Errors, "error") + ", " + plural(a.Warnings, "warning") + ", " + plural(a.Infos, "info")
	if a.Silenced > 0 {
		summary += fmt.Sprintf(", %d silenced", a.Silenced)
	}
	if len(a.Findings) > 0 {
		summary += "; the codes: " + lintPage
	}
	s.line("%s", summary)
}

// harmless is a line of a file that may not even load, as a terminal can show it.
func harmless(text string) string {
	const most = 200
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
