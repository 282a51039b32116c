package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a process may take to end after SIGTERM.
const stopGrace = 90 * time.Second // kube-apiserver takes its time on a loaded machine

// Command is what to run and where its two streams go.
type Command struct {
	Name   string   // as errors call it
	Path   string   // the binary
	Args   []string // without the program's own name
	Dir    string   // working folder
	Env    []string // on top of the process's own
	Stdout string   // file, appended to
	Stderr string   // file, appended to; may equal Stdout
}

// Process is a running Command. Its methods may be called by any goroutine.
type Process struct {
	command Command
	cmd     *exec.Cmd
	done    chan struct{} // closed when the process has ended
	err     error         // readable once done is closed
}

// Start runs c until Stop; ctx only covers the start. The process is in a group
// of its own, so that Ctrl-C reaches the starter alone, who then stops things in
// their order.
func Start(ctx context.Context, c Command) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.SysProcAttr = detached()
	stdout, err := openLog(c.Stdout)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	defer stdout.Close() // the child has its own descriptor
	stderr := stdout
	if c.Stderr != c.Stdout {
		if stderr, err = openLog(c.Stderr); err != nil {
			return nil, fmt.Errorf("starting %s: %w", c.Name, err)
		}
		defer stderr.Close() // as above
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	p := &Process{command: c, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// ID is the number by which the system knows the process.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended, for any reason.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signalling %s: %w", p.command.Name, err)
	}
	return nil
}

// ExitCode waits for the end. It is -1 where a signal ended the process.
func (p *Process) ExitCode(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for %s to end: %w", p.command.Name, ctx.Err())
	}
}

// Stop asks the process to end, and kills it if it does not listen. Stopping
// one that has ended already is no error.
func (p *Process) Stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		_ = p.cmd.Process.Kill() // Windows has no SIGTERM to send
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-p.done:
		return nil
	case <-grace.C:
		err := p.cmd.Process.Kill()
		<-p.done
		return errors.Join(fmt.Errorf("%s did not end within %s and was killed", p.command.Name, stopGrace), err)
	}
}

// Await calls ready until it has no complaint. A process that ends meanwhile is
// reported with the last lines of its log, as is one that never gets there.
func (p *Process) Await(ctx context.Context, ready func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		complaint := ready(ctx)
		if complaint == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended early: %w\n%s", p.command.Name, p.ended(), p.Tail(15))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.command.Name, complaint, p.Tail(15))
		case <-tick.C:
		}
	}
}

func (p *Process) ended() error {
	if p.err != nil {
		return p.err
	}
	return errors.New("exit status 0")
}

// Tail is the end of what the process has said on stderr.
func (p *Process) Tail(lines int) string {
	said, err := os.ReadFile(p.command.Stderr)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(string(bytes.TrimSpace(said)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
