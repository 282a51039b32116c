package policycmd

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/server/watch"
)

const maxUnsettled = 10 // looks at files that change each time, until the cases run nevertheless

// watch runs the cases whenever a file that they depend on changes, until Ctrl-C.
// What does not load is shown, and waited out. The exit code is that of the last
// run.
func (t *policyTest) watch(cmd *cobra.Command) error {
	if t.flags.usesStdin() {
		return errors.New("--watch reads the policy again, and standard input can be read once; name a file")
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ticker := time.NewTicker(watch.PollInterval)
	defer ticker.Stop()

	var seen map[string]string
	var last error
	for {
		files := t.watchedFiles()
		now := hashFiles(files)
		changed := changedFiles(files, seen, now)
		if len(changed) > 0 && seen != nil {
			now = settledHashes(ctx, files, now)
			changed = changedFiles(files, seen, now)
		}
		if seen == nil || len(changed) > 0 {
			last = t.runAgain(cmd, changed, seen != nil)
			if seen = now; !isRetryable(last) {
				return last
			}
		}
		select {
		case <-ctx.Done():
			return finalError(last)
		case <-ticker.C:
		}
	}
}

// settledHashes waits until two looks in a row find the same, because a file that is
// being written is incomplete.
func settledHashes(ctx context.Context, files []string, last map[string]string) map[string]string {
	for range maxUnsettled {
		select {
		case <-ctx.Done():
			return last
		case <-time.After(watch.SettleDelay):
		}
		now := hashFiles(files)
		if maps.Equal(now, last) {
			return now
		}
		last = now
	}
	return last
}

func (t *policyTest) runAgain(cmd *cobra.Command, changed []string, again bool) error {
	out := cli.NewPrinter(cmd.OutOrStdout())
	if t.out.Format == cli.TextFormat && again {
		if cli.IsTerminal(cmd.OutOrStdout()) {
			out.Line("\x1b[2J\x1b[3J\x1b[H")
		}
		out.Line("%s", out.Bold("--- "+strings.Join(changed, ", ")+" changed ---"))
	}
	err := t.run(cmd)
	if err != nil && isRetryable(err) {
		cli.ExitCode(cmd.ErrOrStderr(), cmd, err) // for what it says
	}
	if t.out.Format == cli.TextFormat && isRetryable(err) {
		out.Line("%s", out.Dim("watching; Ctrl-C ends"))
	}
	return err
}

// watchedFiles names the files on which the next run depends.
func (t *policyTest) watchedFiles() []string {
	files := append(append([]string{}, t.flags.policies...), t.files...)
	name := t.flags.config
	if name == "" && len(t.flags.policies) > 0 {
		return files
	}
	name, err := cli.FindConfig(name)
	if err != nil {
		return files
	}
	files = append(files, name)
	if c, err := config.Load(name); err == nil && len(t.flags.policies) == 0 {
		files = append(files, c.Policy.Files...)
	}
	return files
}

// hashFiles identifies the contents of files, or why they cannot be read.
func hashFiles(files []string) map[string]string {
	hashes := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			hashes[file] = err.Error()
			continue
		}
		sum := sha256.Sum256(data)
		hashes[file] = string(sum[:])
	}
	return hashes
}

func changedFiles(files []string, before, now map[string]string) []string {
	var changed []string
	for _, file := range files {
		if before[file] != now[file] {
			changed = append(changed, file)
		}
	}
	return changed
}

// isRetryable reports whether another content of the files may end otherwise, which
// no other command line is needed for.
func isRetryable(err error) bool {
	return err == nil || errors.Is(err, cli.ErrNo) || cli.IsLoadError(err)
}

// finalError is how the last run ended, without saying it a second time.
func finalError(err error) error {
	if err == nil || errors.Is(err, cli.ErrNo) {
		return err
	}
	return cli.LoadError(reportedError{err})
}

// reportedError is an error that has nothing more to say.
type reportedError struct{ error }

func (reportedError) Unwrap() []error { return nil }
