package policycmd

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/admin"
	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/compare"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

func newPolicyMatrix() *cobra.Command {
	var flags policyFlags
	var out cli.Output
	var upstreams, subjects []string
	cmd := &cobra.Command{
		Use:   "matrix",
		Short: "Print every decision of a policy as tables",
		Long: "Print, for each upstream, every kind of path and method that the rows distinguish, and\n" +
			"what each role may do there: allow, deny if a row denies it, or · if no row mentions it,\n" +
			"which is denied as well. Requests that match no line are denied to everyone. Use it to\n" +
			"review a complete policy.\n\n" +
			"Other columns are for subjects with rows of their own, and for subjects that are denied\n" +
			"what one of their roles alone may do. Without --config, the upstreams are those that rows\n" +
			"name and, if a row is for *, any other." +
			cli.ExitCodes{
				0: "the tables are printed",
				1: "the patterns of the rows overlap in too many ways",
				3: "the policy does not load",
			}.Table(),
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
				subjects[i] = policy.CanonicalSubject(subject)
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
				warn(cmd.ErrOrStderr(),
					"left out, because authgate answers these itself and no row applies: "+text.JoinFew(endpoints, ", ", 4))
			}
			switch out.Format {
			case csvFormat:
				return cli.WriteError(writeMatrixCSV(cmd.OutOrStdout(), found))
			case markdownFormat:
				_, err := io.WriteString(cmd.OutOrStdout(), matrixMarkdown(found))
				return cli.WriteError(err)
			}
			return out.RenderLazy(cmd, func() any { return newMatrix(found, loaded.Hash()) },
				func(s *cli.Printer) { printMatrix(s, found, len(subjects) > 0) })
		},
	}
	flags.add(cmd)
	out.AddFlag(cmd, csvFormat, markdownFormat)
	cmd.Flags().StringArrayVar(&upstreams, "upstream", nil, "only this `UPSTREAM`; may be repeated")
	cmd.Flags().StringArrayVar(&subjects, "subject", nil, "only this `SUBJECT`, written as in rows; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("upstream", completeUpstreams())
	_ = cmd.RegisterFlagCompletionFunc("subject",
		completeFromPolicy(func(l *loadedPolicy) []string { return l.Subjects() }))
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

// checkSubjects accepts any group and any user: no row needs to mention them.
func (l *loadedPolicy) checkSubjects(names []string) error {
	var ours []string
	for _, name := range names {
		if policy.ParseSubject(name).Kind == policy.KindRole || policy.ParseSubject(name).Kind == policy.KindSystem {
			ours = append(ours, name)
		}
	}
	return checkKnown(ours, append(l.Subjects(), policy.Authenticated, policy.Anonymous), "the policy has no %q")
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

// matrixLine is the paths of one class, and methods on them, that no row distinguishes.
type matrixLine struct {
	// a pattern to read; paths that a more specific line matches are not included
	Path        string       `json:"path"`
	ExamplePath string       `json:"example_path"` // a path of the class
	Methods     []string     `json:"methods"`      // GET covers HEAD, and * is every method, but those in except
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

// withoutEndpoints leaves out what authgate answers itself, and names it.
func (l *loadedPolicy) withoutEndpoints(m compare.Matrix) (compare.Matrix, []string) {
	var endpoints []string
	for i, t := range m.Tables {
		m.Tables[i].Lines = slices.DeleteFunc(t.Lines, func(line compare.Line) bool {
			isEndpoint := l.isOwn(line.ExamplePath)
			if isEndpoint && !slices.Contains(endpoints, line.Path) {
				endpoints = append(endpoints, line.Path)
			}
			return isEndpoint
		})
	}
	return m, endpoints
}

// isOwn reports whether authgate answers a path itself. Where its endpoints are, only a
// configuration says.
func (l *loadedPolicy) isOwn(raw string) bool {
	if admin.IsHealthCheck(http.MethodGet, raw) {
		return true
	}
	if l.config == nil {
		return false
	}
	path, err := target.ParseWith(raw, target.AllQuirks)
	return err == nil && proxy.IsEndpoint(l.config.PathPrefix, path)
}
