package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/session/seal"
)

func TestRotatedKeysStandInTheirOrderAndCommentsStay(t *testing.T) {
	t.Parallel()
	const a, b, c = "AAAA", "BBBB", "CCCC"
	for _, test := range []struct {
		what, text string
		keep       int
		want, done string
	}{
		{"two", a + "\n" + b + "\n", 2, b + "\n" + a + "\n", "the new key is the primary key; 1 older key still decrypts"},
		{"three", a + "\n" + b + "\n" + c + "\n", 2, c + "\n" + a + "\n" + b + "\n", "the new key is the primary key; 2 older keys still decrypt"},
		{"one too many", a + "\n" + b + "\n" + c + "\n", 1, c + "\n" + a + "\n", "the new key is the primary key; 1 older key still decrypts, 1 key removed; sessions encrypted only with removed keys are lost"},
		{"none kept", a + "\n" + b + "\n" + c + "\n", 0, c + "\n", "the new key is the primary key; 0 older keys still decrypt, 2 keys removed; sessions encrypted only with removed keys are lost"},
		{"comments", "# top\n" + a + "\n\n# below\n" + b + "\n# end", 2, "# top\n" + b + "\n\n# below\n" + a + "\n# end\n", ""},
		{"line ends", a + "\r\n" + b, 2, b + "\n" + a + "\n", ""},
	} {
		k := readKeyFile(test.text)
		done, err := k.promote(test.keep)
		if err != nil || k.text() != test.want || test.done != "" && done != test.done {
			t.Errorf("%s: %q, %q, %v", test.what, k.text(), done, err)
		}
	}
}

func TestRotationOutlivesALoginOnlyAsLongAsItsKeyIsKept(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(seal.NewKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	seal := func() string {
		sealed, err := ring(t, file).SecureCodec("test").Encode("n", 1)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	opens := func(sealed string) bool {
		var v int
		return ring(t, file).SecureCodec("test").Decode("n", sealed, &v) == nil
	}
	first := seal()
	for i := range 4 {
		before := seal()
		var out strings.Builder
		if code := run(t.Context(), []string{"keygen", "--rotate", file}, &out, &out); code != cli.ExitYes {
			t.Fatalf("exit code %d: %s", code, &out)
		}
		if !opens(before) {
			t.Errorf("rotation %d ended what was sealed just before it", i)
		}
		if got, want := opens(first), i < 2; got != want {
			t.Errorf("after rotation %d the first key opens: %v, want %v", i, got, want)
		}
	}
}

func ring(t *testing.T, file string) *seal.Keyring {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.ParseKeys(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return seal.NewKeyring(keys)
}

func TestRotatedFileIsStillItsOwners(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a file of another user")
	}
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(seal.NewKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 65532, 65533); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if code := run(t.Context(), []string{"keygen", "--rotate", file}, &out, &out); code != cli.ExitYes {
		t.Fatalf("exit code %d: %s", code, &out)
	}
	is, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if owner := fmt.Sprint(reflect.Indirect(reflect.ValueOf(is.Sys())).FieldByName("Uid"), ":", reflect.Indirect(reflect.ValueOf(is.Sys())).FieldByName("Gid")); owner != "65532:65533" {
		t.Errorf("the file belongs to %s, and authgate cannot read it", owner)
	}
}
