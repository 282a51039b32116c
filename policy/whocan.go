package policy

import "github.com/example-org/authgate/target"

// WhoCan is every subject that may use a method on a path, and every one that a
// row denies it.
type WhoCan struct {
	May     []Access
	Refused []Access // whoever is one of these is refused, whatever else they are
}

// Access is what the policy says to somebody who is one subject, with what it
// brings, and nothing else.
type Access struct {
	Subject string
	Rule    *Row   // the row that decides
	Chain   []Link // how the subject comes to that of the row
	Instead *Row   // of the refused: the row that would let them in, if none denied; may be nil
}

// WhoCan asks for every subject that the policy names. The lists are complete:
// whoever may is at least one of those in May, and none in Refused; only where
// system:anonymous is in May, people of whom no row speaks go as nobody.
//
// Casbin is asked about one subject for each of the first rows that decide; the
// error says that it answers otherwise, which is a bug.
func (s *Snapshot) WhoCan(upstream string, path target.Path, method string) (WhoCan, error) {
	const verified = 8 // rows; each costs about a millisecond
	var who WhoCan
	deciding := map[*Row]bool{}
	ways := newWays(s.grants)
	rows := s.matching(upstream, path.String(), method)
	for _, subject := range namesOf(nil, s) {
		roles := s.alone(subject)
		q := Request{roles, upstream, path, method}
		d := s.Decide(q)
		if d.Rule == nil {
			continue
		}
		if !deciding[d.Rule] && len(deciding) < verified {
			deciding[d.Rule] = true
			if err := s.Verify(q); err != nil {
				return WhoCan{}, err
			}
		}
		a := Access{Subject: subject, Rule: d.Rule, Chain: ways.from(startsOf(subject)).to(d.Rule.Subject)}
		if d.Allowed() {
			who.May = append(who.May, a)
			continue
		}
		for _, row := range rows {
			if row.Effect == Allow && roles.has(row.Subject) {
				a.Instead = row
				break
			}
		}
		who.Refused = append(who.Refused, a)
	}
	return who, nil
}
