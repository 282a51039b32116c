package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/seal"
	"github.com/example-org/authgate/session/sessiontest"
)

func TestAEADDecryptsOnlyForTheSamePurposeAndContext(t *testing.T) {
	t.Parallel()
	ring := seal.NewKeyring(sessiontest.Keys(t, seal.NewKey()))
	box := ring.AEAD("one")
	sealed := box.Seal([]byte("secret"), "here")
	if plain, err := box.Open(sealed, "here"); err != nil || string(plain) != "secret" {
		t.Fatalf("got %q, %v", plain, err)
	}
	if bytes.Contains(sealed, []byte("secret")) || bytes.Equal(sealed, box.Seal([]byte("secret"), "here")) {
		t.Error("the seal tells what is in it")
	}
	refused := func(what string, box *seal.AEAD, sealed []byte, bound string) {
		t.Helper()
		if plain, err := box.Open(sealed, bound); !errors.Is(err, session.ErrInvalid) || plain != nil {
			t.Errorf("%s: got %q, %v", what, plain, err)
		}
	}
	refused("another place", box, sealed, "there")
	refused("another purpose", ring.AEAD("two"), sealed, "here")
	refused("another key", seal.NewKeyring(sessiontest.Keys(t, seal.NewKey())).AEAD("one"), sealed, "here")
	for i := range sealed {
		flipped := bytes.Clone(sealed)
		flipped[i] ^= 1
		refused("flipped", box, flipped, "here")
		refused("cut", box, sealed[:i], "here")
	}
	refused("longer", box, append(bytes.Clone(sealed), 0), "here")
}

func TestFirstKeyEncryptsAndEveryKeyDecrypts(t *testing.T) {
	t.Parallel()
	old, fresh := seal.NewKey(), seal.NewKey()
	ring := seal.NewKeyring(sessiontest.Keys(t, old))
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
	ring.Set(sessiontest.Keys(t, fresh, old))
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
		ring.Set(sessiontest.Keys(t, step.keys...))
		if opens(of["old"]) != step.old || opens(of["fresh"]) != step.fresh {
			t.Errorf("keys %d: old %v, fresh %v", len(step.keys), opens(of["old"]), opens(of["fresh"]))
		}
	}
}

func TestKeysThatAreNoKeysAreRefused(t *testing.T) {
	t.Parallel()
	good := seal.NewKey()
	for text, want := range map[string]string{
		"":                           "no session key",
		"# only a comment\n":         "no session key",
		"c2hvcnQ=":                   "line 1 is short: 5 bytes",
		good + "\n\nnot base64!":     "line 3 is not base64",
		good + "\nc2hvcnQ=\n" + good: "line 2 is short",
	} {
		_, err := seal.ParseKeys(text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "authgate keygen") {
			t.Errorf("%q: got %v, want %q and the fix", text, err, want)
		}
	}
	if _, err := seal.ParseKeys("# rotated today\r\n" + good + "\r\n"); err != nil {
		t.Errorf("comment and CRLF: %v", err)
	}
}

func TestEncryptedValueMayBeLongerOutsideOfACookie(t *testing.T) {
	t.Parallel()
	keys, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	ring := seal.NewKeyring(keys)
	random := "" // does not compress
	for len(random) < 6000 {
		random += seal.NewKey()
	}
	long := ring.SecureCodecUpTo("login", 16<<10)
	sealed, err := long.Encode("state", random)
	if err != nil {
		t.Fatal(err)
	}
	var opened string
	if err := long.Decode("state", sealed, &opened); err != nil || opened != random {
		t.Errorf("%d of %d bytes, %v", len(opened), len(random), err)
	}
	if _, err := ring.SecureCodec("login").Encode("state", random); !errors.Is(err, seal.ErrTooLarge) {
		t.Errorf("in a cookie: %v", err)
	}
	if err := ring.SecureCodec("login").Decode("state", sealed, &opened); err == nil {
		t.Error("what no cookie can hold came out of one")
	}
}
