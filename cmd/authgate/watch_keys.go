package main

import (
	"slices"
	"strings"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/session"
)

// followKeys puts changed session keys in force. Only a file can change: what an
// environment variable holds stays what it was.
func (w *fileWatch) followKeys(secret config.Secret, read string, ring *session.Ring) {
	file := secret.File()
	if file == "" {
		return
	}
	inForce := keyLines(read)
	w.follow(w.counted("session.keys", &followed{
		what: "session keys", files: []string{file}, judged: sum([][]byte{[]byte(read)}, nil),
		read: func(...string) ([][]byte, error) {
			text, err := secret.Reveal()
			return [][]byte{[]byte(text)}, err
		},
		take: func(contents [][]byte) error {
			text := string(contents[0])
			keys, err := session.ParseKeys(text)
			if err != nil {
				return err
			}
			ring.Set(keys)
			w.tellOfKeys(file, inForce, keyLines(text))
			inForce = keyLines(text)
			return nil
		},
		keep: func(err error) {
			w.log.Error("the changed session keys are not used, the last good ones stay", "file", file, "error", err)
		},
	}))
}

// tellOfKeys says what became of the keys, and never one of them.
func (w *fileWatch) tellOfKeys(file string, had, has []string) {
	kept := 0
	for _, key := range had {
		if slices.Contains(has, key) {
			kept++
		}
	}
	log := w.log.With("file", file, "keys", len(has), "new", len(has)-kept, "gone", len(had)-kept, "another_seals", had[0] != has[0])
	if kept == 0 {
		log.Warn("changed session keys are in use, and none of the former ones is among them: everybody has to sign in again")
		return
	}
	log.Info("changed session keys are in use")
}

// keyLines gives the lines of a keys file that hold a key, as session.ParseKeys
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
