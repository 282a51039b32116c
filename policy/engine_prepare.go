package policy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/example-org/authgate/target"
)

// Prepare builds casbin's enforcers, which otherwise wait for the first question
// that needs them, and holds the index against casbin as far as a moment allows:
// all roles, and a witness of each row. Whoever serves requests calls it before
// the snapshot is put in force. An error is a bug of authgate or casbin.
func (s *Snapshot) Prepare() error {
	for _, check := range []func() error{s.buildJudges, s.checkRoles, s.checkRows} {
		if err := check(); err != nil {
			return fmt.Errorf("the policy is sound, but casbin and authgate do not agree on it (please report this): %w", err)
		}
	}
	s.classes()
	return nil
}

func (s *Snapshot) buildJudges() error {
	for _, upstream := range slices.Sorted(maps.Keys(s.judges)) {
		if _, err := s.judges[upstream](); err != nil {
			return err
		}
	}
	if s.others == nil {
		return nil
	}
	_, err := s.others()
	return err
}

// checkRoles asks casbin which roles each member leads to.
func (s *Snapshot) checkRoles() error {
	h, err := newHierarchy(s.grants)
	if err != nil {
		return err
	}
	checked := subjects{}
	for _, g := range s.grants {
		if checked.has(g.member) {
			continue
		}
		checked[g.member] = struct{}{}
		theirs, err := h.above(g.member)
		if err != nil {
			return err
		}
		ours, _ := s.numbers.spelled(asSet(s.numbers.appendBrought(nil, g.member)))
		ours = slices.DeleteFunc(ours, func(role string) bool { return role == g.member })
		if !slices.Equal(ours, theirs) {
			return fmt.Errorf("to authgate %s leads to %q, to casbin to %q", g.member, ours, theirs)
		}
	}
	return nil
}

// checkRows asks the index for a witness of each row, and for some of them also
// every row in turn and, of fewer, casbin's enforcer of the whole upstream.
func (s *Snapshot) checkRows() error {
	const scanned, enforced = 16, 4
	for i, row := range s.rows {
		q, err := s.witnessOf(row)
		if err != nil {
			return err
		}
		if !s.serves(q.Upstream) {
			continue // a row for every upstream, and the configuration has none
		}
		d := s.index.decide(&q).Decision
		if d.Rule == nil || !d.Rule.speaksOf(q.Upstream, q.Path.String(), q.Method) || row.Effect == Deny && d.Effect != Deny {
			return fmt.Errorf("%s (%s) is not in force: the index says %s", row, row.Where(), d)
		}
		if among(i, len(s.rows), scanned) && d != s.scan(&q) {
			return fmt.Errorf("to a witness of %s (%s) the index says %s and the rows %s", row, row.Where(), d, s.scan(&q))
		}
		if among(i, len(s.rows), enforced) {
			if theirs, err := s.enforce(&q); err != nil || d != theirs {
				return fmt.Errorf("to a witness of %s (%s) the index says %s and casbin %s (%v)", row, row.Where(), d, theirs, err)
			}
		}
	}
	return nil
}

// among picks some of n rows, evenly.
func among(i, n, some int) bool { return i%((n+some-1)/some) == 0 }

// witnessOf asks for what a row surely covers.
func (s *Snapshot) witnessOf(row *Row) (Request, error) {
	raw, method := row.witness()
	path, err := target.ParseWith(raw, target.AllQuirks) // which Load has checked
	if err != nil {
		return Request{}, fmt.Errorf("the witness %s of %s: %w", raw, row.Where(), err)
	}
	upstream := row.Upstream
	if upstream == anyUpstream {
		upstream = s.someUpstream()
	}
	return Request{Roles: newRoles(s.numbers, []setWord{wordOf(s.numbers.ids[row.Subject])}), Upstream: upstream, Path: path, Method: method}, nil
}

// someUpstream names one that rows of upstream * speak of, or none.
func (s *Snapshot) someUpstream() string {
	if s.others != nil {
		return "any"
	}
	for upstream := range s.judges {
		return upstream
	}
	return ""
}

// scan answers from the rows themselves, one after the other.
func (s *Snapshot) scan(q *Request) Decision {
	var d Decision
	for _, row := range s.matching(q.Upstream, q.Path.String(), q.Method) {
		if (row.Effect == Deny || d.Rule == nil) && q.Roles.has(row.Subject) {
			d = Decision{Effect: row.Effect, Rule: row}
			if row.Effect == Deny {
				break
			}
		}
	}
	return d
}

// matching gives the rows that cover a method on a path of an upstream.
func (s *Snapshot) matching(upstream, path, method string) []*Row {
	var rows []*Row
	for _, row := range s.rows {
		if row.speaksOf(upstream, path, method) {
			rows = append(rows, row)
		}
	}
	return rows
}

// speaksOf reports whether a row covers a method on a path of an upstream, for
// whomever.
func (r *Row) speaksOf(upstream, path, method string) bool {
	return (r.Upstream == upstream || r.Upstream == anyUpstream) && target.MatchPattern(path, r.Path) && matchMethod(method, r.Methods)
}

// enforce asks casbin's enforcer of the whole upstream.
func (s *Snapshot) enforce(q *Request) (Decision, error) {
	j, err := s.judgeOf(q.Upstream)
	if err != nil {
		return Decision{}, err
	}
	return j.decide(q.Roles, q.Path.String(), q.Method)
}

// judgeOf gives the judge of an upstream, nil where there is none.
func (s *Snapshot) judgeOf(upstream string) (*judge, error) {
	if j, named := s.judges[upstream]; named {
		return j()
	}
	if s.others == nil {
		return nil, nil
	}
	return s.others()
}
