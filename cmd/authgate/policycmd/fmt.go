package policycmd

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/cmd/authgate/render"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/text/atomicfile"
)

// The text that comes through a pipe, as the command line and as faults call it.
const (
	fromStdin = "-"
	stdinName = "stdin"
)

func newPolicyFmt() *cobra.Command {
	var out cli.Output
	var check, diff bool
	cmd := &cobra.Command{
		Use:   "fmt [--check] FILE...",
		Short: "Write policy files in canonical form",
		Long: "Write policy files in canonical form: one space after each comma, quotes only where they\n" +
			"are required, at most one blank line in a row, e-mail addresses in lower case. Rows keep\n" +
			"their order, and comments their text. A byte order mark, CRLF line ends and spaces before\n" +
			"commas are corrected. Use it before you commit, and with --check in CI.\n\n" +
			"If a file has any other fault, no file is changed. FILE - is standard input, and the\n" +
			"result goes to standard output." +
			cli.ExitCodes{
				0: "the files are in canonical form now; for --check and --diff, they were before",
				1: "for --check and --diff: a file would change; else a file cannot be replaced",
				3: "a file cannot be read, or has a fault",
			}.Table(),
		Example: "  authgate policy fmt policy.csv\n" +
			"  authgate policy fmt --check examples/*.csv\n" +
			"  authgate policy fmt - < policy.csv",
		Args: cli.Arguments("FILE..."),
		RunE: render.WithAnnotations(&out, func(cmd *cobra.Command, args []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			if slices.Contains(args, fromStdin) && len(args) > 1 {
				return errors.New(`standard input is one text; write "-" alone`)
			}
			sources, err := formatSources(cmd.InOrStdin(), args)
			if err != nil {
				return cli.LoadError(err)
			}
			answer, err := format(sources)
			if err != nil {
				return cli.LoadError(err)
			}
			switch piped := args[0] == fromStdin; {
			case diff && out.Format == cli.TextFormat:
				answer.print = func(s *cli.Printer) { answer.printDiff(s, sources) }
			case check || diff || out.Format == render.GitHubFormat:
				answer.print = answer.printCheck
			case piped && out.Format == cli.TextFormat:
				_, err := cmd.OutOrStdout().Write(answer.texts[0])
				return cli.WriteError(err)
			case piped:
				answer.Files[0].Text = string(answer.texts[0])
			default:
				if err := answer.write(); err != nil {
					return cli.RunError(err)
				}
			}
			if out.Format == render.GitHubFormat {
				err = cli.WriteError(render.Annotations(cmd.OutOrStdout(), answer.annotations()))
			} else {
				err = out.Render(cmd, answer, answer.print)
			}
			if err != nil {
				return err
			}
			if (check || diff || out.Format == render.GitHubFormat) && answer.Changed > 0 {
				return cli.ErrNo
			}
			return nil
		}),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"csv"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit code 1 if a file would change")
	cmd.Flags().BoolVar(&diff, "diff", false, "write nothing; print a unified diff; exit code 1 if a file would change")
	out.AddFlag(cmd, render.GitHubFormat)
	return cmd
}

func formatSources(stdin io.Reader, names []string) ([]policy.Source, error) {
	if names[0] != fromStdin {
		return policy.ReadFiles(names...)
	}
	data, err := io.ReadAll(stdin)
	return []policy.Source{{Name: stdinName, Data: data}}, err
}

// fmtAnswer is the answer of `policy fmt`.
type fmtAnswer struct {
	Files   []formattedFile `json:"files"`   // in the order of the command line
	Changed int             `json:"changed"` // how many of them change

	texts [][]byte // of each file
	print func(*cli.Printer)
}

// formattedFile is one of the files.
type formattedFile struct {
	File    string `json:"file"`
	Changed bool   `json:"changed"`
	Lines   []int  `json:"lines"` // of the file as it was, that are written otherwise or left out
	Text    string `json:"text"`  // canonical, where the file is standard input and is not only checked
}

// format reads all of the sources before it fails: every fault is shown, and
// nothing is written.
func format(sources []policy.Source) (*fmtAnswer, error) {
	answer := &fmtAnswer{Files: []formattedFile{}}
	answer.print = answer.printWritten
	var faults []error
	for _, src := range sources {
		text, lines, err := policy.Format(src)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		file := formattedFile{File: src.Name, Changed: len(lines) > 0, Lines: append([]int{}, lines...)}
		if file.Changed {
			answer.Changed++
		}
		answer.Files, answer.texts = append(answer.Files, file), append(answer.texts, text)
	}
	return answer, errors.Join(faults...)
}

// annotations show the files that would change.
func (f *fmtAnswer) annotations() []render.Annotation {
	var all []render.Annotation
	for _, file := range f.Files {
		if file.Changed {
			text := countLines(file.Lines, "would change", "is", file.File) + "; run authgate policy fmt " +
				cli.ShellQuote(file.File)
			all = append(all, render.Annotation{
				Level: "error", File: file.File, Line: file.Lines[0],
				Title: "not in canonical form", Text: text,
			})
		}
	}
	return all
}

func (f *fmtAnswer) printWritten(s *cli.Printer) {
	var rows [][]string
	for _, file := range f.Files {
		if file.Changed {
			rows = append(rows, []string{file.File, countLines(file.Lines, "changed", "was", file.File)})
		}
	}
	s.Table(rows)
}

func (f *fmtAnswer) printCheck(s *cli.Printer) {
	var rows [][]string
	var names []string
	for _, file := range f.Files {
		if file.Changed {
			rows = append(rows, []string{s.Warn(file.File), countLines(file.Lines, "would change", "is", file.File)})
			names = append(names, file.File)
		}
	}
	s.Table(rows)
	if len(names) > 0 && !slices.Equal(names, []string{stdinName}) {
		s.Line("%s", s.Dim("to change them: authgate policy fmt "+strings.Join(names, " ")))
	}
}

func (f *fmtAnswer) printDiff(s *cli.Printer, sources []policy.Source) {
	for i, file := range f.Files {
		if file.Changed {
			render.UnifiedDiff(s, file.File, string(sources[i].Data), string(f.texts[i]), file.Lines)
		}
	}
}

func countLines(lines []int, verb, tense, name string) string {
	if len(lines) == 1 {
		return fmt.Sprintf("1 line %s: %s:%d", verb, name, lines[0])
	}
	return fmt.Sprintf("%d lines %s, the first %s %s:%d", len(lines), verb, tense, name, lines[0])
}

// write replaces the files that change. All of the texts are on the disk before
// the first file is replaced, and a reader sees a file whole, before or after.
func (f *fmtAnswer) write() error {
	var pending []*atomicfile.Pending
	var names []string
	for i, file := range f.Files {
		if !file.Changed {
			continue
		}
		p, err := atomicfile.Replace(file.File, f.texts[i])
		if err != nil {
			return fmt.Errorf("formatting %s: %w", file.File, err)
		}
		defer p.Discard()
		pending, names = append(pending, p), append(names, file.File)
	}
	for i, p := range pending {
		if err := p.Commit(); err != nil {
			return fmt.Errorf("formatting %s: %w", names[i], err)
		}
	}
	return nil
}
