package cookiestore_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/seal"
	"github.com/example-org/authgate/session/sessiontest"
)

func TestKeyringWithoutKeysEncryptsAndDecryptsNothing(t *testing.T) {
	t.Parallel()
	ring := seal.NewKeyring(sessiontest.Keys(t, seal.NewKey()))
	box, sealer, c := ring.AEAD("box"), ring.SecureCodec("login"), cookies(t, under(ring))
	sealed := box.Seal([]byte("v"), "n")
	ring.Set(seal.Keys{})
	if got := box.Seal([]byte("v"), "n"); got != nil {
		t.Errorf("sealed %x", got)
	}
	if _, err := box.Open(sealed, "n"); !errors.Is(err, session.ErrInvalid) {
		t.Errorf("opened: %v", err)
	}
	if _, err := sealer.Encode("n", "v"); err == nil {
		t.Error("a login is sealed")
	}
	w := httptest.NewRecorder()
	if _, err := c.Create(t.Context(), w, nil, session.New(alice(1), sessiontest.Noon, time.Hour), true); err == nil || len(w.Result().Cookies()) > 0 {
		t.Errorf("a session is sealed: %v", err)
	}
}

func TestRemovedKeyEndsItsSessions(t *testing.T) {
	t.Parallel()
	old, fresh := seal.NewKey(), seal.NewKey()
	ring := seal.NewKeyring(sessiontest.Keys(t, old))
	c := cookies(t, under(ring))
	h := save(t, c, session.New(alice(1), sessiontest.Noon, time.Hour), true)
	s, err := c.Open(t.Context(), h, true)
	if err != nil {
		t.Fatal(err)
	}
	ring.Set(sessiontest.Keys(t, fresh, old))
	if _, err := c.Open(t.Context(), h, true); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	if _, err := c.Current(s); err != nil {
		t.Errorf("its stream, after a rotation: %v", err)
	}
	ring.Set(sessiontest.Keys(t, fresh))
	if _, err := c.Open(t.Context(), h, true); !errors.Is(err, session.ErrInvalid) {
		t.Errorf("the key is gone: %v", err)
	}
	if _, err := c.Current(s); !errors.Is(err, session.ErrExpired) {
		t.Errorf("its stream, when the key is gone: %v", err)
	}
}

func TestCookieOfAnOlderKeyIsEncryptedAgainBeforeThatKeyIsRemoved(t *testing.T) {
	t.Parallel()
	old, fresh := seal.NewKey(), seal.NewKey()
	ring := seal.NewKeyring(sessiontest.Keys(t, old))
	c := cookies(t, under(ring))
	h := save(t, c, session.New(alice(1), sessiontest.Noon, time.Hour), true)
	b := sessiontest.Browser{}
	if given := respond(t, c, b, h); given {
		t.Error("a cookie of the first key is replaced")
	}
	ring.Set(sessiontest.Keys(t, fresh, old))
	if given := respond(t, c, b, h); !given {
		t.Fatal("a cookie of an older key stays")
	}
	ring.Set(sessiontest.Keys(t, fresh))
	if _, err := c.Open(t.Context(), b.Headers(), true); err != nil {
		t.Errorf("when the older key is gone: %v", err)
	}
}
