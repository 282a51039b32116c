package policycmd

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/auditlog"
	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/policy/replay"
	"github.com/example-org/authgate/text"
)

func newPolicyReplay() *cobra.Command {
	var flags policyFlags
	var logs auditlog.Flags
	var failOn string
	var out cli.Output
	cmd := &cobra.Command{
		Use:   "replay --audit LOG --policy NEW",
		Short: "List logged requests that a policy would decide differently",
		Long: "Decide the requests of an audit log with another policy, and list those whose decision\n" +
			"changes: granted (they were denied) or revoked (they were allowed). Use it to check a new\n" +
			"policy against real traffic. Logs can have any size, and gzip is recognised.\n\n" +
			"Users are identified by their log line: groups and e-mail address, which counts as\n" +
			"verified, go through the g rows of the policy. Lines without groups are decided by their\n" +
			"roles, so changed g rows do not affect them. The log records a group only if the policy at\n" +
			"that time mentioned it. Groups and users of the new policy that never appear in the log\n" +
			"are listed.\n\n" +
			"Requests that were refused before a policy decided are left out. If a line lacks a\n" +
			"required field, the command reads the whole log and then exits with code 3. An incomplete\n" +
			"last line is ignored." +
			cli.ExitCodes{
				0: "no decision changes, or none of the kind that --fail-on names",
				1: "a decision changes",
				3: "the policy does not load, or a line of the log lacks a required field",
			}.Table(),
		Example: "  authgate policy replay --audit audit.log --policy new.csv\n" +
			"  kubectl logs deploy/authgate | grep '\"event\":' | authgate policy replay --audit - --config authgate.yaml\n" +
			"  authgate policy replay --audit audit-1.log.gz --audit audit.log --policy new.csv --fail-on revoked",
		Args: cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmp.Or(logs.Check(), out.Check()); err != nil {
				return err
			}
			if !slices.Contains(failOnWords, failOn) {
				return fmt.Errorf("--fail-on is %q; %w", failOn, cli.OneOf(failOn, failOnWords))
			}
			loaded, err := flags.load(cmd)
			if err != nil {
				return err
			}
			replay := replay.New(loaded.Snapshot)
			counts, err := logs.Read(cmd.Context(), cmd, replay.Add)
			if err != nil {
				return err
			}
			report, err := replay.Report()
			if err != nil {
				return cli.RunError(err)
			}
			answer := replayAnswer{loaded.Hash(), counts, report}
			if err := out.Render(cmd, answer, answer.print); err != nil {
				return err
			}
			if answer.fails(failOn) {
				return cli.ErrNo
			}
			return nil
		},
	}
	logs.Add(cmd)
	flags.add(cmd)
	cmd.Flags().StringVar(&failOn, "fail-on", failOnAny,
		"`KIND` of change that causes exit code 1: granted, revoked or any")
	_ = cmd.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions(failOnWords, cobra.ShellCompDirectiveNoFileComp))
	out.AddFlag(cmd)
	return cmd
}

// fails reports whether the differences are of the kind that is a no.
func (r replayAnswer) fails(kind string) bool {
	return kind != replay.Revoked && r.Replay.Granted > 0 || kind != replay.Granted && r.Replay.Revoked > 0
}

// replayAnswer is the answer of `policy replay`.
type replayAnswer struct {
	Policy string          `json:"policy"` // hash
	Log    auditlog.Counts `json:"log"`
	Replay replay.Report   `json:"replay"`
}

func (r replayAnswer) print(s *cli.Printer) {
	switch report := r.Replay; {
	case report.Granted+report.Revoked > 0:
		s.Line("%s of %s would be decided differently: %s, %s; %s affected",
			s.Bold(fmt.Sprint(report.Granted+report.Revoked)),
			cli.Plural(report.Requests, "request"), s.Warn(fmt.Sprintf("%d granted", report.Granted)),
			s.Failure(fmt.Sprintf("%d revoked", report.Revoked)),
			countedPeople(report.People, report.PeopleMore))
	case report.Requests > 0:
		s.Line("%s: %s would be decided as before", s.Success("no change"), cli.Plural(report.Requests, "request"))
	default:
		s.Line("%s", s.Warn("no request to decide"))
	}
	r.Log.Print(s)
	for _, d := range r.Replay.Differences {
		s.Line("")
		printDifference(s, d)
	}
	r.printNotes(s)
}

func printDifference(s *cli.Printer, d replay.Difference) {
	change := s.Warn(d.Change)
	if d.Change == replay.Revoked {
		change = s.Failure(d.Change)
	}
	s.Line("%s  %s  %s, %s", change, text.Escape(d.Method+" "+d.Upstream+":"+d.Path), cli.Plural(d.Requests, "request"),
		countedPeople(d.People, d.PeopleMore))
	now, before := "no row matches", "no row matched"
	if d.Rule != "" {
		now = d.Rule + ": " + d.Row
	}
	if d.RuleBefore != "" {
		before = d.RuleBefore
	}
	person := d.Example.Person
	if person == "" {
		person = "an anonymous request"
	}
	when := d.First.UTC().Format(time.DateTime)
	if !d.Last.Equal(d.First) {
		when += " to " + d.Last.UTC().Format(time.DateTime)
	}
	s.Table([][]string{
		{"  now", now},
		{"  before", text.Escape(before)},
		{"  who", text.Escape(text.JoinFew(d.Subjects, ", ", 10))},
		{"  when", when},
		{"  such as", fmt.Sprintf("%s by %s at %s", text.Escape(d.Example.Path), text.Escape(person),
			d.Example.Time.UTC().Format(time.DateTime))},
	})
}

func countedPeople(n int, more bool) string {
	switch {
	case more:
		return fmt.Sprintf("more than %d users", n)
	case n == 1:
		return "1 user"
	case n == 0:
		return "no signed-in user"
	}
	return fmt.Sprintf("%d users", n)
}

// printNotes say what this replay could not see.
func (r replayAnswer) printNotes(s *cli.Printer) {
	var notes []string
	report := r.Replay
	if report.Ungrouped > 0 {
		notes = append(notes, cli.Plural(report.Ungrouped, "more request")+
			" would be decided differently and are not listed, because too many different ones do")
	}
	if report.ByRoles > 0 {
		notes = append(notes, cli.Plural(report.ByRoles, "request")+
			" decided by roles, because the lines name no groups: changed g rows do not affect them")
	}
	if len(report.UnseenSubjects) > 0 && report.ByRoles < report.Requests {
		notes = append(notes,
			"the policy mentions these, and no line does; users who have them may have been decided without them: "+
				text.JoinFew(report.UnseenSubjects, ", ", 10))
	}
	if len(notes) > 0 {
		s.Line("")
	}
	for _, text := range notes {
		s.Line("%s %s", s.Warn("note:"), text)
	}
}
