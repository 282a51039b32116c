package cli

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/program"
)

const (
	passing = "p, role:viewer, argocd, /**, GET, allow\n"
	denying = passing + "p, role:viewer, argocd, /terminal, GET, deny\n"
	faulty  = "p, role:viewer, argocd, /**, GET, alow\n"
)

// watching is an `authgate policy test --watch` that runs in a folder.
type watching struct {
	*testing.T
	dir            string
	cmd            *exec.Cmd
	stdout, stderr <-chan string // lines; closed at the end
}

func watch(t *testing.T, args ...string) *watching {
	t.Helper()
	w := &watching{T: t, dir: t.TempDir()}
	w.write("policy.csv", passing)
	w.write("cases.csv", "who, method, target, expect, rule\nrole:viewer, GET, argocd:/terminal, allow\n")
	w.cmd = exec.Command(build(t), append([]string{"policy", "test", "--policy", "policy.csv", "--watch", "cases.csv"}, args...)...)
	w.cmd.Dir = w.dir
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := w.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.cmd.Process.Kill() })
	w.stdout, w.stderr = lines(stdout), lines(stderr)
	return w
}

func build(t *testing.T) string {
	t.Helper()
	bin, err := program.Authgate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func lines(r io.Reader) <-chan string {
	all := make(chan string, 1000)
	go func() {
		defer close(all)
		for s := bufio.NewScanner(r); s.Scan(); {
			all <- s.Text()
		}
	}()
	return all
}

// write replaces a file at once, as editors do.
func (w *watching) write(name, text string) {
	w.Helper()
	file := filepath.Join(w.dir, name)
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		w.Fatal(err)
	}
}

// sees waits for a line.
func (w *watching) sees(from <-chan string, want string) {
	w.Helper()
	var before []string
	timeout := time.After(30 * time.Second)
	for {
		select {
		case line, ok := <-from:
			if !ok {
				w.Fatalf("it ended without %q, after:\n%s", want, strings.Join(before, "\n"))
			}
			if strings.Contains(line, "\x1b") {
				w.Errorf("a line for no terminal holds an escape: %q", line)
			}
			if line == want {
				return
			}
			before = append(before, line)
		case <-timeout:
			w.Fatalf("no line %q, but:\n%s", want, strings.Join(before, "\n"))
		}
	}
}

// interrupt is Ctrl-C. It gives the exit code, and what was said since on stderr.
func (w *watching) interrupt() (code int, said string) {
	w.Helper()
	if err := w.cmd.Process.Signal(os.Interrupt); err != nil {
		w.Fatal(err)
	}
	var rest []string
	for line := range w.stderr {
		rest = append(rest, line)
	}
	for range w.stdout { // the pipes are read to their ends before Wait closes them
	}
	var exit *exec.ExitError
	if err := w.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		w.Fatal(err)
	}
	return w.cmd.ProcessState.ExitCode(), strings.Join(rest, "\n")
}

func TestCasesRunAgainWhenAFileChanges(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.sees(w.stdout, "1 case, 0 failed; 1 of 1 row decided a case (100 %)")
	w.sees(w.stdout, "watching; Ctrl-C ends")

	w.write("policy.csv", denying)
	w.sees(w.stdout, "--- policy.csv changed ---")
	w.sees(w.stdout, "FAIL  cases.csv:2: expected allow, got deny")
	w.sees(w.stdout, "watching; Ctrl-C ends")

	w.write("cases.csv", "who, method, target, expect, rule\nrole:viewer, GET, argocd:/terminal, deny\n")
	w.sees(w.stdout, "--- cases.csv changed ---")
	w.sees(w.stdout, "1 case, 0 failed; 1 of 2 rows decided a case (50 %)")
	w.sees(w.stdout, "watching; Ctrl-C ends")

	if code, said := w.interrupt(); code != 0 || said != "" {
		t.Errorf("exit code %d and %q, want 0 and nothing", code, said)
	}
}

func TestWatchingGoesOnAfterAFault(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.sees(w.stdout, "watching; Ctrl-C ends")

	w.write("policy.csv", faulty)
	w.sees(w.stderr, `policy.csv:1:35: effect "alow" is not known; write "allow"`)
	w.sees(w.stdout, "watching; Ctrl-C ends")

	if err := os.Remove(filepath.Join(w.dir, "cases.csv")); err != nil {
		t.Fatal(err)
	}
	w.write("policy.csv", denying)
	w.sees(w.stderr, "authgate: case file: open cases.csv: no such file or directory")
	w.sees(w.stdout, "watching; Ctrl-C ends")

	w.write("cases.csv", "who, method, target, expect, rule\nrole:viewer, GET, argocd:/terminal, allow\n")
	w.sees(w.stdout, "FAIL  cases.csv:2: expected allow, got deny")
	w.sees(w.stdout, "watching; Ctrl-C ends")
	if code, said := w.interrupt(); code != 1 || said != "" {
		t.Errorf("exit code %d and %q, want 1 and nothing", code, said)
	}
}

func TestTheExitCodeIsThatOfTheLastRun(t *testing.T) {
	t.Parallel()
	w := watch(t, "-o", "json")
	w.write("policy.csv", faulty)
	w.sees(w.stderr, `policy.csv:1:35: effect "alow" is not known; write "allow"`)
	if code, said := w.interrupt(); code != 3 || said != "" {
		t.Errorf("exit code %d and %q, want 3 and nothing said twice", code, said)
	}
}
