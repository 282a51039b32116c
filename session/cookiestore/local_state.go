package cookiestore

import (
	"container/list"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

const (
	maxSessionStates = 1 << 15  // sessions of which one process knows more than their cookies say
	maxStateBytes    = 32 << 20 // of refreshed sessions among them
	maxRevocations   = 4096

	maxVersion  = 1 << 53
	allVersions = math.MaxUint64 // versions

	// tombstoneTTL is how long an expired session is remembered, for clocks that are set
	// back.
	tombstoneTTL = time.Hour
)

// sessionState is what a process knows of a session in addition to its cookies. Requests
// read its atomic fields without a lock.
type sessionState struct {
	of knownSession // under the lock of sessionStates

	evicted      atomic.Bool             // forgotten: get another one
	newest       atomic.Pointer[version] // nil: no newer one than the browser's
	acked        atomic.Bool             // the browser has sent the newest
	endedVersion atomic.Uint64           // versions up to this one have ended
	replaced     atomic.Bool             // the browser has another session
	lastUsed     atomic.Int64            // last use, Unix nanoseconds

	writtenAt      atomic.Int64 // when the browser was last sent a cookie, Unix nanoseconds
	writtenVersion atomic.Uint64

	list    *list.List
	element *list.Element
}

// knownSession is a session without groups and tokens. Of one that was only revoked, it has the ID.
type knownSession struct {
	id, issuerSession      string
	issuer, subject, email string
	createdAt, expires     time.Time
}

// full reports whether more than the ID is known.
func (k *knownSession) full() bool { return !k.createdAt.IsZero() }

func (k *knownSession) session() session.Session {
	s := session.Session{ID: k.id, CreatedAt: k.createdAt, Expires: k.expires}
	s.SessionID = k.issuerSession
	s.Principal = identity.Principal{Issuer: k.issuer, Subject: k.subject, Email: k.email}
	return s
}

// localState is what this process knows of a session that its store gave; nil: nothing.
func localState(s *session.Session) *sessionState {
	state, _ := s.Cookie.Local.(*sessionState)
	return state
}

// version is a session after one refresh. It is immutable.
type version struct {
	number  uint64
	session session.Session
	size    int64
}

// sessionStates are the sessions that this process has seen. It remembers ended ones
// longest, then those whose newest version the browser does not have: with that a refresh
// token would be lost. It is safe for concurrent use.
type sessionStates struct {
	mu   sync.Mutex
	byID map[string]*sessionState

	seen, acked, pending, ended list.List // each with the oldest first
	bytes                       int64

	revocations  []revocation
	allRevokedAt time.Time // sessions created up to then have ended
}

// revocation ends sessions that this process has not seen yet.
type revocation struct {
	filter session.Filter
	at     time.Time
}

func newSessionStates() *sessionStates { return &sessionStates{byID: make(map[string]*sessionState)} }

// get gives the state of a valid session.
func (states *sessionStates) get(s *session.Session, now time.Time) *sessionState {
	states.mu.Lock()
	defer states.mu.Unlock()
	return states.getLocked(s, now)
}

func (states *sessionStates) getLocked(s *session.Session, now time.Time) *sessionState {
	state := states.byID[s.ID]
	if state == nil {
		state = new(sessionState)
		states.add(s.ID, state)
	}
	if !state.of.full() {
		state.of = knownSession{
			id: s.ID, issuerSession: s.SessionID, createdAt: s.CreatedAt, expires: s.Expires,
			issuer: s.Principal.Issuer, subject: s.Principal.Subject, email: s.Principal.Email,
		}
		if states.isRevoked(s, now) {
			states.endLocked(state, allVersions)
		}
	}
	session.RaiseTime(&state.lastUsed, min(s.LastUsed.UnixNano(), now.UnixNano())) // a use in the future counts as now
	return state
}

func (states *sessionStates) add(id string, state *sessionState) {
	states.byID[id] = state
	state.of.id = id
	states.relink(state)
	for len(states.byID) > maxSessionStates {
		states.evictOldest(&states.seen, &states.acked, &states.pending, &states.ended)
	}
}

// relink moves a state to the end of the list where it belongs.
func (states *sessionStates) relink(state *sessionState) {
	if state.list != nil {
		state.list.Remove(state.element)
	}
	switch {
	case state.newest.Load() == nil && state.endedVersion.Load() > 0:
		state.list = &states.ended
	case state.newest.Load() == nil:
		state.list = &states.seen
	case state.acked.Load():
		state.list = &states.acked
	default:
		state.list = &states.pending
	}
	state.element = state.list.PushBack(state)
}

func (states *sessionStates) evictOldest(from ...*list.List) {
	for _, each := range from {
		if first := each.Front(); first != nil {
			states.evict(first.Value.(*sessionState)) //nolint:forcetypeassert // nothing else is put in
			return
		}
	}
}

func (states *sessionStates) evict(state *sessionState) {
	delete(states.byID, state.of.id)
	state.list.Remove(state.element)
	states.setNewest(state, nil)
	state.evicted.Store(true)
}

// setNewest replaces the newest version.
func (states *sessionStates) setNewest(state *sessionState, v *version) {
	if old := state.newest.Swap(v); old != nil {
		states.bytes -= old.size
	}
	if v != nil {
		states.bytes += v.size
	}
}

// setVersion stores a new version of a session, unless that has ended meanwhile.
func (states *sessionStates) setVersion(
	s session.Session, number uint64, now time.Time,
) (state *sessionState, ok bool) {
	v := &version{number: number, session: s, size: memorySize(&s) + int64(unsafe.Sizeof(version{}))}
	states.mu.Lock()
	defer states.mu.Unlock()
	state = states.getLocked(&s, now)
	if state.endedVersion.Load() >= number {
		return state, false
	}
	if cached := state.newest.Load(); cached != nil && cached.number > number {
		return state, true
	}
	states.setNewest(state, v)
	state.acked.Store(false)
	states.relink(state)
	for states.bytes > maxStateBytes && states.acked.Len()+states.pending.Len() > 1 {
		states.evictOldest(&states.acked, &states.pending)
	}
	return state, true
}

// ack records that the browser has sent a version.
func (states *sessionStates) ack(state *sessionState, number uint64) {
	states.mu.Lock()
	defer states.mu.Unlock()
	v := state.newest.Load()
	if v == nil || v.number > number || state.evicted.Load() {
		return
	}
	if v.number < number { // another replica has refreshed it
		states.setNewest(state, nil)
	}
	state.acked.Store(true)
	states.relink(state)
}

// endVersions ends the versions of a session up to one. A later one is of another replica,
// whose refresh token was valid.
func (states *sessionStates) endVersions(s *session.Session, upTo uint64, now time.Time) {
	states.mu.Lock()
	defer states.mu.Unlock()
	states.endLocked(states.getLocked(s, now), upTo)
}

func (states *sessionStates) endLocked(state *sessionState, upTo uint64) {
	state.endedVersion.Store(max(state.endedVersion.Load(), upTo))
	if v := state.newest.Load(); v != nil && v.number <= upTo {
		states.setNewest(state, nil)
	}
	states.relink(state)
}

// revoke ends sessions, including those seen later, and gives how many it knew.
func (states *sessionStates) revoke(filter session.Filter, now time.Time) int {
	if filter == (session.Filter{}) || len(filter.ID) > maxID {
		return 0
	}
	states.mu.Lock()
	defer states.mu.Unlock()
	ended := 0
	for _, state := range states.matching(filter) {
		known := state.of.session()
		if !state.of.full() || !filter.Matches(known) {
			continue
		}
		if state.endedVersion.Load() != allVersions && !known.Expired(now) {
			ended++
		}
		states.endLocked(state, allVersions)
	}
	switch {
	case filter == (session.Filter{All: true}):
		states.allRevokedAt, states.revocations = now, nil
	case filter == (session.Filter{ID: filter.ID}):
		if states.byID[filter.ID] == nil {
			state := new(sessionState)
			state.endedVersion.Store(allVersions)
			states.add(filter.ID, state)
		}
	default:
		states.revocations = append(states.revocations, revocation{filter, now})
		if excess := len(states.revocations) - maxRevocations; excess > 0 { // too many new logins are better than one too few
			states.allRevokedAt = states.revocations[excess-1].at
			states.revocations = append([]revocation(nil), states.revocations[excess:]...)
		}
	}
	return ended
}

// list gives the known sessions, without groups and tokens.
func (states *sessionStates) list(filter session.Filter) (found []session.Session) {
	states.mu.Lock()
	defer states.mu.Unlock()
	for _, state := range states.matching(filter) {
		if known := state.of.session(); state.of.full() && filter.Matches(known) {
			found = append(found, known)
		}
	}
	return found
}

func (states *sessionStates) matching(filter session.Filter) map[string]*sessionState {
	if filter.ID == "" {
		return states.byID
	}
	if state := states.byID[filter.ID]; state != nil {
		return map[string]*sessionState{filter.ID: state}
	}
	return nil
}

// isRevoked: a session that was created in the future was created before a clock was set
// back, at an unknown time.
func (states *sessionStates) isRevoked(s *session.Session, now time.Time) bool {
	ahead := s.CreatedAt.After(now.Add(session.MaxClockSkew))
	if !states.allRevokedAt.IsZero() && (ahead || !s.CreatedAt.After(states.allRevokedAt)) {
		return true
	}
	for _, r := range states.revocations {
		if r.filter.Matches(*s) && (ahead || !s.CreatedAt.After(r.at)) {
			return true
		}
	}
	return false
}

// prune forgets expired sessions.
func (states *sessionStates) prune(now time.Time) {
	states.mu.Lock()
	defer states.mu.Unlock()
	for _, state := range states.byID {
		if state.of.full() && state.of.session().Expired(now.Add(-tombstoneTTL)) {
			states.evict(state)
		}
	}
}
