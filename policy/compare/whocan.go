package compare

import (
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/pathspace"
	"github.com/example-org/authgate/target"
)

// NewWhoCan is every subject that may use a method on a path, and every one that a
// row denies it.
type WhoCan struct {
	May     []Access
	Refused []Access // users who are one of these are denied, even if another row allows them
}

// Access is what the policy says of a user who is one subject, with what it
// brings, and nothing else.
type Access struct {
	Subject       string
	Row           *policy.Row   // the row that decides
	Chain         []policy.Link // how the subject comes to hold that of the row
	OverriddenRow *policy.Row   // of the refused: the row that would let them in, if none denied; may be nil
}

// NewWhoCan asks for every subject that the policy names. The lists are complete:
// every permitted user is at least one of those in May, and none in Refused; only where
// system:anonymous is in May, users that no row mentions are treated as anonymous.
//
// Casbin is asked about one subject for each of the first rows that decide; the
// error says that it answers otherwise, which is a bug.
func NewWhoCan(s *policy.Snapshot, upstream string, path target.Path, method string) (WhoCan, error) {
	const verified = 8 // rows; each costs about a millisecond
	var result WhoCan
	deciding := map[*policy.Row]bool{}
	graph := policy.NewRoleGraph(s.Grants())
	rows := s.MatchingRows(upstream, path.String(), method)
	for _, subject := range pathspace.SubjectNames(nil, s) {
		roles := s.RolesOfSubject(subject)
		q := policy.Request{Roles: roles, Upstream: upstream, Path: path, Method: method}
		d := s.Decide(q)
		if d.Row == nil {
			continue
		}
		if !deciding[d.Row] && len(deciding) < verified {
			deciding[d.Row] = true
			if err := s.Verify(q); err != nil {
				return WhoCan{}, err
			}
		}
		a := Access{
			Subject: subject, Row: d.Row,
			Chain: graph.ImplicitRoles(policy.DirectSubjectsOf(subject)).ChainTo(d.Row.Subject),
		}
		if d.Allowed() {
			result.May = append(result.May, a)
			continue
		}
		for _, row := range rows {
			if row.Effect == policy.Allow && roles.Has(row.Subject) {
				a.OverriddenRow = row
				break
			}
		}
		result.Refused = append(result.Refused, a)
	}
	return result, nil
}
