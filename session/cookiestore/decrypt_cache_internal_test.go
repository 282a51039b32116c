package cookiestore

import (
	"testing"

	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
)

// Two cookies of one hash cannot be found, so that one is put there.
func TestCookiesOfOneHashAreToldApart(t *testing.T) {
	t.Parallel()
	s := newDecryptCache(nil)
	mine := cookie.Chunks{"mine"}
	hash := s.hash(&mine)
	s.bucket(hash)[0].Store(&decryptEntry{hash: hash, name: "authgate", chunks: cookie.Chunks{"somebody else's"}})
	s.bucket(hash)[1].Store(&decryptEntry{hash: hash, name: "authgate-1", chunks: mine})
	s.bucket(hash)[2].Store(&decryptEntry{hash: hash, name: "authgate", chunks: cookie.Chunks{"mine", "and more"}})
	if o := s.get("authgate", &mine); o != nil {
		t.Errorf("taken for %q", o.chunks)
	}
	s.put("authgate", &mine, session.Session{ID: "1"}, nil)
	if o := s.get("authgate", &mine); o == nil || o.session.ID != "1" {
		t.Errorf("found %+v", o)
	}
}
