package policycmd

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/compare"
	"github.com/example-org/authgate/text"
)

func newPolicyMatrix() *cobra.Command {
	var flags policyFlags
	var out cli.Output
	var upstreams, subjects []string
	cmd := &cobra.Command{
		Use:   "matrix",
		Short: "Show who may do what, complete",
		Long: "Show, for each upstream, every kind of path and method that rows tell apart, and\n" +
			"what each role may do there: allow, deny where a row denies it, or · where no row\n" +
			"speaks of it, which is refused, too. What fits no line is refused to all.\n\n" +
			"Beside roles there are columns for subjects with rows of their own, and for those\n" +
			"who are refused what one of their roles alone may do. Without --config, the\n" +
			"upstreams are those that rows name and, if a row is for *, any other.",
		Example: "  authgate policy matrix --policy policy.csv --upstream argocd\n" +
			"  authgate policy matrix --config authgate.yaml --subject role:viewer --subject example-org:dev",
		Args: cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			if slices.Contains(upstreams, "") {
				return errors.New("--upstream is empty; name one, or leave the flag out")
			}
			if slices.Contains(subjects, "") {
				return errors.New("--subject is empty; name one, or leave the flag out")
			}
			loaded, err := flags.load(cmd)
			if err != nil {
				return err
			}
			for i, subject := range subjects {
				if strings.HasPrefix(subject, "user:") { // as rows have it
					subjects[i] = strings.ToLower(subject)
				}
			}
			if err := errors.Join(loaded.checkUpstreams(upstreams), loaded.checkSubjects(subjects)); err != nil {
				return err
			}
			loaded.warnUnknown(cmd.ErrOrStderr(), subjects...)
			if len(upstreams) == 0 && loaded.config != nil {
				upstreams = loaded.config.UpstreamNames()
			}
			found, err := compare.NewMatrix(loaded.Snapshot, upstreams, subjects)
			if err != nil {
				return cli.RunError(err)
			}
			found, endpoints := loaded.withoutEndpoints(found)
			if len(endpoints) > 0 {
				warn(cmd.ErrOrStderr(), "left out, because authgate answers these itself and no row applies: "+text.JoinFew(endpoints, ", ", 4))
			}
			switch out.Format {
			case csvFormat:
				return cli.WriteError(writeMatrixCSV(cmd.OutOrStdout(), found))
			case markdownFormat:
				_, err := io.WriteString(cmd.OutOrStdout(), matrixMarkdown(found))
				return cli.WriteError(err)
			}
			return out.RenderLazy(cmd, func() any { return newMatrix(found, loaded.Hash()) }, func(s *cli.Printer) { printMatrix(s, found, len(subjects) > 0) })
		},
	}
	flags.add(cmd)
	out.AddFlag(cmd, csvFormat, markdownFormat)
	cmd.Flags().StringArrayVar(&upstreams, "upstream", nil, "only this `UPSTREAM`; may be repeated")
	cmd.Flags().StringArrayVar(&subjects, "subject", nil, "only this `SUBJECT`, as it stands in rows; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("upstream", completeUpstreams())
	_ = cmd.RegisterFlagCompletionFunc("subject", completeFromPolicy(func(l *loadedPolicy) []string { return l.Subjects() }))
	return cmd
}

func (l *loadedPolicy) checkUpstreams(names []string) error {
	for _, name := range names {
		if name == "*" && l.config == nil { // any that no row names
			continue
		}
		if err := l.checkUpstream(name); err != nil {
			return err
		}
	}
	return nil
}

// checkSubjects takes any group and any person: one that no row names is somebody
// all the same.
func (l *loadedPolicy) checkSubjects(names []string) error {
	var ours []string
	for _, name := range names {
		if strings.HasPrefix(name, "role:") || strings.HasPrefix(name, "system:") {
			ours = append(ours, name)
		}
	}
	return checkKnown(ours, append(l.Subjects(), authenticatedSubject, anonymousSubject), "the policy has no %q")
}

func checkKnown(names, known []string, format string) error {
	for _, name := range names {
		if slices.Contains(known, name) {
			continue
		}
		what := fmt.Sprintf(format, name)
		if hint := fault.DidYouMean(name, known); hint != "" {
			what += "; " + hint
		}
		return errors.New(what)
	}
	return nil
}

// matrix is the answer of `policy matrix`.
type matrix struct {
	Subjects  []matrixSubject `json:"subjects"`  // of whom the lines speak; roles first
	Upstreams []matrixTable   `json:"upstreams"` // what fits none of their lines is refused to all
	Policy    string          `json:"policy"`    // hash
}

type matrixSubject struct {
	Subject string   `json:"subject"`
	Members []string `json:"members"` // whom g rows make the role; empty for all but roles
}

type matrixTable struct {
	Upstream string       `json:"upstream"` // * for every upstream that no row names
	Lines    []matrixLine `json:"lines"`
}

// matrixLine is the paths of one class, and methods on them, that no row tells
// apart.
type matrixLine struct {
	Path        string       `json:"path"`    // a pattern for people; a path that a closer one fits is not meant
	ExamplePath string       `json:"witness"` // a path of the class
	Methods     []string     `json:"methods"` // GET covers HEAD, and * is every method, but those in except
	Except      []string     `json:"except"`
	Cells       []matrixCell `json:"cells"` // without the subjects of whom no row speaks
}

