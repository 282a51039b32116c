package cookiestore

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/seal"
)

// squeezed is what pack makes of plain bytes.
func squeezed(t testing.TB, plain []byte) []byte {
	t.Helper()
	b := bytes.NewBuffer([]byte{formatVersion})
	w, err := flate.NewWriter(b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sampleSession() session.Session {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	return session.New(identity.TokenSet{
		RefreshToken: "r", IDToken: "YQ.YQ.YQ", Principal: identity.Principal{Subject: "alice", Groups: []string{"example-org:argo"}},
	}, noon, time.Hour)
}

func TestWhatIsNoSessionIsRefusedAlthoughItIsAuthentic(t *testing.T) {
	t.Parallel()
	var p codec
	good, err := p.encode(1, sampleSession())
	if err != nil {
		t.Fatal(err)
	}
	if version, s, err := p.decode(good); err != nil || version != 1 || s.IDToken != "YQ.YQ.YQ" {
		t.Fatalf("a good one: %d, %v", version, err)
	}
	text := func(json string) []byte { return squeezed(t, append(appendField(nil, json), 0, 0, 0, 0)) }
	const times = `"b":"2026-11-23T12:00:00Z","e":"2026-11-23T13:00:00Z"`
	alright := `{"n":1,"s":{"id":"x",` + times + `,"g":{"p":{"sub":"alice"}}}}`
	if _, _, err := p.decode(text(alright)); err != nil {
		t.Fatalf("the least there is: %v", err)
	}
	for name, small := range map[string][]byte{
		"nothing":           nil,
		"another form":      append([]byte{formatVersion + 1}, good[1:]...),
		"no compression":    {formatVersion, 1, 2, 3},
		"cut":               good[:len(good)-3],
		"a bomb":            squeezed(t, make([]byte, 64<<20)),
		"no JSON":           text("no"),
		"another's JSON":    text(`{"a":1}`),
		"no id":             text(`{"n":1,"s":{` + times + `,"g":{"p":{"sub":"alice"}}}}`),
		"no subject":        text(`{"n":1,"s":{"id":"x",` + times + `,"g":{"p":{}}}}`),
		"no times":          text(`{"n":1,"s":{"id":"x","g":{"p":{"sub":"alice"}}}}`),
		"no version":        text(`{"n":0` + alright[len(`{"n":1`):]),
		"the last version":  text(`{"n":18446744073709551615` + alright[len(`{"n":1`):]),
		"no tokens":         squeezed(t, appendField(nil, alright)),
		"token in parts":    squeezed(t, append(appendField(nil, alright), 3, 1, 'a', 0, 0)),
		"token in two":      squeezed(t, append(appendField(nil, alright), 2, 0, 0, 0, 0)),
		"longer than it is": squeezed(t, append(binary.AppendUvarint(nil, 1<<63), alright...)),
		"more behind it":    squeezed(t, append(appendField(nil, alright), 0, 0, 0, 0, 0)),
	} {
		if _, s, err := p.decode(small); !errors.Is(err, session.ErrInvalid) {
			t.Errorf("%s: %q, %v", name, s.ID, err)
		}
	}
	huge := sampleSession()
	huge.AccessToken = string(make([]byte, seal.MaxPlaintext))
	if _, err := p.encode(1, huge); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("what would not be read again: %v", err)
	}
}

func FuzzUnpack(f *testing.F) {
	var p codec
	plain := appendToken(appendToken(appendField(nil, `{"n":1,"s":{"id":"x","b":"2026-11-23T12:00:00Z","e":"2026-11-23T13:00:00Z","g":{"p":{"sub":"a"}}}}`), "YQ.YQ.YQ"), "x")
	f.Add(plain)
	f.Add(plain[:len(plain)-4])
	f.Fuzz(func(t *testing.T, plain []byte) {
		text, rest, ok := cutField(plain)
		if ok && len(text)+len(rest) >= len(plain) {
			t.Error("a field has no length")
		}
		if token, rest, ok := cutToken(plain); ok {
			if again, _, _ := cutToken(appendToken(nil, token)); again != token || len(rest) >= len(plain) {
				t.Errorf("%q became %q", token, again)
			}
		}
		if _, _, err := p.decode(append([]byte{formatVersion}, plain...)); err != nil && !errors.Is(err, session.ErrInvalid) {
			t.Error(fmt.Errorf("another error: %w", err))
		}
	})
}
