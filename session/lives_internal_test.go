package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
)

var eight = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func sessionOf(id string) *Session {
	return &Session{
		Grant: identity.Grant{Principal: identity.Principal{Issuer: "i", Subject: "of " + id}},
		ID:    id, Begun: eight, Expires: eight.Add(12 * time.Hour), Seen: eight,
	}
}

func (ls *lives) check(t *testing.T) {
	t.Helper()
	bytes := int64(0)
	for id, l := range ls.byID {
		if v := l.newest.Load(); v != nil {
			bytes += v.size
		}
		if l.gone.Load() || l.about.ID != id {
			t.Errorf("%s is gone, or another", id)
		}
	}
	listed := ls.known.Len() + ls.confirmed.Len() + ls.owed.Len() + ls.over.Len()
	if bytes != ls.bytes || listed != len(ls.byID) || listed > mostLives || bytes > mostLifeBytes {
		t.Errorf("%d of %d are listed, %d bytes counted as %d", listed, len(ls.byID), bytes, ls.bytes)
	}
}

func TestWhatHasEndedIsRememberedLongerThanWhatIsMerelyKnown(t *testing.T) {
	t.Parallel()
	ls := newLives()
	ended, owed, confirmed, known := sessionOf("ended"), sessionOf("owed"), sessionOf("confirmed"), sessionOf("known")
	ls.of(ended, eight)
	first := ls.of(known, eight)
	ls.revoke(Which{ID: "ended"}, eight)
	ls.revoke(Which{ID: "not seen yet"}, eight)
	for _, s := range []*Session{owed, confirmed} {
		if _, ok := ls.renew(*s, 2, eight); !ok {
			t.Fatal(s.ID)
		}
	}
	ls.confirm(ls.byID["confirmed"], 2)
	for i := range mostLives {
		ls.of(sessionOf(fmt.Sprint(i)), eight)
	}
	ls.check(t)
	for id, kept := range map[string]bool{"ended": true, "owed": true, "confirmed": true, "known": false, "not seen yet": true} {
		if (ls.byID[id] != nil) != kept {
			t.Errorf("%s: kept %v", id, !kept)
		}
	}
	if !first.gone.Load() {
		t.Error("who holds what is forgotten is not told")
	}
	if l := ls.of(sessionOf("not seen yet"), eight); l.ended.Load() != allOfThem {
		t.Error("what was revoked before it was seen lives")
	}
	heavy := *sessionOf("heavy")
	heavy.IDToken = strings.Repeat("x", mostLifeBytes/8)
	for i := range 20 {
		heavy.ID = fmt.Sprint("heavy ", i)
		ls.renew(heavy, 2, eight)
		ls.check(t)
	}
	if ls.byID["confirmed"] != nil || ls.byID["ended"] == nil || ls.byID["heavy 19"] == nil {
		t.Error("the wrong ones are forgotten for want of memory")
	}
}

func TestVersionsOfASessionOnlyRise(t *testing.T) {
	t.Parallel()
	ls, s := newLives(), sessionOf("x")
	for _, step := range []struct {
		do   func(l *life)
		want uint64 // newest
	}{
		{func(*life) { ls.renew(*s, 5, eight) }, 5},
		{func(*life) { ls.renew(*s, 4, eight) }, 5},
		{func(l *life) { ls.confirm(l, 4) }, 5},
		{func(l *life) { ls.confirm(l, 5) }, 5},
		{func(*life) { ls.renew(*s, 6, eight) }, 6},
		{func(l *life) { ls.confirm(l, 7) }, 0}, // another replica's
		{func(*life) { ls.renew(*s, 8, eight) }, 8},
		{func(*life) { ls.refuse(s, 7, eight) }, 8},
		{func(*life) { ls.refuse(s, 8, eight) }, 0},
		{func(*life) { ls.renew(*s, 8, eight) }, 0},
		{func(*life) { ls.renew(*s, 9, eight) }, 9},
		{func(*life) { ls.revoke(Which{Subject: "of x"}, eight) }, 0},
		{func(*life) { ls.renew(*s, 10, eight) }, 0},
	} {
		l := ls.of(s, eight)
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
	ls := newLives()
	ls.revoke(Which{Subject: "of alice"}, eight.Add(time.Minute))
	for i := range mostRules {
		ls.revoke(Which{Subject: fmt.Sprint(i)}, eight.Add(time.Hour))
	}
	if len(ls.revoked) != mostRules {
		t.Errorf("%d are kept", len(ls.revoked))
	}
	later := sessionOf("bob")
	later.Begun = eight.Add(2 * time.Minute)
	ahead := sessionOf("carol")
	ahead.Begun = eight.Add(24 * time.Hour)
	for s, over := range map[*Session]bool{sessionOf("alice"): true, sessionOf("anybody before"): true, later: false, ahead: true} {
		if l := ls.of(s, eight.Add(2*time.Hour)); (l.ended.Load() > 0) != over {
			t.Errorf("%s: over %v", s.ID, !over)
		}
	}
}

func TestExpiredSessionsAreForgotten(t *testing.T) {
	t.Parallel()
	ls, s := newLives(), sessionOf("x")
	l := ls.of(s, eight)
	ls.revoke(Which{ID: "x"}, eight)
	ls.prune(s.Expires)
	if l.gone.Load() {
		t.Error("a clock that is set back would let it live again")
	}
	ls.prune(s.Expires.Add(keptOver))
	if !l.gone.Load() || len(ls.byID) > 0 {
		t.Error("it is still known")
	}
	ls.check(t)
}
