package policycmd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/explain"
)

func newPolicyExplain() *cobra.Command {
	var flags policyFlags
	var out cli.Output
	var idFlags identityFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "explain WHO METHOD TARGET",
		Short: "Explain a decision, and list the smallest changes that reverse it",
		Long: "Explain why a subject may or may not use a method on a path: how it gets each role, which\n" +
			"rows match, why other rows do not, and the smallest changes that would reverse the\n" +
			"decision. Each change has been tried before it is listed. Use it when a user is denied or\n" +
			"allowed unexpectedly.\n\n" +
			"WHO and TARGET are those of `authgate policy can`." +
			cli.ExitCodes{
				0: "the request is allowed",
				1: "the request is denied",
				2: "wrong usage, an upstream that nothing names, or a path that authgate answers itself",
				3: "the policy does not load",
			}.Table(),
		Example: "  authgate policy explain --policy policy.csv --group example-org:dev POST " +
			"argocd:/api/v1/applications/web/sync\n" +
			"  authgate policy explain --config authgate.yaml --user eve@example.com GET https://argo-cd.example.com/terminal",
		Args:              identityArguments("METHOD", "TARGET"),
		ValidArgsFunction: completeMethodTarget,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cmp.Or(idFlags.check(), out.Check()); err != nil {
				return err
			}
			q, err := flags.newQuery(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			q.warnUnknown(cmd.ErrOrStderr(), idFlags.subjects()...)
			e, err := explainDecision(q, idFlags.identity, all)
			if err != nil {
				return err
			}
			if err := out.Render(cmd, e, e.print); err != nil {
				return err
			}
			if !e.allowed() {
				return cli.ErrNo
			}
			return nil
		},
	}
	flags.add(cmd)
	idFlags.add(cmd)
	out.AddFlag(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "list every row, including those that have little in common with the request")
	return cmd
}

// explanation is the answer of `policy explain`.
type explanation struct {
	canAnswer
	Who        []matchedSubject `json:"who"`         // subjects that the user matches, nearest first
	Unknown    []string         `json:"unknown"`     // groups and roles of the user that the policy does not name
	Rows       []consideredRow  `json:"rows"`        // what decides first, then what matches, then what nearly does
	Others     int              `json:"others"`      // rows that are not listed
	NearMisses []nearMiss       `json:"near_misses"` // edits, each of which turns the answer; the smallest first
	// file:line of the row that allows this without a login, or empty
	AnonymousRule string `json:"anonymous_rule"`

	groups []string // of the user, as they were given
}

type matchedSubject struct {
	Subject string      `json:"subject"`
	Chain   []chainLink `json:"chain"` // g rows that lead to it; empty if the user matches it directly
}

type chainLink struct {
	Member string `json:"member"`
	Role   string `json:"role"`
	Where  string `json:"where"` // file:line
}

type consideredRow struct {
	Where   string `json:"where"`
	Row     string `json:"row"`
	Matches bool   `json:"matches"`
	Near    bool   `json:"near"` // one thing is off
	Why     string `json:"why"`  // what is off; empty where the row matches
}

type nearMiss struct {
	Kind     string    `json:"kind"` // method, path, login, join, leave, add, remove or widen
	Text     string    `json:"text"` // what to do
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Subject  string    `json:"subject"` // group or role to join or leave
	Remove   []removal `json:"remove"`  // rows to take away, all of them
	Add      []string  `json:"add"`     // rows to add
	Decision string    `json:"decision"`
	Rule     string    `json:"rule"` // file:line of the row that decides then; empty where none does, or an added one
}

type removal struct {
	Where string `json:"where"`
	Row   string `json:"row"`
}

// maxNear is how many rows that nearly match are listed without --all.
const maxNear = 12

func explainDecision(query *query, identity policy.Identity, all bool) (explanation, error) {
	v, err := decide(query, identity)
	if err != nil {
		return explanation{}, err
	}
	if query.target.refused != nil {
		v.Reason = "refused with 400 before a policy decides: " + v.Reason
	}
	e := explanation{
		canAnswer: v, Who: []matchedSubject{}, Unknown: []string{}, Rows: []consideredRow{},
		NearMisses: []nearMiss{}, groups: identity.Groups,
	}
	if query.target.refused != nil {
		return e, nil
	}
	x := explain.Explain(query.Snapshot, identity, query.target.upstream, query.target.path, query.method)
	for _, matched := range x.Subjects {
		e.Who = append(e.Who, matchedSubject{matched.Subject, newChain(matched.Chain)})
	}
	e.Unknown = append(e.Unknown, x.Unknown...)
	nearCount := 0
	for _, c := range x.Rows {
		if c.NearMiss {
			nearCount++
		}
		if !all && !c.Matches && (!c.NearMiss || nearCount > maxNear) {
			e.Others++
			continue
		}
		e.Rows = append(e.Rows, consideredRow{c.Row.Where(), c.Row.String(), c.Matches, c.NearMiss, c.Why()})
	}
	for _, edit := range x.Edits {
		m := nearMiss{
			Kind: string(edit.Kind), Text: edit.Text, Method: edit.Method, Path: edit.Path.String(), Subject: edit.Subject,
			Remove: []removal{}, Add: append([]string{}, edit.Add...), Decision: edit.Decision.Effect.String(),
		}
		for _, r := range edit.Remove {
			m.Remove = append(m.Remove, removal{r.Where, r.Row})
		}
		if edit.Decision.Row != nil {
			m.Rule = edit.Decision.Row.Where()
		}
		e.NearMisses = append(e.NearMisses, m)
	}
	if x.AnonymousRow != nil {
		e.AnonymousRule = x.AnonymousRow.Where()
	}
	return e, nil
}

