package session

import (
	"hash/maphash"
	"testing"
)

// Two cookies of one hash cannot be found, so that one is put there.
func TestCookiesOfOneHashAreToldApart(t *testing.T) {
	t.Parallel()
	s := newSeen()
	hash := maphash.String(s.seed, "mine")
	s.set(hash)[0].Store(&opened{hash: hash, name: "authgate", sealed: "somebody else's"})
	if o := s.find("authgate", "mine"); o != nil {
		t.Errorf("taken for %q", o.sealed)
	}
	s.remember("authgate", "mine", Session{ID: "1"})
	if o := s.find("authgate", "mine"); o == nil || o.session.ID != "1" {
		t.Errorf("found %+v", o)
	}
}
