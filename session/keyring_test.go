package session_test

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/example-org/authgate/session"
)

func TestBoxOpensWhatItSealedForTheSamePurposeInTheSamePlaceAlone(t *testing.T) {
	t.Parallel()
	ring := session.NewKeyring(keys(t, session.NewKey()))
	box := ring.AEAD("one")
	sealed := box.Seal([]byte("secret"), "here")
	if plain, err := box.Open(sealed, "here"); err != nil || string(plain) != "secret" {
		t.Fatalf("got %q, %v", plain, err)
	}
	if bytes.Contains(sealed, []byte("secret")) || bytes.Equal(sealed, box.Seal([]byte("secret"), "here")) {
		t.Error("the seal tells what is in it")
	}
	refused := func(what string, box *session.AEAD, sealed []byte, bound string) {
		t.Helper()
		if plain, err := box.Open(sealed, bound); !errors.Is(err, session.ErrInvalid) || plain != nil {
			t.Errorf("%s: got %q, %v", what, plain, err)
		}
	}
	refused("another place", box, sealed, "there")
	refused("another purpose", ring.AEAD("two"), sealed, "here")
	refused("another key", session.NewKeyring(keys(t, session.NewKey())).AEAD("one"), sealed, "here")
	for i := range sealed {
		flipped := bytes.Clone(sealed)
		flipped[i] ^= 1
		refused("flipped", box, flipped, "here")
		refused("cut", box, sealed[:i], "here")
	}
	refused("longer", box, append(bytes.Clone(sealed), 0), "here")
}

func TestFirstKeySealsAndEveryKeyOpens(t *testing.T) {
	t.Parallel()
	old, fresh := session.NewKey(), session.NewKey()
	ring := session.NewKeyring(keys(t, old))
	box, sealer := ring.AEAD("box"), ring.SecureCodec("login")
	type seals struct {
		box    []byte
		cookie string
	}
	seal := func() seals {
		t.Helper()
		cookie, err := sealer.Encode("n", "v")
		if err != nil {
			t.Fatal(err)
		}
		return seals{box.Seal([]byte("v"), "n"), cookie}
	}
	opens := func(s seals) bool {
		t.Helper()
		var v string
		plain, err := box.Open(s.box, "n")
		boxed, sealed := err == nil && string(plain) == "v", sealer.Decode("n", s.cookie, &v) == nil && v == "v"
		if boxed != sealed {
			t.Errorf("box %v, sealer %v", boxed, sealed)
		}
		return boxed
	}
	of := map[string]seals{"old": seal()}
	ring.Set(keys(t, fresh, old))
	of["fresh"] = seal()
	for _, step := range []struct {
		keys       []string
		old, fresh bool
	}{
		{[]string{fresh, old}, true, true},
		{[]string{old, fresh}, true, true},
		{[]string{fresh}, false, true},
		{[]string{old}, true, false},
	} {
		ring.Set(keys(t, step.keys...))
		if opens(of["old"]) != step.old || opens(of["fresh"]) != step.fresh {
			t.Errorf("keys %d: old %v, fresh %v", len(step.keys), opens(of["old"]), opens(of["fresh"]))
		}
	}
}

func TestRingWithoutKeysSealsNothingAndOpensNothing(t *testing.T) {
	t.Parallel()
	ring := session.NewKeyring(keys(t, session.NewKey()))
	box, sealer, c := ring.AEAD("box"), ring.SecureCodec("login"), cookies(t, under(ring))
	sealed := box.Seal([]byte("v"), "n")
	ring.Set(session.Keys{})
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
	if _, err := c.Create(t.Context(), w, nil, session.New(alice(1), noon, time.Hour), true); err == nil || len(w.Result().Cookies()) > 0 {
		t.Errorf("a session is sealed: %v", err)
	}
}

func TestKeyThatIsGoneTakesWhatItOpenedWithIt(t *testing.T) {
	t.Parallel()
	old, fresh := session.NewKey(), session.NewKey()
	ring := session.NewKeyring(keys(t, old))
	c := cookies(t, under(ring))
	h := save(t, c, session.New(alice(1), noon, time.Hour), true)
	s, err := c.Open(t.Context(), h, true)
	if err != nil {
		t.Fatal(err)
	}
	ring.Set(keys(t, fresh, old))
	if _, err := c.Open(t.Context(), h, true); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	if _, err := c.Current(s); err != nil {
		t.Errorf("its stream, after a rotation: %v", err)
	}
	ring.Set(keys(t, fresh))
	if _, err := c.Open(t.Context(), h, true); !errors.Is(err, session.ErrInvalid) {
		t.Errorf("the key is gone: %v", err)
	}
	if _, err := c.Current(s); !errors.Is(err, session.ErrExpired) {
		t.Errorf("its stream, when the key is gone: %v", err)
	}
}

func TestCookieOfAnOlderKeyIsSealedAnewBeforeThatKeyGoes(t *testing.T) {
	t.Parallel()
	old, fresh := session.NewKey(), session.NewKey()
	ring := session.NewKeyring(keys(t, old))
	c := cookies(t, under(ring))
	h := save(t, c, session.New(alice(1), noon, time.Hour), true)
	b := visitor{}
	if given := respond(t, c, b, h); given {
		t.Error("a cookie of the first key is replaced")
	}
	ring.Set(keys(t, fresh, old))
	if given := respond(t, c, b, h); !given {
		t.Fatal("a cookie of an older key stays")
	}
	ring.Set(keys(t, fresh))
	if _, err := c.Open(t.Context(), b.headers(), true); err != nil {
		t.Errorf("when the older key is gone: %v", err)
	}
}
