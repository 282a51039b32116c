package session

import "testing"

// Two cookies of one hash cannot be found, so that one is put there.
func TestCookiesOfOneHashAreToldApart(t *testing.T) {
	t.Parallel()
	s := newDecryptCache(nil)
	mine := chunks{"mine"}
	hash := s.hash(&mine)
	s.bucket(hash)[0].Store(&decryptEntry{hash: hash, name: "authgate", chunks: chunks{"somebody else's"}})
	s.bucket(hash)[1].Store(&decryptEntry{hash: hash, name: "authgate-1", chunks: mine})
	s.bucket(hash)[2].Store(&decryptEntry{hash: hash, name: "authgate", chunks: chunks{"mine", "and more"}})
	if o := s.get("authgate", &mine); o != nil {
		t.Errorf("taken for %q", o.chunks)
	}
	s.put("authgate", &mine, Session{ID: "1"}, nil)
	if o := s.get("authgate", &mine); o == nil || o.session.ID != "1" {
		t.Errorf("found %+v", o)
	}
}
