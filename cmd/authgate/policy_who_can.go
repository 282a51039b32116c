package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/policy"
)

func newPolicyWhoCan() *cobra.Command {
	var flags policyFlags
	var out output
	cmd := &cobra.Command{
		Use:   "who-can METHOD TARGET",
		Short: "List every subject that may",
		Long: "List every subject that may use a method on a path: roles, groups, persons and\n" +
			"everybody, each with the row that lets it in and how it comes to that row, and\n" +
			"every subject that a row denies it. Whoever is also one of the latter is refused,\n" +
			"whatever else they are. TARGET is UPSTREAM:/path or, with --config, a URL.\n" +
			"Exit code 0 says that somebody may, 1 that nobody may.",
		Example: "  authgate policy who-can --policy policy.csv POST argocd:/api/v1/applications/web/sync\n" +
			"  authgate policy who-can --config authgate.yaml GET https://argo-cd.example.com/terminal",
		Args:              arguments("METHOD", "TARGET"),
		ValidArgsFunction: offerQuestion,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			q, err := flags.question(cmd, args[0], args[1])
			if err != nil {
				return err
			}
			who, err := findWhoCan(q)
			if err != nil {
				return failed{err}
			}
			if err := out.answer(cmd, who, who.print); err != nil {
				return err
			}
			if len(who.May) == 0 {
				return errNo
			}
			return nil
		},
	}
	flags.add(cmd)
	out.add(cmd)
	return cmd
}

// whoCan is the answer of `policy who-can`.
type whoCan struct {
	Method   string   `json:"method"`
	Upstream string   `json:"upstream"`
	Path     string   `json:"path"`      // canonical
	Reason   string   `json:"reason"`    // why nobody may, where no row says so
	SignedIn bool     `json:"signed_in"` // everybody who is signed in may, but for the refused
	Anybody  bool     `json:"anybody"`   // nobody needs to sign in; whoever did, and is spoken of by no row, goes as nobody
	May      []access `json:"may"`       // every subject that may; roles first
	Refused  []access `json:"refused"`   // whoever is one of these is refused, whatever else they are
	Policy   string   `json:"policy"`    // hash
}

type access struct {
	Subject string      `json:"subject"`
	Rule    string      `json:"rule"` // file:line of the row that decides
	Row     string      `json:"row"`
	Chain   []chainLink `json:"chain"`   // g rows by which the subject comes to that of the row; empty where it needs none
	Instead string      `json:"instead"` // of the refused: file:line of the row that would let them in, or empty

	withAll bool // it comes in as everybody who is signed in does
}

func findWhoCan(on *question) (whoCan, error) {
	answer := whoCan{Method: on.method, Upstream: on.at.upstream, Path: on.at.shown, May: []access{}, Refused: []access{}, Policy: on.Hash()}
	if on.at.refused != nil {
		answer.Reason = on.at.refused.Error()
		return answer, nil
	}
	who, err := on.WhoCan(on.at.upstream, on.at.path, on.method)
	if err != nil {
		return whoCan{}, err
	}
	for _, a := range who.May {
		answer.SignedIn = answer.SignedIn || a.Subject == everySignedIn
		answer.Anybody = answer.Anybody || a.Subject == notSignedIn
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

const (
	everySignedIn = "system:authenticated"
	notSignedIn   = "system:anonymous"
)

func newAccess(a policy.Access) access {
	shown := access{Subject: a.Subject, Rule: a.Rule.Where(), Row: a.Rule.String(), Chain: newChain(a.Chain)}
	first := a.Rule.Subject
	if len(a.Chain) > 0 {
		first = a.Chain[0].Member
	}
	shown.withAll = first == everySignedIn && a.Subject != everySignedIn
	if a.Instead != nil {
		shown.Instead = a.Instead.Where()
	}
	return shown
}

func newChain(links []policy.Link) []chainLink {
	chain := []chainLink{}
	for _, link := range links {
		chain = append(chain, chainLink{link.Member, link.Role, link.Where()})
	}
	return chain
}

func (w whoCan) print(s *sheet) {
	request := w.Method + " " + w.Upstream + ":" + w.Path
	switch {
	case w.Reason != "":
		s.line("%s  %s  %s", s.bad("nobody may"), request, w.Reason)
	case len(w.May) == 0:
		s.line("%s  %s", s.bad("nobody may"), request)
	case w.Anybody:
		s.line("%s  %s  without signing in; who is signed in and in no row for this goes as nobody", s.good("anybody may"), request)
	case w.SignedIn:
		s.line("%s  %s", s.good("everybody who is signed in may"), request)
	default:
		s.line("%s  %s", s.good(plural(len(w.May), "subject")+" may"), request)
	}
	w.printMay(s)
	if len(w.Refused) > 0 {
		s.line("%s", s.bad("refused is whoever is one of these, whatever else they are"))
		printAccess(s, w.Refused)
	}
}

// printMay leaves out who comes in with everybody else.
func (w whoCan) printMay(s *sheet) {
	listed := w.May
	if w.SignedIn {
		listed = slices.DeleteFunc(slices.Clone(listed), func(a access) bool { return a.withAll })
	}
	printAccess(s, listed)
	if implied := len(w.May) - len(listed); implied > 0 {
		s.line("%s", s.faint("and "+plural(implied, "subject")+" for being signed in, which -o json lists"))
	}
}

// printAccess tells of each row, and beneath it of those for whom it decides.
func printAccess(s *sheet, list []access) {
	told := map[string]bool{}
	for _, first := range list {
		if told[first.Rule] {
			continue
		}
		told[first.Rule] = true
		s.line("  %s: %s", s.strong(first.Rule), first.Row)
		var rows [][]string
		for _, a := range list {
			if a.Rule == first.Rule {
				rows = append(rows, []string{"    " + a.Subject, a.way(s)})
			}
		}
		s.table(rows)
	}
}

func (a access) way(s *sheet) string {
	way := ""
	if len(a.Chain) > 0 {
		way = strings.TrimPrefix(heldSubject{Chain: a.Chain}.how(s), a.Subject+" ")
	}
	if a.Instead != "" {
		way = strings.TrimLeft(way+"  "+s.faint("although "+a.Instead+" allows it"), " ")
	}
	return way
}
