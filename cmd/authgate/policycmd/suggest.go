package policycmd

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/auditlog"
	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/suggest"
	"github.com/example-org/authgate/text"
)

func newPolicySuggest() *cobra.Command {
	var flags policyFlags
	var logs auditlog.Flags
	var options suggest.Options
	var check bool
	var out cli.Output
	cmd := &cobra.Command{
		Use:   "suggest --audit LOG",
		Short: "Suggest the fewest rows that allow what an audit log shows",
		Long: "Suggest the fewest rows that allow what an audit log shows as allowed, subject by subject.\n" +
			"Use it to write a first policy, or to remove rights that are not used.\n\n" +
			"A segment of a path becomes * if it has enough different values and everything else is\n" +
			"equal. It never becomes **, part of a segment, or the first segment. It stays as it is if\n" +
			"the values look like words of an API, or if * would allow a request that was denied. Every\n" +
			"request is decided with the suggested policy before it is printed.\n\n" +
			"Without a policy, the output is a policy. With --policy or --config, it is a list of\n" +
			"changes: + rows to add, and - rows that nothing needed, or that allow more than was seen\n" +
			"and are replaced by + rows. Rows then go to the least privileged role that has the right.\n" +
			"Deny rows stay. A request that was allowed and is now denied also gets a + row, and a note.\n\n" +
			"Without a policy, a request by a user with several roles is assigned to one role: the role\n" +
			"shared by all users that the same row admitted at the time; otherwise a role that needs\n" +
			"the row anyway; otherwise the least common role. A note counts the requests for which the\n" +
			"log does not decide this.\n\n" +
			"--denied suggests rows for requests that signed-in users were denied. Review these." +
			cli.ExitCodes{
				0: "the suggestion is printed",
				1: "for --check: the policy would have to change; else the rows are too many for one policy",
				3: "the policy does not load, or a line of the log lacks a required field",
			}.Table(),
		Example: "  authgate policy suggest --audit audit.log > policy.csv\n" +
			"  authgate policy suggest --audit audit.log --policy policy.csv --since 2026-03-01\n" +
			"  authgate policy suggest --audit audit.log --config authgate.yaml --denied",
		Args: cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			compared := len(flags.policies) > 0 || flags.config != ""
			if err := cmp.Or(flags.check(cmd), logs.Check(), out.Check(), checkSuggest(options, check, compared)); err != nil {
				return err
			}
			answer := suggestAnswer{Compared: compared}
			if compared {
				loaded, err := flags.load(cmd)
				if err != nil {
					return err
				}
				options.Current, answer.Policy = loaded.Snapshot, loaded.Hash()
				if loaded.config != nil {
					options.Upstreams, options.Quirks = loaded.config.UpstreamNames(), loaded.config.Quirks()
				}
			}
			suggest := suggest.New(options)
			var err error
			if answer.Log, err = logs.Read(cmd.Context(), cmd, suggest.Add); err != nil {
				return err
			}
			if answer.Suggestion, err = suggest.Report(); err != nil {
				return cli.RunError(err)
			}
			if err := answer.write(cmd, &out); err != nil {
				return err
			}
			if check && answer.Suggestion.Differs() {
				return cli.ErrNo
			}
			return nil
		},
	}
	logs.Add(cmd)
	flags.add(cmd)
	cmd.Flags().BoolVar(&options.Denied, "denied", false, "use the denied requests instead of the allowed ones")
	cmd.Flags().BoolVar(&options.Exact, "exact", false, "write no *: one row per path")
	cmd.Flags().IntVar(&options.Distinct, "min-distinct", 3,
		"number of different values that make a segment *; at least 2")
	cmd.Flags().Int64Var(&options.MinCount, "min-count", 1, "leave out rows for fewer requests")
	cmd.Flags().BoolVar(&check, "check", false, "exit code 1 if the policy would have to change")
	out.AddFlag(cmd, csvFormat)
	return cmd
}

// csvFormat is the text of a whole policy.
const csvFormat = "csv"

func checkSuggest(options suggest.Options, check, compared bool) error {
	switch {
	case options.Distinct < 2:
		return fmt.Errorf("--min-distinct is %d; write 2 or more, or --exact for no * at all", options.Distinct)
	case options.MinCount < 1:
		return fmt.Errorf("--min-count is %d; write 1 or more", options.MinCount)
	case check && !compared:
		return errors.New("--check compares with a policy; name it with --policy FILE or --config FILE")
	}
	return nil
}

// suggestAnswer is the answer of `policy suggest`.
type suggestAnswer struct {
	Policy     string          `json:"policy"`   // hash of the policy that it is compared with
	Compared   bool            `json:"compared"` // there is one
	Log        auditlog.Counts `json:"log"`
	Suggestion suggest.Report  `json:"suggestion"`
}

