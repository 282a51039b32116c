package session

import (
	"container/list"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	mostLives     = 1 << 15  // sessions that one process knows more of than their cookies say
	mostLifeBytes = 32 << 20 // of renewed sessions among them
	mostRules     = 4096

	maxVersion = 1 << 53
	allOfThem  = math.MaxUint64 // versions

	// keptOver is how much longer than its end a session is known, for clocks that
	// are set back.
	keptOver = time.Hour
)

// life is what a process knows of a session beside what its cookies say. Its
// atomic parts are read by requests, without a lock.
type life struct {
	about Session // who and when, without groups and tokens; under the lock of lives

	gone      atomic.Bool             // forgotten: whoever holds it asks for another
	newest    atomic.Pointer[version] // nil: no newer one than the browser's
	confirmed atomic.Bool             // the browser has shown the newest
	ended     atomic.Uint64           // versions up to this one are over
	replaced  atomic.Bool             // the browser has been given another session
	used      atomic.Int64            // last use, Unix nanoseconds

	given        atomic.Int64 // when the browser was last given a cookie, likewise
	givenVersion atomic.Uint64

	in *list.List
	at *list.Element
}

// version is a session as one renewal left it. It is immutable.
type version struct {
	number  uint64
	session Session
	size    int64
}

// lives are the sessions that this process has seen. What is over is remembered
// longest, then what the browser has not been given yet: with that a refresh token
// would be lost. It is safe for concurrent use.
type lives struct {
	mu   sync.Mutex
	byID map[string]*life

	known, confirmed, owed, over list.List // each with the oldest first
	bytes                        int64

	revoked []rule
	all     time.Time // sessions begun up to then are over
}

// rule ends sessions that this process has not seen yet.
type rule struct {
	which Which
	at    time.Time
}

func newLives() *lives { return &lives{byID: make(map[string]*life)} }

// of gives the life of a session that has opened.
func (ls *lives) of(s *Session, now time.Time) *life {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.find(s, now)
}

func (ls *lives) find(s *Session, now time.Time) *life {
	l := ls.byID[s.ID]
	if l == nil {
		l = new(life)
		ls.add(s.ID, l)
	}
	if l.about.Begun.IsZero() {
		l.about = Session{ID: s.ID, Begun: s.Begun, Expires: s.Expires}
		l.about.Session = s.Session
		l.about.Principal.Issuer, l.about.Principal.Subject, l.about.Principal.Email = s.Principal.Issuer, s.Principal.Subject, s.Principal.Email
		if ls.isRevoked(s, now) {
			ls.end(l, allOfThem)
		}
	}
	later(&l.used, min(s.Seen.UnixNano(), now.UnixNano())) // what was used in the future was used now at the latest
	return l
}

func (ls *lives) add(id string, l *life) {
	ls.byID[id] = l
	l.about.ID = id
	ls.sort(l)
	for len(ls.byID) > mostLives {
		ls.forgetOldest(&ls.known, &ls.confirmed, &ls.owed, &ls.over)
	}
}

// sort puts a life into the list where it belongs, as the latest.
func (ls *lives) sort(l *life) {
	if l.in != nil {
		l.in.Remove(l.at)
	}
	switch {
	case l.newest.Load() == nil && l.ended.Load() > 0:
		l.in = &ls.over
	case l.newest.Load() == nil:
		l.in = &ls.known
	case l.confirmed.Load():
		l.in = &ls.confirmed
	default:
		l.in = &ls.owed
	}
	l.at = l.in.PushBack(l)
}

func (ls *lives) forgetOldest(from ...*list.List) {
	for _, each := range from {
		if first := each.Front(); first != nil {
			ls.forget(first.Value.(*life)) //nolint:forcetypeassert // nothing else is put in
			return
		}
	}
}

func (ls *lives) forget(l *life) {
	delete(ls.byID, l.about.ID)
	l.in.Remove(l.at)
	ls.weigh(l, nil)
	l.gone.Store(true)
}

