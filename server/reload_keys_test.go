package server

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/session/seal"
)

// keyring is a keys file that is followed, and what of it is in force.
type keyring struct {
	*reloader
	*seal.Keyring

	file   string
	log    bytes.Buffer
	sealed string // by the keys that were in force at the start
}

func newKeyring(t *testing.T, text string) *keyring {
	t.Helper()
	k := &keyring{file: filepath.Join(t.TempDir(), "session-keys")}
	write(t, k.file, text)
	keys, err := seal.ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	k.Keyring = seal.NewKeyring(keys)
	k.reloader = newReloader(slog.New(slog.NewTextHandler(&k.log, nil)))
	c, err := config.Parse(filepath.Join(filepath.Dir(k.file), "authgate.yaml"), []byte(
		"issuer: {url: https://dex.example.com, clientID: a, clientSecret: b}\nsession: {keys: {file: session-keys}}\nupstreams: [{name: a, hosts: [a.example.com], url: http://a}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	k.watchKeys(c.Session.Keys, strings.TrimRight(text, "\n"), k.Keyring)
	k.sealed = k.seal(t)
	return k
}

func (k *keyring) seal(t *testing.T) string {
	t.Helper()
	sealed, err := k.SecureCodec("test").Encode("name", "value")
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func (k *keyring) opens(sealed string) bool {
	var value string
	return k.SecureCodec("test").Decode("name", sealed, &value) == nil && value == "value"
}

// settle looks as often as it takes to judge a change.
func (k *keyring) settle(t *testing.T) {
	t.Helper()
	for range 10 {
		if !k.watcher.Check() {
			return
		}
	}
	t.Fatal("the file does not rest")
}

func TestChangedSessionKeysAreInForceWithoutARestart(t *testing.T) {
	t.Parallel()
	first, second, third := seal.NewKey(), seal.NewKey(), seal.NewKey()
	k := newKeyring(t, first+"\n")
	k.settle(t)
	if k.log.Len() > 0 {
		t.Errorf("an unchanged file: %s", k.log.String())
	}

	write(t, k.file, "# rotated\n"+second+"\n"+first+"\n")
	k.settle(t)
	if !k.opens(k.sealed) {
		t.Error("what an older key sealed does not open any more")
	}
	bySecond := k.seal(t)
	for _, want := range []string{"level=INFO", "session keys reloaded", "keys=2 added=1 removed=0 primary_changed=true"} {
		if !strings.Contains(k.log.String(), want) {
			t.Errorf("%q is not in %s", want, k.log.String())
		}
	}

	k.log.Reset()
	write(t, k.file, second+"\n")
	k.settle(t)
	if k.opens(k.sealed) || !k.opens(bySecond) {
		t.Error("a key that is gone still opens, or one that stays does not")
	}
	if !strings.Contains(k.log.String(), "keys=1 added=0 removed=1 primary_changed=false") {
		t.Error(k.log.String())
	}

	k.log.Reset()
	write(t, k.file, third+"\n")
	k.settle(t)
	if k.opens(bySecond) || !strings.Contains(k.log.String(), "level=WARN") || !strings.Contains(k.log.String(), "every user must sign in again") {
		t.Errorf("all keys are new: %s", k.log.String())
	}
	for _, key := range []string{first, second, third} {
		if strings.Contains(k.log.String(), key) {
			t.Error("a key is in the log")
		}
	}
}

func TestSessionKeysThatDoNotLoadLeaveTheLastGoodOnesInForce(t *testing.T) {
	t.Parallel()
	good := seal.NewKey()
	for what, text := range map[string]string{
		"no key": "# none\n", "nothing": "", "a short one": good + "\nc2hvcnQ=\n", "half of one": good[:20] + "\n", "something else": "hunter2 hunter2\n",
	} {
		k := newKeyring(t, good+"\n")
		write(t, k.file, text)
		k.settle(t)
		if !k.opens(k.sealed) || !k.opens(k.seal(t)) {
			t.Errorf("%s: the last good key is not in force", what)
		}
		if log := k.log.String(); strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, k.file) || strings.Contains(log, "hunter2") || strings.Contains(log, good[:20]) {
			t.Errorf("%s: %s", what, log)
		}
		k.log.Reset()
		k.settle(t)
		if k.log.Len() > 0 {
			t.Errorf("%s is told again: %s", what, k.log.String())
		}
		write(t, k.file, seal.NewKey()+"\n"+good+"\n")
		k.settle(t)
		if !strings.Contains(k.log.String(), "keys=2 added=1 removed=0") {
			t.Errorf("after %s a good file is not taken: %s", what, k.log.String())
		}
	}
	k := newKeyring(t, good+"\n")
	if err := os.Remove(k.file); err != nil {
		t.Fatal(err)
	}
	k.settle(t)
	if !k.opens(k.sealed) || !strings.Contains(k.log.String(), "the previous keys stay in use") {
		t.Errorf("the file is gone: %s", k.log.String())
	}
}
