package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/session/seal"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/text/atomicfile"
)

func newKeygen() *cobra.Command {
	var rotate, stage, promote string
	var keep int
	cmd := &cobra.Command{
		Use:   "keygen [--rotate FILE | --stage FILE | --promote FILE]",
		Short: "Print a new session key, or rotate the keys in a file",
		Long: "Print a random session key, one line of base64, for the file that session.keys names. The\n" +
			"first key of the file encrypts, and every key decrypts. authgate reloads a changed file\n" +
			"within 2 seconds.\n\n" +
			"--rotate makes a new key the primary key. Use it with a single replica. With several\n" +
			"replicas, one that has not reloaded the file cannot decrypt what another encrypted, so\n" +
			"rotate in two steps: --stage adds a new key that only decrypts. When every replica has\n" +
			"loaded it, --promote makes it the primary key.\n\n" +
			"Older keys are kept after the first one (--keep of them), so that users stay signed in.\n" +
			"Sessions that were encrypted with a removed key are lost. The file is replaced atomically\n" +
			"and keeps its mode, owner and comments. The keys of a file are not printed." +
			cli.ExitCodes{
				0: "a key is printed, or the file is changed",
				3: "the file cannot be read, is not a key file, or cannot be replaced",
			}.Table(),
		Example: "  authgate keygen > /etc/authgate/session-keys\n" +
			"  authgate keygen --rotate /etc/authgate/session-keys",
		Args: cli.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if keep < 0 {
				return errors.New("--keep is negative; write how many older keys stay, such as 2")
			}
			switch {
			case cmd.Flags().Changed("stage"):
				if cmd.Flags().Changed("keep") {
					return errors.New("--stage removes no key; leave out --keep")
				}
				return changeKeys(out, stage, stageKey)
			case cmd.Flags().Changed("promote"):
				return changeKeys(out, promote, func(k *keyFile) (string, error) { return k.promote(keep) })
			case cmd.Flags().Changed("rotate"):
				return changeKeys(out, rotate, func(k *keyFile) (string, error) {
					k.add(seal.NewKey())
					return k.promote(keep)
				})
			case cmd.Flags().Changed("keep"):
				return errors.New("--keep belongs to --rotate or --promote")
			}
			_, err := fmt.Fprintln(out, seal.NewKey())
			return cli.WriteError(err)
		},
	}
	cmd.Flags().StringVar(&rotate, "rotate", "", "make a new key the primary key of this `FILE`")
	cmd.Flags().StringVar(&stage, "stage", "", "add a new key to this `FILE` that only decrypts")
	cmd.Flags().StringVar(&promote, "promote", "", "make the last key of this `FILE` the primary key")
	cmd.Flags().IntVar(&keep, "keep", 2, "how many older keys are kept after the first one")
	cli.Exclusive(cmd, "rotate", "stage", "promote")
	return cmd
}

// keyFile is a keys file, line by line: comments stay where they are.
type keyFile struct {
	lines []string
	keys  []int // the lines that hold keys, in the order of the file
}

func readKeyFile(text string) *keyFile {
	k := new(keyFile)
	for line := range strings.Lines(text) {
		k.addLine(strings.TrimRight(line, "\r\n"))
	}
	return k
}

func (k *keyFile) addLine(line string) {
	if text := strings.TrimSpace(line); text != "" && text[0] != '#' {
		k.keys = append(k.keys, len(k.lines))
	}
	k.lines = append(k.lines, line)
}

func (k *keyFile) add(key string) { k.addLine(key) }

func (k *keyFile) text() string { return strings.Join(k.lines, "\n") + "\n" }

// promote moves the last key to the place of the first one, and the others down by
// one, of which as many stay as keep says.
func (k *keyFile) promote(keep int) (done string, err error) {
	if len(k.keys) < 2 {
		return "", errors.New("the file has only one key, which is the primary key already; add another with --stage")
	}
	values := make([]string, len(k.keys))
	for i, at := range k.keys {
		values[i] = k.lines[at]
	}
	last := len(values) - 1
	values = append([]string{values[last]}, values[:last]...)
	for i, at := range k.keys {
		k.lines[at] = values[i]
	}
	removed := max(0, last-keep)
	for _, at := range slices.Backward(k.keys[len(k.keys)-removed:]) {
		k.lines = slices.Delete(k.lines, at, at+1)
	}
	k.keys = k.keys[:len(k.keys)-removed]
	done = "the new key is the primary key; " + cli.Plural(last-removed, "older key") + " still decrypt"
	if last-removed == 1 {
		done += "s"
	}
	if removed > 0 {
		done += ", " + cli.Plural(removed, "key") + " removed; sessions encrypted only with removed keys are lost"
	}
	return done, nil
}

func stageKey(k *keyFile) (string, error) {
	k.add(seal.NewKey())
	return "the new key only decrypts; when every replica has loaded the file (its log says `session keys reloaded`), " +
		"make it the primary key with --promote", nil
}

// changeKeys replaces the file whole, so that no process reads half a key, with its
// mode and its owner: one that authgate could not read would end its next start.
func changeKeys(out io.Writer, file string, change func(*keyFile) (string, error)) error {
	done, err := rewriteKeys(file, change)
	if err != nil {
		return cli.LoadError(fmt.Errorf("%s: %w", file, err))
	}
	_, err = fmt.Fprintf(out, "%s: %s\n", file, done)
	return cli.WriteError(err)
}

func rewriteKeys(file string, change func(*keyFile) (string, error)) (done string, err error) {
	if file == "" {
		return "", errors.New("no file is named")
	}
	name, err := filepath.EvalSymlinks(file)
	if err != nil {
		return "", fmt.Errorf("%w; `authgate keygen > %s` creates one", text.WithoutPath(err), file)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return "", text.WithoutPath(err)
	}
	if _, err := seal.ParseKeys(string(data)); err != nil {
		return "", err
	}
	k := readKeyFile(string(data))
	if done, err = change(k); err != nil {
		return "", err
	}
	if _, err := seal.ParseKeys(k.text()); err != nil { // else the next start would fail
		return "", err
	}
	pending, err := atomicfile.Replace(name, []byte(k.text()))
	if err != nil {
		return "", err
	}
	defer pending.Discard()
	if err := pending.KeepOwner(); err != nil {
		return "", fmt.Errorf("the owner of the file cannot be kept: %w; run this as that owner, or as root",
			text.WithoutPath(err))
	}
	return done, pending.Commit()
}
