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
	for _, check := range []func() error{s.buildEnforcers, s.checkRoles, s.checkRows} {
		if err := check(); err != nil {
			return fmt.Errorf("the policy is sound, but casbin and authgate do not agree on it (please report this): %w", err)
		}
	}
	s.groupClasses()
	return nil
}

func (s *Snapshot) buildEnforcers() error {
	for _, upstream := range slices.Sorted(maps.Keys(s.enforcers)) {
		if _, err := s.enforcers[upstream](); err != nil {
			return err
		}
	}
	if s.otherEnforcer == nil {
		return nil
	}
	_, err := s.otherEnforcer()
	return err
}

// checkRoles asks casbin which roles each member leads to.
func (s *Snapshot) checkRoles() error {
	manager, err := newRoleManager(s.grants)
	if err != nil {
		return err
	}
	checked := stringSet{}
	for _, g := range s.grants {
		if checked.has(g.member) {
			continue
		}
		checked[g.member] = struct{}{}
		fromCasbin, err := manager.implicitRoles(g.member)
		if err != nil {
			return err
		}
		fromIndex, _ := s.ids.sortedNames(asSet(s.ids.appendClosure(nil, g.member)))
		fromIndex = slices.DeleteFunc(fromIndex, func(role string) bool { return role == g.member })
		if !slices.Equal(fromIndex, fromCasbin) {
			return fmt.Errorf("to authgate %s leads to %q, to casbin to %q", g.member, fromIndex, fromCasbin)
		}
	}
	return nil
}

// checkRows asks the index for a witness of each row, and for some of them also
// every row in turn and, of fewer, casbin's enforcer of the whole upstream.
func (s *Snapshot) checkRows() error {
	const scanned, enforced = 16, 4
	for i, row := range s.rows {
		q, err := s.exampleRequestFor(row)
		if err != nil {
			return err
		}
		if !s.hasUpstream(q.Upstream) {
			continue // a row for every upstream, and the configuration has none
		}
		d := s.index.decide(&q).Decision
		if d.Row == nil || !d.Row.matches(q.Upstream, q.Path.String(), q.Method) || row.Effect == Deny && d.Effect != Deny {
			return fmt.Errorf("%s (%s) is not in force: the index says %s", row, row.Where(), d)
		}
		if isSampled(i, len(s.rows), scanned) && d != s.decideByScan(&q) {
			return fmt.Errorf("to a witness of %s (%s) the index says %s and the rows %s", row, row.Where(), d, s.decideByScan(&q))
		}
		if isSampled(i, len(s.rows), enforced) {
			if fromCasbin, err := s.enforce(&q); err != nil || d != fromCasbin {
				return fmt.Errorf("to a witness of %s (%s) the index says %s and casbin %s (%v)", row, row.Where(), d, fromCasbin, err)
			}
		}
	}
	return nil
}

// isSampled picks some of n rows, evenly.
func isSampled(i, n, samples int) bool { return i%((n+samples-1)/samples) == 0 }

// exampleRequestFor asks for what a row surely covers.
func (s *Snapshot) exampleRequestFor(row *Row) (Request, error) {
	raw, method := row.exampleRequest()
	path, err := target.ParseWith(raw, target.AllQuirks) // which Load has checked
	if err != nil {
		return Request{}, fmt.Errorf("the witness %s of %s: %w", raw, row.Where(), err)
	}
	upstream := row.Upstream
	if upstream == anyUpstream {
		upstream = s.exampleUpstream()
	}
	return Request{Roles: newRoles(s.ids, []setWord{wordOf(s.ids.byName[row.Subject])}), Upstream: upstream, Path: path, Method: method}, nil
}

// exampleUpstream names one that rows of upstream * speak of, or none.
func (s *Snapshot) exampleUpstream() string {
	if s.otherEnforcer != nil {
		return "any"
	}
	for upstream := range s.enforcers {
		return upstream
	}
	return ""
}

// decideByScan answers from the rows themselves, one after the other.
func (s *Snapshot) decideByScan(q *Request) Decision {
	var d Decision
	for _, row := range s.matchingRows(q.Upstream, q.Path.String(), q.Method) {
		if (row.Effect == Deny || d.Row == nil) && q.Roles.has(row.Subject) {
			d = Decision{Effect: row.Effect, Row: row}
			if row.Effect == Deny {
				break
			}
		}
	}
	return d
}

// matchingRows gives the rows that cover a method on a path of an upstream.
func (s *Snapshot) matchingRows(upstream, path, method string) []*Row {
	var rows []*Row
	for _, row := range s.rows {
		if row.matches(upstream, path, method) {
			rows = append(rows, row)
		}
	}
	return rows
}

// matches reports whether a row covers a method on a path of an upstream, for
// whomever.
func (r *Row) matches(upstream, path, method string) bool {
	return (r.Upstream == upstream || r.Upstream == anyUpstream) && target.MatchPattern(path, r.Path) && matchMethod(method, r.Methods)
}

// enforce asks casbin's enforcer of the whole upstream.
func (s *Snapshot) enforce(q *Request) (Decision, error) {
	e, err := s.enforcerFor(q.Upstream)
	if err != nil {
		return Decision{}, err
	}
	return e.decide(q.Roles, q.Path.String(), q.Method)
}

// enforcerFor gives the judge of an upstream, nil where there is none.
func (s *Snapshot) enforcerFor(upstream string) (*upstreamEnforcer, error) {
	if e, named := s.enforcers[upstream]; named {
		return e()
	}
	if s.otherEnforcer == nil {
		return nil, nil
	}
	return s.otherEnforcer()
}
