package policycmd

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/compare"
)

func newPolicyWhoCan() *cobra.Command {
	var flags policyFlags
	var out cli.Output
	cmd := &cobra.Command{
		Use:   "who-can METHOD TARGET",
		Short: "List every subject that may make a request",
		Long: "List every subject that may use a method on a path: roles, groups, users, and all\n" +
			"signed-in users, each with the row that allows it and the chain of g rows to that row.\n" +
			"Use it to review access to one endpoint.\n\n" +
			"Subjects that a row denies are listed as well. A user who matches one of them is denied,\n" +
			"even if another row allows the request. TARGET is UPSTREAM:/path or, with --config, a URL." +
			cli.ExitCodes{
				0: "at least one subject may",
				1: "no subject may",
				2: "wrong usage, an upstream that nothing names, or a path that authgate answers itself",
				3: "the policy does not load",
			}.Table(),
		Example: "  authgate policy who-can --policy policy.csv POST argocd:/api/v1/applications/web/sync\n" +
			"  authgate policy who-can --config authgate.yaml GET https://argo-cd.example.com/terminal",
		Args:              cli.Arguments("METHOD", "TARGET"),
		ValidArgsFunction: completeMethodTarget,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			q, err := flags.newQuery(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			who, err := findWhoCan(q)
			if err != nil {
				return cli.RunError(err)
			}
			if err := out.Render(cmd, who, who.print); err != nil {
				return err
			}
			if len(who.May) == 0 {
				return cli.ErrNo
			}
			return nil
		},
	}
	flags.add(cmd)
	out.AddFlag(cmd)
	return cmd
}

// whoCan is the answer of `policy who-can`.
type whoCan struct {
	Method   string `json:"method"`
	Upstream string `json:"upstream"`
	Path     string `json:"path"`      // canonical
	Reason   string `json:"reason"`    // why no subject may, if no row says so
	SignedIn bool   `json:"signed_in"` // every signed-in user may, but for the refused
	// no login is needed; signed-in users that no row mentions are treated as anonymous
	Anonymous bool     `json:"anonymous"`
	May       []access `json:"may"`     // every subject that may; roles first
	Refused   []access `json:"refused"` // users who match one of these are denied, even if another row allows them
	Policy    string   `json:"policy"`  // hash
}

type access struct {
	Subject string `json:"subject"`
	Rule    string `json:"rule"` // file:line of the row that decides
	Row     string `json:"row"`
	// g rows from the subject to that of the row; empty if it needs none
	Chain []chainLink `json:"chain"`
	// of the refused: file:line of the row that would allow them, or empty
	OverriddenRule string `json:"overridden_rule"`

	viaAuthenticated bool // it is allowed as every signed-in user is
}

func findWhoCan(query *query) (whoCan, error) {
	answer := whoCan{
		Method: query.method, Upstream: query.target.upstream, Path: query.target.display, May: []access{},
		Refused: []access{}, Policy: query.Hash(),
	}
	if query.target.refused != nil {
		answer.Reason = query.target.refused.Error()
		return answer, nil
	}
	who, err := compare.NewWhoCan(query.Snapshot, query.target.upstream, query.target.path, query.method)
	if err != nil {
		return whoCan{}, err
	}
	for _, a := range who.May {
		answer.SignedIn = answer.SignedIn || a.Subject == policy.Authenticated
		answer.Anonymous = answer.Anonymous || a.Subject == policy.Anonymous
		answer.May = append(answer.May, newAccess(a))
	}
	for _, a := range who.Refused {
		answer.Refused = append(answer.Refused, newAccess(a))
	}
	if len(answer.May)+len(answer.Refused) == 0 {
		answer.Reason = noRowMatches
	}
	return answer, nil
}

func newAccess(a compare.Access) access {
	answer := access{Subject: a.Subject, Rule: a.Row.Where(), Row: a.Row.String(), Chain: newChain(a.Chain)}
	first := a.Row.Subject
	if len(a.Chain) > 0 {
		first = a.Chain[0].Member
	}
	answer.viaAuthenticated = first == policy.Authenticated && a.Subject != policy.Authenticated
	if a.OverriddenRow != nil {
		answer.OverriddenRule = a.OverriddenRow.Where()
	}
	return answer
}

func newChain(links []policy.Link) []chainLink {
	chain := []chainLink{}
	for _, link := range links {
		chain = append(chain, chainLink{link.Member, link.Role, link.Where()})
	}
	return chain
}

func (w whoCan) print(s *cli.Printer) {
	request := w.Method + " " + w.Upstream + ":" + w.Path
	switch {
	case w.Reason != "":
		s.Line("%s  %s  %s", s.Failure("no subject may"), request, w.Reason)
	case len(w.May) == 0:
		s.Line("%s  %s", s.Failure("no subject may"), request)
	case w.Anonymous:
		s.Line("%s  %s  without signing in; signed-in users that no row mentions are treated as anonymous",
			s.Success("anyone may"), request)
	case w.SignedIn:
		s.Line("%s  %s", s.Success("every signed-in user may"), request)
	default:
		s.Line("%s  %s", s.Success(cli.Plural(len(w.May), "subject")+" may"), request)
	}
	w.printAllowed(s)
	if len(w.Refused) > 0 {
		s.Line("%s", s.Failure("denied to the following subjects, even if another row allows them"))
		printAccess(s, w.Refused)
	}
}

// printAllowed leaves out subjects that are allowed as every signed-in user is.
func (w whoCan) printAllowed(s *cli.Printer) {
	listed := w.May
	if w.SignedIn {
		listed = slices.DeleteFunc(slices.Clone(listed), func(a access) bool { return a.viaAuthenticated })
	}
	printAccess(s, listed)
	if implied := len(w.May) - len(listed); implied > 0 {
		s.Line("%s", s.Dim("and "+cli.Plural(implied, "subject")+" for being signed in, which -o json lists"))
	}
}

// printAccess shows each row, and below it the subjects for which it decides.
func printAccess(s *cli.Printer, list []access) {
	printed := map[string]bool{}
	for _, first := range list {
		if printed[first.Rule] {
			continue
		}
		printed[first.Rule] = true
		s.Line("  %s: %s", s.Bold(first.Rule), first.Row)
		var rows [][]string
		for _, a := range list {
			if a.Rule == first.Rule {
				rows = append(rows, []string{"    " + a.Subject, a.describeChain(s)})
			}
		}
		s.Table(rows)
	}
}

func (a access) describeChain(s *cli.Printer) string {
	text := ""
	if len(a.Chain) > 0 {
		text = strings.TrimPrefix(matchedSubject{Chain: a.Chain}.describeChain(s), a.Subject+" ")
	}
	if a.OverriddenRule != "" {
		text = strings.TrimLeft(text+"  "+s.Dim("although "+a.OverriddenRule+" allows it"), " ")
	}
	return text
}
