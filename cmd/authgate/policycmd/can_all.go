package policycmd

import (
	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/explain"
)

// permissions is the answer of `policy can --all`.
type permissions struct {
	Who       []string        `json:"who"`       // as rows would name them
	Rows      []permittingRow `json:"rows"`      // each allows them something
	Denied    []permittingRow `json:"denied"`    // deny rows that take some of it away
	Anonymous []permittingRow `json:"anonymous"` // what needs no login
	Policy    string          `json:"policy"`    // hash
}

type permittingRow struct {
	Rule     string      `json:"rule"` // file:line
	Row      string      `json:"row"`
	Upstream string      `json:"upstream"`
	Path     string      `json:"path"`
	Methods  string      `json:"methods"`
	Subject  string      `json:"subject"` // of the row
	Chain    []chainLink `json:"chain"`   // g rows that lead to it
}

// listPermissions lists all that somebody may do. Exit code 1 says that there is nothing.
func listPermissions(cmd *cobra.Command, loaded *loadedPolicy, idFlags *identityFlags, out *cli.Output, quiet bool) error {
	if !quiet {
		loaded.warnUnknown(cmd.ErrOrStderr(), idFlags.subjects()...)
	}
	allowed, err := explain.PermissionsOf(loaded.Snapshot, idFlags.identity)
	if err != nil {
		return cli.RunError(err)
	}
	answer := permissions{Who: append([]string{}, idFlags.subjects()...), Rows: permitting(allowed.Rows), Denied: permitting(allowed.Denied), Policy: loaded.Hash()}
	if idFlags.identity.Anonymous {
		answer.Who, answer.Anonymous = []string{anonymousSubject}, permitting(nil)
	} else {
		open, err := explain.PermissionsOf(loaded.Snapshot, policy.Identity{Anonymous: true})
		if err != nil {
			return cli.RunError(err)
		}
		answer.Anonymous = permitting(open.Rows)
	}
	if !quiet {
		if err := out.Render(cmd, answer, answer.print); err != nil {
			return err
		}
	}
	if len(answer.Rows)+len(answer.Anonymous) == 0 {
		return cli.ErrNo
	}
	return nil
}

func permitting(found []explain.Permission) []permittingRow {
	rows := []permittingRow{}
	for _, p := range found {
		rows = append(rows, permittingRow{
			Rule: p.Row.Where(), Row: p.Row.String(), Upstream: p.Row.Upstream, Path: p.Row.Path, Methods: p.Row.Methods,
			Subject: p.Row.Subject, Chain: newChain(p.Chain),
		})
	}
	return rows
}

func (p permissions) print(s *cli.Printer) {
	if len(p.Rows) > 0 {
		printPermitting(s, p.Rows)
	} else {
		s.Line("%s  no row allows them anything", s.Failure("nothing"))
	}
	if len(p.Denied) > 0 {
		s.Line("%s", s.Failure("except what these rows deny"))
		printPermitting(s, p.Denied)
	}
	if len(p.Anonymous) > 0 {
		s.Line("%s", s.Warn("and, without a login, what anonymous requests may"))
		printPermitting(s, p.Anonymous)
	}
}

func printPermitting(s *cli.Printer, rows []permittingRow) {
	var table [][]string
	for _, row := range rows {
		how := "as " + row.Subject
		if len(row.Chain) > 0 {
			how = "as " + matchedSubject{Chain: row.Chain}.describeChain(s)
		}
		table = append(table, []string{row.Upstream, row.Methods, row.Path, s.Dim(row.Rule), s.Dim(how)})
	}
	s.Table(table)
}
