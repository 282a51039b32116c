package main

import (
	"cmp"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/policy"
)

func newPolicyCan() *cobra.Command {
	var flags policyFlags
	var out output
	var who whoFlags
	var quiet bool
	cmd := &cobra.Command{
		Use:   "can WHO METHOD TARGET",
		Short: "Say whether somebody may, and which row decided",
		Long: "Say whether somebody may use a method on a path, and which row decided.\n" +
			"WHO is --group, --user, --role or --anonymous. TARGET is UPSTREAM:/path or,\n" +
			"with --config, a URL. Exit code 0 is yes, 1 is no.",
		Example: "  authgate policy can --policy policy.csv --group example-org:argo POST argocd:/api/v1/applications/web/sync\n" +
			"  authgate policy can --config authgate.yaml --anonymous GET https://argo-cd.example.com/api/dex/keys",
		Args:              arguments("METHOD", "TARGET"),
		ValidArgsFunction: offerQuestion,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cmp.Or(who.check(), out.check()); err != nil {
				return err
			}
			q, err := flags.question(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			verdict, err := ask(q, who.who)
			if err != nil {
				return err
			}
			if !quiet {
				if err := out.answer(cmd, verdict, verdict.print); err != nil {
					return err
				}
			}
			if !verdict.yes() {
				return errNo
			}
			return nil
		},
	}
	flags.add(cmd)
	who.add(cmd)
	out.add(cmd)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing, answer by the exit code alone")
	return cmd
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
		v.Reason = on.unmatched(on.at.upstream)
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