// weigh puts another version in the place of the newest.
func (ls *lives) weigh(l *life, v *version) {
	if old := l.newest.Swap(v); old != nil {
		ls.bytes -= old.size
	}
	if v != nil {
		ls.bytes += v.size
	}
}

// renew remembers a new version of a session, unless that is over meanwhile.
func (ls *lives) renew(s Session, number uint64, now time.Time) (l *life, ok bool) {
	v := &version{number: number, session: s, size: weigh(&s) + int64(unsafe.Sizeof(version{}))}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l = ls.find(&s, now)
	if l.ended.Load() >= number {
		return l, false
	}
	if have := l.newest.Load(); have != nil && have.number > number {
		return l, true
	}
	ls.weigh(l, v)
	l.confirmed.Store(false)
	ls.sort(l)
	for ls.bytes > mostLifeBytes && ls.confirmed.Len()+ls.owed.Len() > 1 {
		ls.forgetOldest(&ls.confirmed, &ls.owed)
	}
	return l, true
}

// confirm notes that the browser has shown a version.
func (ls *lives) confirm(l *life, number uint64) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	v := l.newest.Load()
	if v == nil || v.number > number || l.gone.Load() {
		return
	}
	if v.number < number { // another replica has renewed it
		ls.weigh(l, nil)
	}
	l.confirmed.Store(true)
	ls.sort(l)
}

// refuse ends the versions of a session up to one: a later one is of another
// replica, whose refresh token was good.
func (ls *lives) refuse(s *Session, upTo uint64, now time.Time) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.end(ls.find(s, now), upTo)
}

func (ls *lives) end(l *life, upTo uint64) {
	l.ended.Store(max(l.ended.Load(), upTo))
	if v := l.newest.Load(); v != nil && v.number <= upTo {
		ls.weigh(l, nil)
	}
	ls.sort(l)
}

// revoke ends sessions, those that come later included, and says how many it knew.
func (ls *lives) revoke(which Which, now time.Time) int {
	if which == (Which{}) || len(which.ID) > maxID {
		return 0
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ended := 0
	for _, l := range ls.selected(which) {
		if l.about.Begun.IsZero() || !agrees(l.about, which) {
			continue
		}
		if l.ended.Load() != allOfThem && !l.about.Over(now) {
			ended++
		}
		ls.end(l, allOfThem)
	}
	switch {
	case which == (Which{All: true}):
		ls.all, ls.revoked = now, nil
	case which == (Which{ID: which.ID}):
		if ls.byID[which.ID] == nil {
			l := new(life)
			l.ended.Store(allOfThem)
			ls.add(which.ID, l)
		}
	default:
		ls.revoked = append(ls.revoked, rule{which, now})
		if over := len(ls.revoked) - mostRules; over > 0 { // rather too many log in again than one too few
			ls.all = ls.revoked[over-1].at
			ls.revoked = append([]rule(nil), ls.revoked[over:]...)
		}
	}
	return ended
}

// list gives the sessions that are known, without groups and tokens.
func (ls *lives) list(which Which) (found []Session) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.selected(which) {
		if !l.about.Begun.IsZero() && agrees(l.about, which) {
			found = append(found, l.about)
		}
	}
	return found
}

func (ls *lives) selected(which Which) map[string]*life {
	if which.ID == "" {
		return ls.byID
	}
	if l := ls.byID[which.ID]; l != nil {
		return map[string]*life{which.ID: l}
	}
	return nil
}

// isRevoked: what began in the future began before a clock was set back, and
// nobody knows when.
func (ls *lives) isRevoked(s *Session, now time.Time) bool {
	ahead := s.Begun.After(now.Add(maxSkew))
	if !ls.all.IsZero() && (ahead || !s.Begun.After(ls.all)) {
		return true
	}
	for _, r := range ls.revoked {
		if agrees(*s, r.which) && (ahead || !s.Begun.After(r.at)) {
			return true
		}
	}
	return false
}

// prune forgets sessions that have expired.
func (ls *lives) prune(now time.Time) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.byID {
		if !l.about.Begun.IsZero() && l.about.Over(now.Add(-keptOver)) {
			ls.forget(l)
		}
	}
}
