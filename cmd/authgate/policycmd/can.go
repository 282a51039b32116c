package policycmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/explain"
)

func newPolicyCan() *cobra.Command {
	var c policyCan
	cmd := &cobra.Command{
		Use:   "can WHO (METHOD TARGET | - | --all)",
		Short: "Check whether a request is allowed, and which row decides",
		Long: "Check whether a subject may use a method on a path, and which row decides. Use it to try\n" +
			"a policy before you deploy it, or in scripts.\n\n" +
			"WHO is --group, --user, --role or --anonymous. TARGET is UPSTREAM:/path or, with a\n" +
			"configuration, a URL.\n\n" +
			"With --all, list every row that allows WHO something, and what needs no login.\n\n" +
			"With -, standard input holds one METHOD TARGET per line. A line may begin with its own\n" +
			"WHO if none is given as flags. Blank lines and lines that begin with # are skipped. All\n" +
			"lines are read before the first one is answered. JSON is one object per line." +
			cli.ExitCodes{
				0: "yes; for -, yes to every line; for --all, something is allowed",
				1: "no; for -, no to some line; for --all, nothing is allowed",
				2: "wrong usage, an upstream that nothing names, or a path that authgate answers itself",
				3: "the policy does not load",
			}.Table(),
		Example: "  authgate policy can --policy policy.csv --group example-org:argo POST " +
			"argocd:/api/v1/applications/web/sync\n" +
			"  authgate policy can --config authgate.yaml --anonymous GET https://argo-cd.example.com/api/dex/keys\n" +
			"  authgate policy can --policy policy.csv --group example-org:dev --user eve@example.com --all\n" +
			"  authgate policy can --policy policy.csv --group example-org:dev - < requests.txt",
		Args:              c.arguments,
		ValidArgsFunction: completeMethodTarget,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.out.Check(); err != nil {
				return err
			}
			if c.batch {
				return c.runBatch(cmd)
			}
			if err := c.identity.check(); err != nil {
				return err
			}
			if c.all {
				loaded, err := c.flags.load(cmd)
				if err != nil {
					return err
				}
				return listPermissions(cmd, loaded, &c.identity, &c.out, c.quiet)
			}
			return c.run(cmd, args[0], args[1])
		},
	}
	c.flags.add(cmd)
	c.identity.add(cmd)
	c.out.AddFlag(cmd)
	cmd.Flags().BoolVarP(&c.quiet, "quiet", "q", false, "print nothing; the exit code is the answer")
	cmd.Flags().BoolVar(&c.all, "all", false, "list everything that WHO may do")
	return cmd
}

// policyCan is one command line of `policy can`.
type policyCan struct {
	flags    policyFlags
	identity identityFlags
	out      cli.Output
	quiet    bool
	all      bool
	batch    bool // requests come from standard input
}

func (c *policyCan) arguments(cmd *cobra.Command, args []string) error {
	c.batch = len(args) == 1 && args[0] == fromStdin
	switch {
	case c.all && len(args) > 0:
		return fmt.Errorf("--all asks for every request, and %q names one; leave out either", args[0])
	case c.batch && c.flags.usesStdin():
		return errors.New("standard input is one text: the policy or the requests; name a file for the policy")
	case c.all || c.batch:
		return cli.CheckFlagValues(cmd)
	}
	return identityArguments("METHOD", "TARGET")(cmd, args)
}

func (c *policyCan) run(cmd *cobra.Command, method, target string) error {
	q, err := c.flags.newQuery(cmd, method, target)
	if err != nil {
		return err
	}
	if !c.quiet {
		q.warnUnknown(cmd.ErrOrStderr(), c.identity.subjects()...)
	}
	answer, err := decide(q, c.identity.identity)
	if err != nil {
		return err
	}
	if !c.quiet {
		if err := c.out.Render(cmd, answer, answer.print); err != nil {
			return err
		}
	}
	if !answer.allowed() {
		return cli.ErrNo
	}
	return nil
}

// canAnswer is the answer of `policy can`.
type canAnswer struct {
	Decision string `json:"decision"` // allow or deny
	Method   string `json:"method"`
	Upstream string `json:"upstream"`
	Path     string `json:"path"` // canonical
	Rule     string `json:"rule"` // file:line; empty where no row matched
	Row      string `json:"row"`
	Reason   string `json:"reason"`        // why, where no row says so
	Policy   string `json:"policy"`        // hash
	Raw      string `json:"raw,omitempty"` // the path as it was written, where the canonical one differs
}

func decide(query *query, identity policy.Identity) (canAnswer, error) {
	v := canAnswer{
		Decision: policy.Deny.String(), Method: query.method, Upstream: query.target.upstream,
		Path: query.target.display, Policy: query.Hash(),
	}
	if query.target.raw != query.target.display {
		v.Raw = query.target.raw
	}
	if query.target.refused != nil { // the answer is no, and the policy has no part in it
		v.Reason = query.target.refused.Error()
		return v, nil
	}
	q := policy.Request{
		Roles: query.Resolve(identity), Upstream: query.target.upstream, Path: query.target.path,
		Method: query.method,
	}
	d := query.Decide(q)
	if err := query.Verify(q); err != nil {
		return canAnswer{}, cli.RunError(err)
	}
	v.Decision = d.Effect.String()
	if d.Row == nil {
		v.Reason = noRowMatches
		q.Roles = query.Resolve(policy.Identity{Anonymous: true})
		if open := query.Decide(q); open.Allowed() {
			v.Reason += ", but " + open.Row.Where() + " allows it without a login"
		}
		return v, nil
	}
	v.Rule, v.Row = d.Row.Where(), d.Row.String()
	return v, nil
}

func (v canAnswer) allowed() bool { return v.Decision == policy.Allow.String() }

func (v canAnswer) print(s *cli.Printer) {
	word := s.Failure("no")
	if v.allowed() {
		word = s.Success("yes")
	}
	why := v.Reason
	if v.Rule != "" {
		why = v.Rule + ": " + v.Row
	}
	s.Line("%s  %s %s:%s  %s", word, v.Method, v.Upstream, v.Path, why)
	if v.Raw != "" {
		s.Line("%s", s.Dim("     "+v.Raw+" is decided as "+v.Path))
	}
}

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

// listPermissions lists everything that a subject may do. Exit code 1: nothing.
func listPermissions(cmd *cobra.Command, loaded *loadedPolicy, idFlags *identityFlags, out *cli.Output,
	quiet bool,
) error {
	if !quiet {
		loaded.warnUnknown(cmd.ErrOrStderr(), idFlags.subjects()...)
	}
	allowed, err := explain.PermissionsOf(loaded.Snapshot, idFlags.identity)
	if err != nil {
		return cli.RunError(err)
	}
	answer := permissions{
		Who: append([]string{}, idFlags.subjects()...), Rows: permitting(allowed.Rows),
		Denied: permitting(allowed.Denied), Policy: loaded.Hash(),
	}
	if idFlags.identity.Anonymous {
		answer.Who, answer.Anonymous = []string{policy.Anonymous}, permitting(nil)
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
