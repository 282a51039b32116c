package policy

import (
	"errors"
	"time"

	"github.com/example-org/authgate/target"
)

// What casbin is given to call.
var (
	PathMatch   = matcherFunc(target.MatchPattern)
	MethodMatch = matcherFunc(MatchMethod)
)

// Holding is a user who is one subject and nothing else.
func (s *Snapshot) Holding(subject string) Roles { return s.holderOf(subject) }

// DecideWithFingerprint gives the answer of the index, and what kind of question this is.
func (s *Snapshot) DecideWithFingerprint(q Request) (Decision, uint64) {
	v := s.index.decide(&q)
	return v.Decision, v.fingerprint(&q)
}

// Enforce asks casbin's enforcer of the whole upstream.
func (s *Snapshot) Enforce(q Request) (Decision, error) { return s.enforce(&q) }

// LoseDenials makes the index forget the rows that deny.
func (s *Snapshot) LoseDenials() {
	for i := range s.index.groups {
		if g := &s.index.groups[i]; g.effect == Deny {
			g.methods = 0
		}
	}
}

// BreakCasbin makes casbin fail.
func (s *Snapshot) BreakCasbin(upstream string, panics bool) {
	s.enforcers[upstream] = func() (*upstreamEnforcer, error) {
		if panics {
			return &upstreamEnforcer{rows: s.rows}, nil // without an enforcer
		}
		return nil, errors.New("casbin is broken")
	}
}

// SlowCasbin makes casbin take its time.
func (s *Snapshot) SlowCasbin(upstream string, d time.Duration) {
	j := s.enforcers[upstream]
	s.enforcers[upstream] = func() (*upstreamEnforcer, error) {
		<-time.After(d)
		return j()
	}
}

// ForgetGrants makes the index forget which role leads to which.
func (s *Snapshot) ForgetGrants() { clear(s.ids.closure) }

// PendingChecks counts the questions that casbin was not asked yet, if CrossCheck runs.
func (s *Snapshot) PendingChecks() int { return len(s.crossCheck.Load().queue) }

// ExampleRequest is a path and a method that the row covers.
func (r *Row) ExampleRequest() (path, method string) { return r.exampleRequest() }
