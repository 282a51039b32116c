package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
)

func sample() (record, grantState) {
	begun := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	rec := record{ID: newID(), Owner: ownerOf("https://dex.example.com", "alice"), Birth: 7, Begun: begun, Expires: begun.Add(time.Hour), Seen: begun}
	g := grantState{grant: identity.Grant{Refresh: "token", Read: begun}, fence: 9, birth: 7}
	g.grant.Principal.Issuer, g.grant.Principal.Subject = "https://dex.example.com", "alice"
	return rec, g
}

func remember(m *memory, n int) *held {
	rec, g := sample()
	rec.ID = fmt.Sprint("session-", n)
	_, d := newSecret()
	return m.put(d, view{session: rec.join(g), record: rec, owner: rec.Owner, fence: g.fence, birth: g.birth}, m.mark(), 0)
}

func TestMemoryOfSessionsIsBounded(t *testing.T) {
	t.Parallel()
	m := newMemory()
	for n := range mostOpened + 500 {
		remember(m, n)
	}
	sharded := 0
	for i := range m.shards {
		sharded += len(m.shards[i].opened)
	}
	owned := 0
	for _, of := range m.owned {
		owned += len(of)
	}
	if len(m.byID) != mostOpened || sharded != mostOpened || owned != mostOpened {
		t.Errorf("%d by id, %d by digest, %d by owner; at most %d are wanted", len(m.byID), sharded, owned, mostOpened)
	}
}

func TestWhatChangedWhileItWasReadIsNotBelieved(t *testing.T) {
	t.Parallel()
	m := newMemory()
	rec, g := sample()
	_, d := newSecret()
	since := m.mark()
	m.hear([]change{{id: rec.ID}})
	o := m.put(d, view{session: rec.join(g), record: rec, owner: rec.Owner, fence: g.fence, birth: g.birth}, since, 0)
	if o.view.Load().epoch == m.epoch.Load() {
		t.Error("a session that ended while it was read is believed")
	}
	since = m.mark()
	m.doubt(0)
	if o = m.put(d, view{session: rec.join(g), record: rec, owner: rec.Owner, fence: g.fence, birth: g.birth}, since, 0); o.view.Load().epoch == m.epoch.Load() {
		t.Error("a session that was read before changes were missed is believed")
	}
}

func TestAnOlderStateNeverReplacesANewerOne(t *testing.T) {
	t.Parallel()
	m := newMemory()
	o := remember(m, 1)
	v := *o.view.Load()
	m.renew(v.owner, grantState{grant: identity.Grant{Refresh: "newer"}, fence: 12, birth: 7})
	m.renew(v.owner, grantState{grant: identity.Grant{Refresh: "older"}, fence: 11, birth: 7})
	m.put(o.digest, v, m.mark(), 0)
	if now := o.view.Load(); now.fence != 12 || now.session.Refresh != "newer" {
		t.Errorf("fence %d, %q", now.fence, now.session.Refresh)
	}
	m.hear([]change{{owner: v.owner, birth: 6}})
	if o.view.Load().ended {
		t.Error("the end of an earlier grant ended a session of a later one")
	}
	m.hear([]change{{owner: v.owner, birth: 7}})
	m.put(o.digest, v, m.mark(), 0)
	if now := o.view.Load(); !now.ended || now.session.Refresh != "" {
		t.Errorf("a session that ended came back: %+v", now.ended)
	}
}

func FuzzWhatStandsInRedis(f *testing.F) {
	keys, err := ParseKeys(NewKey())
	if err != nil {
		f.Fatal(err)
	}
	r := &Redis{box: NewRing(keys).Box("redis session")}
	rec, g := sample()
	plain, err := json.Marshal(rec)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain, "7", "9")
	f.Add([]byte(`{"id":"x","w":"","n":-1,"b":"0001-01-01T00:00:00Z","e":null}`), "-1", "99999999999999999999")
	f.Add([]byte("[]"), "", "x")
	f.Fuzz(func(t *testing.T, text []byte, fence, birth string) {
		if rec, err := readRecord(text); err == nil {
			if rec.ID == "" || rec.Birth == 0 || !rec.Expires.After(rec.Begun) {
				t.Errorf("%q is taken for a record: %+v", text, rec)
			}
			if s := rec.join(g); s.Principal.Subject != "alice" {
				t.Errorf("%q makes somebody else: %+v", text, s.Principal)
			}
		}
		if g, err := r.openGrant(rec.Owner, []any{fence, birth, string(text)}); err == nil {
			t.Errorf("%q opened as the grant %+v", text, g.grant.Principal)
		}
		if _, err := r.openRecord(digest{}, string(text)); err == nil {
			t.Errorf("%q opened", text)
		}
		_, _ = readChange(map[string]any{"id": string(text), "owner": fence, "birth": birth, "fence": fence})
		if d, ok := readSecret(string(text)); ok && (len(text) != 43 || strings.ContainsAny(string(text), "+/=\n") || bytes.Equal(d[:], make([]byte, 32))) {
			t.Errorf("%q is taken for a cookie", text)
		}
	})
}
