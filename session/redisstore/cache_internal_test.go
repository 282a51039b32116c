package redisstore

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session/seal"
)

func sample() (record, grantState) {
	begun := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	rec := record{ID: rand.Text(), User: userKeyOf("https://dex.example.com", "alice"), Generation: 7, CreatedAt: begun, Expires: begun.Add(time.Hour), LastUsed: begun}
	g := grantState{grant: identity.TokenSet{RefreshToken: "token", FetchedAt: begun}, fence: 9, generation: 7}
	g.grant.Principal.Issuer, g.grant.Principal.Subject = "https://dex.example.com", "alice"
	return rec, g
}

func remember(m *sessionCache, n int) *cacheEntry {
	rec, g := sample()
	rec.ID = fmt.Sprint("session-", n)
	_, d := newCookieValue()
	return m.put(d, entrySnapshot{session: rec.join(g), record: rec, user: rec.User, fence: g.fence, generation: g.generation}, m.position(), 0)
}

func TestMemoryOfSessionsIsBounded(t *testing.T) {
	t.Parallel()
	m := newSessionCache()
	for n := range maxCacheEntries + 500 {
		remember(m, n)
	}
	sharded := 0
	for i := range m.shards {
		sharded += len(m.shards[i].entries)
	}
	owned := 0
	for _, of := range m.byUser {
		owned += len(of)
	}
	if len(m.byID) != maxCacheEntries || sharded != maxCacheEntries || owned != maxCacheEntries {
		t.Errorf("%d by id, %d by digest, %d by owner; at most %d are wanted", len(m.byID), sharded, owned, maxCacheEntries)
	}
}

func TestSessionThatChangedWhileItWasReadIsNotUsed(t *testing.T) {
	t.Parallel()
	m := newSessionCache()
	rec, g := sample()
	_, d := newCookieValue()
	since := m.position()
	m.apply([]change{{id: rec.ID}})
	o := m.put(d, entrySnapshot{session: rec.join(g), record: rec, user: rec.User, fence: g.fence, generation: g.generation}, since, 0)
	if o.snapshot.Load().epoch == m.epoch.Load() {
		t.Error("a session that ended while it was read is used")
	}
	since = m.position()
	m.invalidateAll(0)
	if o = m.put(d, entrySnapshot{session: rec.join(g), record: rec, user: rec.User, fence: g.fence, generation: g.generation}, since, 0); o.snapshot.Load().epoch == m.epoch.Load() {
		t.Error("a session that was read before changes were missed is used")
	}
}

func TestAnOlderStateNeverReplacesANewerOne(t *testing.T) {
	t.Parallel()
	m := newSessionCache()
	o := remember(m, 1)
	v := *o.snapshot.Load()
	m.updateGrant(v.user, grantState{grant: identity.TokenSet{RefreshToken: "newer"}, fence: 12, generation: 7})
	m.updateGrant(v.user, grantState{grant: identity.TokenSet{RefreshToken: "older"}, fence: 11, generation: 7})
	m.put(o.digest, v, m.position(), 0)
	if now := o.snapshot.Load(); now.fence != 12 || now.session.RefreshToken != "newer" {
		t.Errorf("fence %d, %q", now.fence, now.session.RefreshToken)
	}
	m.apply([]change{{user: v.user, generation: 6}})
	if o.snapshot.Load().ended {
		t.Error("the end of an earlier grant ended a session of a later one")
	}
	m.apply([]change{{user: v.user, generation: 7}})
	m.put(o.digest, v, m.position(), 0)
	if now := o.snapshot.Load(); !now.ended || now.session.RefreshToken != "" {
		t.Errorf("a session that ended came back: %+v", now.ended)
	}
}

func FuzzWhatStandsInRedis(f *testing.F) {
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		f.Fatal(err)
	}
	r := &Store{aead: seal.NewKeyring(keys).AEAD("redis session")}
	rec, g := sample()
	plain, err := json.Marshal(rec)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain, "7", "9")
	f.Add([]byte(`{"id":"x","w":"","n":-1,"b":"0001-01-01T00:00:00Z","e":null}`), "-1", "99999999999999999999")
	f.Add([]byte("[]"), "", "x")
	f.Fuzz(func(t *testing.T, text []byte, fence, birth string) {
		if rec, err := parseRecord(text); err == nil {
			if rec.ID == "" || rec.Generation == 0 || !rec.Expires.After(rec.CreatedAt) {
				t.Errorf("%q is taken for a record: %+v", text, rec)
			}
			if s := rec.join(g); s.Principal.Subject != "alice" {
				t.Errorf("%q makes another user: %+v", text, s.Principal)
			}
		}
		if g, err := r.openGrant(rec.User, []any{fence, birth, string(text)}); err == nil {
			t.Errorf("%q opened as the grant %+v", text, g.grant.Principal)
		}
		if _, err := r.openRecord(digest{}, string(text)); err == nil {
			t.Errorf("%q opened", text)
		}
		_, _ = parseChange(map[string]any{"id": string(text), "owner": fence, "birth": birth, "fence": fence})
		if d, ok := parseCookieValue(string(text)); ok && (len(text) != 43 || strings.ContainsAny(string(text), "+/=\n") || bytes.Equal(d[:], make([]byte, 32))) {
			t.Errorf("%q is taken for a cookie", text)
		}
	})
}
