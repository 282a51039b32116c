package server

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/server/watch"
	"github.com/example-org/authgate/session/seal"
)

// watchKeys puts changed session keys in force. Only a file can change: what an
// environment variable holds stays what it was.
func (w *reloader) watchKeys(secret config.Secret, initial string, keyring *seal.Keyring) {
	file := secret.File()
	if file == "" {
		return
	}
	activeKeys := keyLines(initial)
	w.watcher.Add(w.countReloads("session.keys", &watch.Files{
		Name: "session keys", Paths: []string{file},
		Read: func() ([][]byte, error) {
			text, err := secret.Reveal()
			return [][]byte{[]byte(text)}, err
		},
		Apply: func(contents [][]byte) error {
			text := string(contents[0])
			keys, err := seal.ParseKeys(text)
			if err != nil {
				return err
			}
			keyring.Set(keys)
			w.logKeyChange(file, activeKeys, keyLines(text))
			activeKeys = keyLines(text)
			return nil
		},
		OnError: func(err error) {
			w.log.Error("changed session keys rejected; the previous keys stay in use", "file", file, "error", err)
		},
	}), [][]byte{[]byte(initial)})
}

// logKeyChange logs how the keys changed, without the keys.
func (w *reloader) logKeyChange(file string, before, after []string) {
	kept := 0
	for _, key := range before {
		if slices.Contains(after, key) {
			kept++
		}
	}
	log := w.log.With("file", file, "keys", len(after), "added", len(after)-kept, "removed", len(before)-kept,
		"primary_changed", before[0] != after[0])
	if kept == 0 {
		log.Warn("session keys reloaded without any of the previous keys: every user must sign in again")
		return
	}
	log.Info("session keys reloaded")
}

// keyLines gives the lines of a keys file that hold a key, as seal.ParseKeys
// sees them: each once.
func keyLines(text string) []string {
	var keys []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && !slices.Contains(keys, line) {
			keys = append(keys, line)
		}
	}
	return keys
}
