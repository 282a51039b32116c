package session

import "testing"

// Two cookies of one hash cannot be found, so that one is put there.
func TestCookiesOfOneHashAreToldApart(t *testing.T) {
	t.Parallel()
	s := newSeen(nil)
	mine := pieces{"mine"}
	hash := s.hash(&mine)
	s.set(hash)[0].Store(&opened{hash: hash, name: "authgate", pieces: pieces{"somebody else's"}})
	s.set(hash)[1].Store(&opened{hash: hash, name: "authgate-1", pieces: mine})
	s.set(hash)[2].Store(&opened{hash: hash, name: "authgate", pieces: pieces{"mine", "and more"}})
	if o := s.find("authgate", &mine); o != nil {
		t.Errorf("taken for %q", o.pieces)
	}
	s.remember("authgate", &mine, Session{ID: "1"}, nil)
	if o := s.find("authgate", &mine); o == nil || o.session.ID != "1" {
		t.Errorf("found %+v", o)
	}
}
