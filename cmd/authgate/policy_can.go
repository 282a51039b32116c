package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/policy"
)

func newPolicyCan() *cobra.Command {
	var c policyCan
	cmd := &cobra.Command{
		Use:   "can WHO (METHOD TARGET | - | --all)",
		Short: "Say whether a subject may, and which row decided",
		Long: "Say whether a subject may use a method on a path, and which row decided. WHO is\n" +
			"--group, --user, --role or --anonymous. TARGET is UPSTREAM:/path or, with a\n" +
			"configuration, a URL.\n\n" +
			"With --all, list every row that allows WHO something, and what needs no login.\n\n" +
			"With -, standard input holds one METHOD TARGET on each line. A line may begin with\n" +
			"its own WHO if none is given as flags. Blank lines and lines that begin with # are\n" +
			"skipped. All lines are read before the first one is answered. JSON is one object a\n" +
			"line.\n\n" +
			"Exit codes:\n" +
			"  0  yes; for -, yes to every line; for --all, something is allowed\n" +
			"  1  no; for -, no to some line; for --all, nothing is allowed\n" +
			"  2  wrong usage, an upstream that nothing names, or a path that authgate answers itself\n" +
			"  3  the policy does not load, or the output cannot be written",
		Example: "  authgate policy can --policy policy.csv --group example-org:argo POST argocd:/api/v1/applications/web/sync\n" +
			"  authgate policy can --config authgate.yaml --anonymous GET https://argo-cd.example.com/api/dex/keys\n" +
			"  authgate policy can --policy policy.csv --group example-org:dev --user eve@example.com --all\n" +
			"  authgate policy can --policy policy.csv --group example-org:dev - < requests.txt",
		Args:              c.arguments,
		ValidArgsFunction: offerQuestion,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.out.check(); err != nil {
				return err
			}
			if c.batch {
				return c.runBatch(cmd)
			}
			if err := c.who.check(); err != nil {
				return err
			}
			if c.all {
				loaded, err := c.flags.load(cmd)
				if err != nil {
					return err
				}
				return canAll(cmd, loaded, &c.who, &c.out, c.quiet)
			}
			return c.run(cmd, args[0], args[1])
		},
	}
	c.flags.add(cmd)
	c.who.add(cmd)
	c.out.add(cmd)
	cmd.Flags().BoolVarP(&c.quiet, "quiet", "q", false, "print nothing, answer by the exit code alone")
	cmd.Flags().BoolVar(&c.all, "all", false, "list all that WHO may do")
	return cmd
}

// policyCan is one command line of `policy can`.
type policyCan struct {
	flags policyFlags
	who   whoFlags
	out   output
	quiet bool
	all   bool
	batch bool // requests come from standard input
}

func (c *policyCan) arguments(cmd *cobra.Command, args []string) error {
	c.batch = len(args) == 1 && args[0] == fromStdin
	switch {
	case c.all && len(args) > 0:
		return fmt.Errorf("--all asks for every request, and %q names one; leave out either", args[0])
	case c.batch && c.flags.usesStdin():
		return errors.New("standard input is one text: the policy or the requests; name a file for the policy")
	case c.all || c.batch:
		return flagTakenForValue(cmd)
	}
	return arguments("METHOD", "TARGET")(cmd, args)
}

func (c *policyCan) run(cmd *cobra.Command, method, target string) error {
	q, err := c.flags.question(cmd, method, target)
	if err != nil {
		return err
	}
	if !c.quiet {
		q.warnUnknown(cmd.ErrOrStderr(), c.who.subjects()...)
	}
	verdict, err := ask(q, c.who.who)
	if err != nil {
		return err
	}
	if !c.quiet {
		if err := c.out.answer(cmd, verdict, verdict.print); err != nil {
			return err
		}
	}
	if !verdict.yes() {
		return errNo
	}
	return nil
}

// verdict is the answer of `policy can`.
type verdict struct {
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

func ask(on *question, who policy.Who) (verdict, error) {
	v := verdict{Decision: policy.Deny.String(), Method: on.method, Upstream: on.at.upstream, Path: on.at.shown, Policy: on.Hash()}
	if on.at.raw != on.at.shown {
		v.Raw = on.at.raw
	}
	if on.at.refused != nil { // the answer is no, and the policy has no part in it
		v.Reason = on.at.refused.Error()
		return v, nil
	}
	q := policy.Request{Roles: on.Resolve(who), Upstream: on.at.upstream, Path: on.at.path, Method: on.method}
	d := on.Decide(q)
	if err := on.Verify(q); err != nil {
		return verdict{}, failed{err}
	}
	v.Decision = d.Effect.String()
	if d.Rule == nil {
		v.Reason = noRowMatches
		q.Roles = on.Resolve(policy.Who{Anonymous: true})
		if open := on.Decide(q); open.Allowed() {
			v.Reason += ", but " + open.Rule.Where() + " lets anybody through without a login"
		}
		return v, nil
	}
	v.Rule, v.Row = d.Rule.Where(), d.Rule.String()
	return v, nil
}

func (v verdict) yes() bool { return v.Decision == policy.Allow.String() }

func (v verdict) print(s *sheet) {
	word := s.bad("no")
	if v.yes() {
		word = s.good("yes")
	}
	why := v.Reason
	if v.Rule != "" {
		why = v.Rule + ": " + v.Row
	}
	s.line("%s  %s %s:%s  %s", word, v.Method, v.Upstream, v.Path, why)
	if v.Raw != "" {
		s.line("%s", s.faint("     "+v.Raw+" is judged as "+v.Path))
	}
}
