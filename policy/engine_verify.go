package policy

import "fmt"

// Verify holds the answer that Decide gives to one question against casbin's, and
// fails where the two differ, which is a bug. It asks an enforcer of the rows that
// match, found one by one, and a role manager of the g rows that concern these
// roles, so that a dry run need not build those of the whole policy.
func (s *Snapshot) Verify(q Request) error {
	if !s.canDecide(q) {
		return nil
	}
	if err := s.verifyRoles(q.Roles); err != nil {
		return err
	}
	e, err := newUpstreamEnforcer(q.Upstream, s.matchingRows(q.Upstream, q.Path.String(), q.Method))
	if err != nil {
		return err
	}
	fromCasbin, err := e.decide(q.Roles, q.Path.String(), q.Method)
	if err != nil {
		return err
	}
	if fromIndex := s.Decide(q); fromIndex != fromCasbin {
		return fmt.Errorf("authgate says %s and casbin %s to %s %s:%s; please report this", fromIndex, fromCasbin, q.Method, q.Upstream, q.Path)
	}
	return nil
}

// verifyRoles asks casbin whether a set of roles leads to any that it lacks.
func (s *Snapshot) verifyRoles(r Roles) error {
	var grants []grant
	for _, g := range s.grants {
		if r.has(g.member) {
			grants = append(grants, g)
		}
	}
	manager, err := newRoleManager(grants)
	if err != nil {
		return err
	}
	for _, g := range grants {
		roles, err := manager.implicitRoles(g.member)
		if err != nil {
			return err
		}
		for _, role := range roles {
			if !r.has(role) {
				return fmt.Errorf("to casbin %s leads to %s, and to authgate it does not; please report this", g.member, role)
			}
		}
	}
	return nil
}