func (e explanation) print(s *cli.Printer) {
	e.canAnswer.print(s)
	if e.Upstream == "" || len(e.Who)+len(e.Unknown)+len(e.Rows)+e.Others == 0 {
		return // refused before any policy
	}
	s.Line("")
	s.Line("%s", s.Bold("WHO"))
	printTable(s, e.whoTable(s), s.Warn("  no subject that the policy names"))
	s.Line("")
	s.Line("%s", s.Bold("ROWS"))
	printTable(s, e.rowTable(s), "  none matches or nearly does")
	if e.Others > 0 {
		s.Line("%s", s.Dim(fmt.Sprintf("  and %d more (--all lists them)", e.Others)))
	}
	s.Line("")
	s.Line("%s%s", s.Bold("NEAR MISSES"), s.Dim("  each of these alone turns the answer"))
	printTable(s, e.nearMissTable(s), "  none found")
}

// printTable prints indented lines, or what to say where there are none.
func printTable(s *cli.Printer, table [][]string, empty string) {
	if len(table) == 0 {
		s.Line("%s", empty)
		return
	}
	for i := range table {
		table[i][0] = "  " + table[i][0]
	}
	s.Table(table)
}

func (e explanation) whoTable(s *cli.Printer) [][]string {
	var table [][]string
	for _, matched := range e.Who {
		table = append(table, []string{matched.Subject, matched.describeChain(s)})
	}
	for _, name := range e.Unknown {
		why := "the policy does not name it"
		if prefix, _, _ := strings.Cut(name, ":"); slices.Contains(e.groups, name) &&
			slices.Contains([]string{"role", "user", "system"}, prefix) {
			why = "dropped: no group may begin with " + prefix + ":"
		}
		table = append(table, []string{name, s.Warn(why)})
	}
	return table
}

// describeChain shows the chain to a subject.
func (h matchedSubject) describeChain(s *cli.Printer) string {
	if len(h.Chain) > 0 {
		text := h.Chain[0].Member
		for _, link := range h.Chain {
			text += " -> " + link.Role + s.Dim(" ("+link.Where+")")
		}
		return text
	}
	org, everyGroup := strings.CutSuffix(h.Subject, policy.TeamWildcard)
	domain, everyAddress := strings.CutPrefix(h.Subject, policy.DomainWildcard)
	switch {
	case everyAddress:
		return "any verified address of " + domain
	case policy.ParseSubject(h.Subject).Kind == policy.KindRole:
		return "by --role"
	case policy.ParseSubject(h.Subject).Kind == policy.KindUser:
		return "by --user"
	case h.Subject == policy.Anonymous:
		return "anonymous requests"
	case h.Subject == policy.Authenticated:
		return "every signed-in user"
	case everyGroup:
		return "any group of " + org
	}
	return "by --group"
}

func (e explanation) rowTable(s *cli.Printer) [][]string {
	var table [][]string
	for _, row := range e.Rows {
		why := row.Why
		switch {
		case row.Where == e.Rule:
			why = s.Bold("decides")
		case row.Matches:
			why = "matches"
		}
		table = append(table, []string{row.Where, row.Row, why})
	}
	return table
}

func (e explanation) nearMissTable(s *cli.Printer) [][]string {
	const mostJoins = 5
	var table [][]string
	joins := 0
	for _, m := range e.NearMisses {
		if m.Kind == string(explain.EditJoin) {
			if joins++; joins > mostJoins {
				continue
			}
		}
		table = append(table, []string{m.Text, e.outcome(s, m)})
	}
	if joins > mostJoins {
		last := slices.IndexFunc(e.NearMisses, func(m nearMiss) bool { return m.Kind == string(explain.EditJoin) }) +
			mostJoins
		table = slices.Insert(table, last, []string{
			fmt.Sprintf("be in one of %d more groups or roles", joins-mostJoins),
			"listed by -o json",
		})
	}
	return table
}

// outcome shows the decision after an edit.
func (e explanation) outcome(s *cli.Printer, m nearMiss) string {
	allowed := m.Decision == policy.Allow.String()
	switch {
	case allowed && m.Rule != "":
		return s.Success("allowed") + " by " + m.Rule
	case allowed:
		return s.Success("allowed") + " by the new row"
	case m.Rule != "":
		return s.Failure("denied") + " by " + m.Rule
	case len(m.Add) > 0:
		return s.Failure("denied") + " by the new row"
	case e.AnonymousRule != "":
		return s.Failure("denied") + ", but " + e.AnonymousRule + " allows it without a login"
	}
	return s.Failure("denied") + ": no row matches"
}
