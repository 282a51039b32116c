package cookiestore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

var eight = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func sessionOf(id string) *session.Session {
	return &session.Session{
		TokenSet: identity.TokenSet{Principal: identity.Principal{Issuer: "i", Subject: "of " + id}},
		ID:       id, CreatedAt: eight, Expires: eight.Add(12 * time.Hour), LastUsed: eight,
	}
}

func (ls *sessionStates) check(t *testing.T) {
	t.Helper()
	bytes := int64(0)
	for id, l := range ls.byID {
		if v := l.newest.Load(); v != nil {
			bytes += v.size
		}
		if l.evicted.Load() || l.of.id != id {
			t.Errorf("%s is gone, or another", id)
		}
	}
	listed := ls.seen.Len() + ls.acked.Len() + ls.pending.Len() + ls.ended.Len()
	if bytes != ls.bytes || listed != len(ls.byID) || listed > maxSessionStates || bytes > maxStateBytes {
		t.Errorf("%d of %d are listed, %d bytes counted as %d", listed, len(ls.byID), bytes, ls.bytes)
	}
}

func TestWhatHasEndedIsRememberedLongerThanWhatIsMerelyKnown(t *testing.T) {
	t.Parallel()
	ls := newSessionStates()
	ended, pending, confirmed, known := sessionOf("ended"), sessionOf("pending"), sessionOf("confirmed"), sessionOf("known")
	ls.get(ended, eight)
	first := ls.get(known, eight)
	ls.revoke(session.Filter{ID: "ended"}, eight)
	ls.revoke(session.Filter{ID: "not seen yet"}, eight)
	for _, s := range []*session.Session{pending, confirmed} {
		if _, ok := ls.setVersion(*s, 2, eight); !ok {
			t.Fatal(s.ID)
		}
	}
	ls.ack(ls.byID["confirmed"], 2)
	for i := range maxSessionStates {
		ls.get(sessionOf(fmt.Sprint(i)), eight)
	}
	ls.check(t)
	for id, kept := range map[string]bool{"ended": true, "pending": true, "confirmed": true, "known": false, "not seen yet": true} {
		if (ls.byID[id] != nil) != kept {
			t.Errorf("%s: kept %v", id, !kept)
		}
	}
	if !first.evicted.Load() {
		t.Error("a forgotten state is not marked as evicted")
	}
	if l := ls.get(sessionOf("not seen yet"), eight); l.endedVersion.Load() != allVersions {
		t.Error("a session that was revoked before it was seen is valid")
	}
	heavy := *sessionOf("heavy")
	heavy.IDToken = strings.Repeat("x", maxStateBytes/8)
	for i := range 20 {
		heavy.ID = fmt.Sprint("heavy ", i)
		ls.setVersion(heavy, 2, eight)
		ls.check(t)
	}
	if ls.byID["confirmed"] != nil || ls.byID["ended"] == nil || ls.byID["heavy 19"] == nil {
		t.Error("the wrong ones are forgotten for want of memory")
	}
}

func TestVersionsOfASessionOnlyRise(t *testing.T) {
	t.Parallel()
	ls, s := newSessionStates(), sessionOf("x")
	for _, step := range []struct {
		do   func(l *sessionState)
		want uint64 // newest
	}{
		{func(*sessionState) { ls.setVersion(*s, 5, eight) }, 5},
		{func(*sessionState) { ls.setVersion(*s, 4, eight) }, 5},
		{func(l *sessionState) { ls.ack(l, 4) }, 5},
		{func(l *sessionState) { ls.ack(l, 5) }, 5},
		{func(*sessionState) { ls.setVersion(*s, 6, eight) }, 6},
		{func(l *sessionState) { ls.ack(l, 7) }, 0}, // another replica's
		{func(*sessionState) { ls.setVersion(*s, 8, eight) }, 8},
		{func(*sessionState) { ls.endVersions(s, 7, eight) }, 8},
		{func(*sessionState) { ls.endVersions(s, 8, eight) }, 0},
		{func(*sessionState) { ls.setVersion(*s, 8, eight) }, 0},
		{func(*sessionState) { ls.setVersion(*s, 9, eight) }, 9},
		{func(*sessionState) { ls.revoke(session.Filter{Subject: "of x"}, eight) }, 0},
		{func(*sessionState) { ls.setVersion(*s, 10, eight) }, 0},
	} {
		l := ls.get(s, eight)
		step.do(l)
		got := uint64(0)
		if v := l.newest.Load(); v != nil {
			got = v.number
		}
		if got != step.want {
			t.Errorf("the newest is %d, want %d", got, step.want)
		}
		ls.check(t)
	}
}

func TestRevocationsThatDoNotFitEndMoreAndNotLess(t *testing.T) {
	t.Parallel()
	ls := newSessionStates()
	ls.revoke(session.Filter{Subject: "of alice"}, eight.Add(time.Minute))
	for i := range maxRevocations {
		ls.revoke(session.Filter{Subject: fmt.Sprint(i)}, eight.Add(time.Hour))
	}
	if len(ls.revocations) != maxRevocations {
		t.Errorf("%d are kept", len(ls.revocations))
	}
	later := sessionOf("bob")
	later.CreatedAt = eight.Add(2 * time.Minute)
	ahead := sessionOf("carol")
	ahead.CreatedAt = eight.Add(24 * time.Hour)
	for s, over := range map[*session.Session]bool{sessionOf("alice"): true, sessionOf("another before"): true, later: false, ahead: true} {
		if l := ls.get(s, eight.Add(2*time.Hour)); (l.endedVersion.Load() > 0) != over {
			t.Errorf("%s: over %v", s.ID, !over)
		}
	}
}

func TestExpiredSessionsAreForgotten(t *testing.T) {
	t.Parallel()
	ls, s := newSessionStates(), sessionOf("x")
	l := ls.get(s, eight)
	ls.revoke(session.Filter{ID: "x"}, eight)
	ls.prune(s.Expires)
	if l.evicted.Load() {
		t.Error("a clock that is set back would let it live again")
	}
	ls.prune(s.Expires.Add(tombstoneTTL))
	if !l.evicted.Load() || len(ls.byID) > 0 {
		t.Error("it is still known")
	}
	ls.check(t)
}