type matrixCell struct {
	Subject string `json:"subject"`
	Effect  string `json:"effect"` // allow or deny
	Rule    string `json:"rule"`   // file:line of the row that decides
}

func newMatrix(found compare.Matrix, hash string) matrix {
	m := matrix{Subjects: []matrixSubject{}, Upstreams: []matrixTable{}, Policy: hash}
	for _, c := range found.Columns {
		m.Subjects = append(m.Subjects, matrixSubject{c.Subject, append([]string{}, c.Members...)})
	}
	for _, t := range found.Tables {
		table := matrixTable{t.Upstream, []matrixLine{}}
		for _, l := range t.Lines {
			line := matrixLine{l.Path, l.ExamplePath, l.Methods.Named(), l.Methods.Except(), []matrixCell{}}
			for _, c := range l.Cells {
				line.Cells = append(line.Cells, matrixCell{c.Subject, c.Effect.String(), c.Row.Where()})
			}
			table.Lines = append(table.Lines, line)
		}
		m.Upstreams = append(m.Upstreams, table)
	}
	return m
}

// maxMatrixWidth is how many characters the names of columns may take before the
// cells are lists instead.
const maxMatrixWidth = 100

// printMatrix leaves out who has no say on an upstream, unless they were asked for.
func printMatrix(s *cli.Printer, m compare.Matrix, asked bool) {
	for _, t := range m.Tables {
		s.Line("%s", s.Bold(upstreamName(t.Upstream)))
		lines := mergeMethods(t.Lines)
		columns, width := columnsOf(m, t, asked)
		switch {
		case len(lines) == 0:
			s.Line("  everything is refused to all of these")
		case width > maxMatrixWidth:
			printLists(s, lines)
		default:
			printColumns(s, lines, columns)
		}
		s.Line("")
	}
	var members [][]string
	for _, c := range m.Columns {
		if len(c.Members) > 0 {
			members = append(members, []string{"  " + c.Subject, text.JoinFew(c.Members, ", ", 8)})
		}
	}
	if len(members) > 0 {
		s.Line("%s", s.Bold("who holds what"))
		s.Table(members)
		s.Line("")
	}
	s.Line("%s", s.Dim("A path belongs to the line that fits it best. · is refused, as no row speaks of it; what fits no line is refused to all."))
}

func upstreamName(name string) string {
	if name == "*" {
		return "any other upstream"
	}
	return name
}

// mergeMethods joins the methods of a path where people fare alike, whichever row
// says so.
func mergeMethods(lines []compare.Line) []compare.Line {
	merged := make([]compare.Line, 0, len(lines))
	first := 0 // line of the path at hand
	for i, l := range lines {
		if i > 0 && lines[i-1].ExamplePath != l.ExamplePath {
			first = len(merged)
		}
		at := slices.IndexFunc(merged[first:], func(other compare.Line) bool {
			return slices.EqualFunc(other.Cells, l.Cells, func(a, b compare.Cell) bool { return a.Subject == b.Subject && a.Effect == b.Effect })
		})
		if at < 0 {
			merged = append(merged, l)
			continue
		}
		merged[first+at].Methods = merged[first+at].Methods.Union(l.Methods)
	}
	return merged
}

// columnsOf gives those of whom some line of a table speaks, or all, and their
// width.
func columnsOf(m compare.Matrix, t compare.Table, all bool) (columns []string, width int) {
	used := map[string]bool{}
	for _, l := range t.Lines {
		for _, c := range l.Cells {
			used[c.Subject] = true
		}
	}
	for _, c := range m.Columns {
		if all || used[c.Subject] {
			columns = append(columns, c.Subject)
			width += utf8.RuneCountInString(c.Subject) + 2
		}
	}
	return columns, width
}

func printColumns(s *cli.Printer, lines []compare.Line, columns []string) {
	head := []string{"  path", "methods"}
	for _, c := range columns {
		head = append(head, s.Bold(c))
	}
	rows := append(make([][]string, 0, 1+len(lines)), head)
	for _, l := range lines {
		row := append(make([]string, 0, len(head)), "  "+l.Path, l.Methods.String())
		rest := l.Cells
		for _, c := range columns {
			if len(rest) == 0 || rest[0].Subject != c {
				row = append(row, s.Dim("·"))
				continue
			}
			row = append(row, effect(s, rest[0]))
			rest = rest[1:]
		}
		rows = append(rows, row)
	}
	s.Table(rows)
}

func effect(s *cli.Printer, c compare.Cell) string {
	if c.Allowed() {
		return s.Success(c.Effect.String())
	}
	return s.Failure(c.Effect.String())
}

func printLists(s *cli.Printer, lines []compare.Line) {
	var rows [][]string
	for _, l := range lines {
		of := map[policy.Effect][]string{}
		for _, c := range l.Cells {
			of[c.Effect] = append(of[c.Effect], c.Subject)
		}
		row := []string{"  " + l.Path, l.Methods.String()}
		if may := of[policy.Allow]; len(may) > 0 {
			row = append(row, s.Success("allow")+" "+text.JoinFew(may, ", ", 8))
		}
		if not := of[policy.Deny]; len(not) > 0 {
			row = append(row, s.Failure("deny")+" "+text.JoinFew(not, ", ", 8))
		}
		rows = append(rows, row)
	}
	s.Table(rows)
}
