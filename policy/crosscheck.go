package policy

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/target"
)

const (
	seenBits         = 14
	maxPendingChecks = 256
	restRatio        = 4 // so that checking takes no more than a fifth of a processor
)

// Disagreement is a request to which index and casbin give different answers, or
// casbin none. It is a bug of either.
type Disagreement struct {
	Request       Request
	Index, Casbin Decision
	Err           error // why casbin has no answer
}

// crossCheck remembers which requests casbin was asked about, and queues those that it
// will be asked about. Requests write to it without waiting for each other or for casbin.
type crossCheck struct {
	seen  [1 << seenBits]atomic.Uint64 // fingerprints; a newer one replaces an older one
	queue chan pendingCheck
}

type pendingCheck struct {
	request  Request
	decision Decision // of the index
}

// enqueue puts a request in the queue if it is the first of its kind. Where the queue is
// full, the next request of its kind is put in.
func (c *crossCheck) enqueue(q *Request, v indexDecision) {
	key := v.fingerprint(q)
	slot := &c.seen[key>>(64-seenBits)]
	if slot.Load() == key {
		return
	}
	select {
	case c.queue <- pendingCheck{*q, v.Decision}:
		slot.Store(key)
	default:
	}
}

// fingerprint is a fingerprint of a request as far as its decision depends on it. It is
// never 0, which is a free slot.
func (d indexDecision) fingerprint(q *Request) uint64 {
	return mixHash(d.matchHash, q.Roles.set.fingerprint) | 1
}

// CrossCheck compares with casbin, until ctx ends, what Decide answered to the first
// request of each kind: kinds differ in subjects, upstream, method
// and the patterns that match the path. It reports each difference and demotes the
// snapshot. Without CrossCheck, nothing is compared while requests are served.
//
// It takes about a fifth of a processor at most, and runs in the caller's
// goroutine, as report does.
func (s *Snapshot) CrossCheck(ctx context.Context, report func(Disagreement)) {
	s.crossCheck.CompareAndSwap(nil, &crossCheck{queue: make(chan pendingCheck, maxPendingChecks)})
	queue := s.crossCheck.Load().queue
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		select {
		case <-ctx.Done():
			return
		case check := <-queue:
			started := time.Now()
			if found := s.compare(&check.request, check.decision); found != nil {
				s.demoted.Store(true)
				report(*found)
			}
			timer.Reset(restRatio * time.Since(started))
		}
	}
}

// Demoted reports whether index and casbin have disagreed. Each request then waits
// for casbin, and those are denied on which they do not agree.
func (s *Snapshot) Demoted() bool { return s.demoted.Load() }

// decideStrict admits a request only where casbin agrees with the index.
func (s *Snapshot) decideStrict(q *Request, fromIndex Decision) Decision {
	if s.compare(q, fromIndex) != nil {
		return Decision{disputed: true}
	}
	return fromIndex
}

// compare asks casbin for a decision of the index. It returns nil where both agree on
// effect and row. Every comparison of requests goes through here: at load, in the
// background, and of a demoted snapshot.
func (s *Snapshot) compare(q *Request, fromIndex Decision) *Disagreement {
	fromCasbin, err := s.enforce(q)
	if err == nil && fromCasbin == fromIndex {
		return nil
	}
	return &Disagreement{*q, fromIndex, fromCasbin, err}
}

// Prepare builds casbin's enforcers, which are otherwise built when first needed, and
// compares the index with casbin in short: all roles, and an example of each row. A server
// calls it before the snapshot is in force. An error is a bug of authgate or casbin. It takes
// all processors: what it checks is not written to, and a user waits.
func (s *Snapshot) Prepare() error {
	first, more := s.enforcerChecks()
	checks := slices.Concat(first, []func() error{s.checkRows, s.checkRoles}, more)
	if err := runConcurrently(checks); err != nil {
		return fmt.Errorf("the policy is sound, but casbin and authgate do not agree on it (please "+
			"report this): %w", err)
	}
	s.groupClasses()
	return nil
}