// write keeps the text of a policy apart from what is said about it, which goes to
// standard error.
func (a suggestAnswer) write(cmd *cobra.Command, out *cli.Output) error {
	if out.Format == csvFormat || out.Format == cli.TextFormat && !a.Compared {
		a.printNotes(cli.NewPrinter(cmd.ErrOrStderr()))
		_, err := io.WriteString(cmd.OutOrStdout(), a.Suggestion.Policy())
		return cli.WriteError(err)
	}
	return out.Render(cmd, a, a.print)
}

func (a suggestAnswer) print(s *cli.Printer) {
	report := a.Suggestion
	var add []suggest.Row
	for _, row := range report.Rows {
		if row.Change == suggest.NewRow {
			add = append(add, row)
		}
	}
	if report.Differs() {
		s.Line("%s, %s, = %d kept", s.Success(fmt.Sprintf("+ %d to add", len(add))),
			s.Failure(fmt.Sprintf("- %d to take out", len(report.Remove))), report.Kept)
	} else {
		s.Line("%s: = %d kept", s.Success("no change"), report.Kept)
	}
	a.printNotes(s)
	var rows [][]string
	for _, row := range report.Remove {
		rows = append(rows, []string{s.Failure("- " + row.Row), s.Dim(row.Rule), s.Dim(removedBecause(row))})
	}
	for _, row := range add {
		rows = append(rows, []string{s.Success("+ " + row.Row), "", s.Dim(row.Summary())})
	}
	if len(rows) > 0 {
		s.Line("")
		s.Table(rows)
	}
}

func removedBecause(row suggest.RemovedRow) string {
	switch row.Reason {
	case suggest.UnusedRow:
		return "nothing that was seen needs it"
	case suggest.EmptyRole:
		return "the role has no rows left"
	}
	return fmt.Sprintf("allows more than was seen: %s, which other rows here allow", cli.Plural(row.Requests, "request"))
}

// rolesWithoutMembers gives the roles of rows that no g row grants.
func rolesWithoutMembers(report suggest.Report) []string {
	var roles []string
	for _, row := range report.Rows {
		hasMember := slices.ContainsFunc(report.Members, func(m suggest.Member) bool { return m.Role == row.Subject })
		if policy.ParseSubject(row.Subject).Kind == policy.KindRole && !hasMember && !slices.Contains(roles, row.Subject) {
			roles = append(roles, row.Subject)
		}
	}
	return roles
}

// printNotes say what the suggestion was made from, and what is not in it.
func (a suggestAnswer) printNotes(s *cli.Printer) {
	a.Log.Print(s)
	report := a.Suggestion
	if report.Requests == 0 {
		s.Line("%s the log has no request to make a row from", s.Warn("note:"))
	}
	if report.NotAllowed > 0 {
		s.Line("%s %s that the policy does not allow as it is: + rows for them are new rights", s.Warn("note:"),
			cli.Plural(report.NotAllowed, "request"))
	}
	if report.Guessed > 0 {
		s.Line("%s %s that several subjects fit equally, so the row names the first; review these", s.Warn("note:"),
			cli.Plural(report.Guessed, "request"))
	}
	if report.ByRoles > 0 {
		s.Line("%s %s assigned by roles, because the lines name no groups", s.Warn("note:"),
			cli.Plural(report.ByRoles, "request"))
	}
	if n := report.Replay; n.Requests > 0 {
		switch {
		case n.Granted+n.Revoked == 0 && a.Compared: // "no change", or rows that change nothing that was seen
		case n.Granted+n.Revoked == 0:
			s.Line("%s", s.Dim("replayed: the suggestion decides all of "+cli.Plural(n.Requests, "request")+" as the log shows"))
		default:
			s.Line("%s replayed: the suggestion decides %d of %s differently: %d granted, %d revoked; such as %s",
				s.Warn("note:"),
				n.Granted+n.Revoked, cli.Plural(n.Requests, "request"), n.Granted, n.Revoked,
				text.Escape(strings.Join(n.Examples, ", ")))
		}
	}
	if without := rolesWithoutMembers(report); !a.Compared && len(without) > 0 {
		s.Line("%s the lines name no groups of the users with %s: add g rows, or no one holds it", s.Warn("note:"),
			text.JoinFew(without, ", ", 3))
	}
	for _, left := range report.LeftOut {
		reason := left.Reason
		if left.Rule != "" {
			reason += " (" + left.Rule + ")"
		}
		s.Line("%s %s without a row: %s; such as %s", s.Warn("note:"), cli.Plural(left.Requests, "request"), reason,
			text.Escape(strings.TrimSpace(left.Example)))
	}
}