// runConcurrently runs checks, as many at a time as there are processors, and gives the error
// of the first one that fails, in their order.
func runConcurrently(checks []func() error) error {
	errs := make([]error, len(checks))
	var begun atomic.Int64
	var running sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(checks)) {
		running.Go(func() {
			for i := begun.Add(1) - 1; i < int64(len(checks)); i = begun.Add(1) - 1 {
				errs[i] = checks[i]()
			}
		})
	}
	running.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// enforcerChecks ask casbin's enforcer of each upstream for an example of its first row, since
// an unknown function or field shows itself only when casbin is first asked, and for more of all
// rows.
func (s *Snapshot) enforcerChecks() (first, more []func() error) {
	for _, upstream := range slices.Sorted(maps.Keys(s.enforcers)) {
		first = append(first, func() error { return s.checkEnforcer(upstream) })
	}
	if s.otherEnforcer != nil {
		first = append(first, func() error { return s.checkEnforcer(s.unnamedUpstream()) })
	}
	const samples = 4
	for i, row := range s.rows {
		if i > 0 && isSampled(i, len(s.rows), samples) { // the very first is the first of its enforcer
			more = append(more, func() error { return s.checkAgainstCasbin(row, s.upstreamFor(row)) })
		}
	}
	return first, more
}

// checkEnforcer builds an enforcer and asks it for an example of its first row.
func (s *Snapshot) checkEnforcer(upstream string) error {
	e, err := s.enforcerFor(upstream)
	if err != nil || e == nil {
		return err
	}
	return s.checkAgainstCasbin(e.rows[0], upstream)
}

// checkAgainstCasbin compares the index with casbin's enforcer of the whole upstream, for an
// example of a row.
func (s *Snapshot) checkAgainstCasbin(row *Row, upstream string) error {
	q, err := exampleRequestFor(row, upstream, s.holderOf(row.Subject))
	if err != nil || !s.hasUpstream(upstream) {
		return err
	}
	d := s.index.decide(&q).Decision
	if found := s.compare(&q, d); found != nil {
		return fmt.Errorf("for an example of %s (%s) the index says %s and casbin %s (%v)", row, row.Where(), d,
			found.Casbin, found.Err)
	}
	return nil
}

// checkRoles asks casbin which roles each member leads to.
func (s *Snapshot) checkRoles() error {
	manager, err := newRoleManager(s.grants)
	if err != nil {
		return err
	}
	checked := StringSet{}
	for _, g := range s.grants {
		if checked.Has(g.Member) {
			continue
		}
		checked[g.Member] = struct{}{}
		fromCasbin, err := manager.implicitRoles(g.Member)
		if err != nil {
			return err
		}
		fromIndex, _ := s.ids.sortedNames(asSet(s.ids.appendClosure(nil, g.Member)))
		fromIndex = slices.DeleteFunc(fromIndex, func(role string) bool { return role == g.Member })
		if !slices.Equal(fromIndex, fromCasbin) {
			return fmt.Errorf("to authgate %s leads to %q, to casbin to %q", g.Member, fromIndex, fromCasbin)
		}
	}
	return nil
}

// checkRows asks the index for an example of each row, and for some of them also
// every row in turn.
func (s *Snapshot) checkRows() error {
	const scanned = 16
	holders := make(map[string]Roles) // of a subject; many rows have the same
	for i, row := range s.rows {
		roles, known := holders[row.Subject]
		if !known {
			roles = s.holderOf(row.Subject)
			holders[row.Subject] = roles
		}
		q, err := exampleRequestFor(row, s.upstreamFor(row), roles)
		if err != nil {
			return err
		}
		if !s.hasUpstream(q.Upstream) {
			continue // a row for every upstream, and the configuration has none
		}
		d := s.index.decide(&q).Decision
		if d.Row == nil || !d.Row.matches(q.Upstream, q.Path.String(), q.Method) ||
			row.Effect == Deny && d.Effect != Deny {
			return fmt.Errorf("%s (%s) is not in force: the index says %s", row, row.Where(), d)
		}
		if isSampled(i, len(s.rows), scanned) && d != s.decideByScan(&q) {
			return fmt.Errorf("for an example of %s (%s) the index says %s and the rows %s", row, row.Where(), d,
				s.decideByScan(&q))
		}
	}
	return nil
}

// isSampled picks some of n rows, evenly.
func isSampled(i, n, samples int) bool { return i%((n+samples-1)/samples) == 0 }

// holderOf is a user who is one subject of a row and nothing else.
func (s *Snapshot) holderOf(subject string) Roles {
	return newRoles(s.ids, []setWord{wordOf(s.ids.byName[subject])})
}

// exampleRequestFor asks for what a row surely covers.
func exampleRequestFor(row *Row, upstream string, roles Roles) (Request, error) {
	raw, method := row.exampleRequest()
	path, err := target.ParseWith(raw, target.AllQuirks) // which Load has checked
	if err != nil {
		return Request{}, fmt.Errorf("the example %s of %s: %w", raw, row.Where(), err)
	}
	return Request{Roles: roles, Upstream: upstream, Path: path, Method: method}, nil
}

// upstreamFor names an upstream that a row is about. Where there is none, the name is empty.
func (s *Snapshot) upstreamFor(row *Row) string {
	switch {
	case row.Upstream != AnyUpstream:
		return row.Upstream
	case s.otherEnforcer != nil:
		return s.unnamedUpstream()
	}
	for upstream := range s.enforcers {
		return upstream
	}
	return ""
}

// unnamedUpstream gives an upstream that no row names.
func (s *Snapshot) unnamedUpstream() string {
	name := "any"
	for s.enforcers[name] != nil {
		name += "-other"
	}
	return name
}

// decideByScan answers from the rows themselves, one after the other.
func (s *Snapshot) decideByScan(q *Request) Decision {
	var d Decision
	for _, row := range s.rows {
		if (row.Effect == Deny || d.Row == nil) && q.Roles.Has(row.Subject) &&
			row.matches(q.Upstream, q.Path.String(), q.Method) {
			d = Decision{Effect: row.Effect, Row: row}
			if row.Effect == Deny {
				break
			}
		}
	}
	return d
}

// Verify compares the answer that Decide gives to one request with casbin's, and fails
// where the two differ, which is a bug. It asks an enforcer of the rows that
// match, found one by one, and a role manager of the g rows that concern these
// roles, so that a dry run need not build those of the whole policy.
func (s *Snapshot) Verify(q Request) error {
	if !s.CanDecide(q) {
		return nil
	}
	if err := s.verifyRoles(q.Roles); err != nil {
		return err
	}
	e, err := newUpstreamEnforcer(q.Upstream, s.MatchingRows(q.Upstream, q.Path.String(), q.Method))
	if err != nil {
		return err
	}
	if err := e.selfTest(); err != nil {
		return err
	}
	fromCasbin, err := e.decide(q.Roles, q.Path.String(), q.Method)
	if err != nil {
		return err
	}
	if fromIndex := s.Decide(q); fromIndex != fromCasbin {
		return fmt.Errorf("authgate says %s and casbin %s to %s %s:%s; please report this", fromIndex, fromCasbin,
			q.Method, q.Upstream, q.Path)
	}
	return nil
}

// verifyRoles asks casbin whether a set of roles leads to any that it lacks.
func (s *Snapshot) verifyRoles(r Roles) error {
	var grants []Grant
	for _, g := range s.grants {
		if r.Has(g.Member) {
			grants = append(grants, g)
		}
	}
	manager, err := newRoleManager(grants)
	if err != nil {
		return err
	}
	for _, g := range grants {
		roles, err := manager.implicitRoles(g.Member)
		if err != nil {
			return err
		}
		for _, role := range roles {
			if !r.Has(role) {
				return fmt.Errorf("to casbin %s leads to %s, and to authgate it does not; please report this", g.Member,
					role)
			}
		}
	}
	return nil
}
