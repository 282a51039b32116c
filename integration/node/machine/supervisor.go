//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// process is a program of the node.
type process struct {
	name, path string
	args       []string
}

// supervisor starts processes, and collects them and all that they leave behind: the
// first process of a namespace is the parent of each whose own has ended.
type supervisor struct {
	logs string

	mu      sync.Mutex
	running map[int]string // :: process id → name
	ending  bool
	reason  error // why it ends; nil where it was asked to
}

func newSupervisor(logs string) *supervisor {
	return &supervisor{logs: logs, running: map[int]string{}}
}

// start runs processes with their logs in files.
func (s *supervisor) start(all ...process) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range all {
		if s.ending {
			return errors.New("the node is ending")
		}
		log, err := os.OpenFile(filepath.Join(s.logs, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		nothing, err := os.Open(os.DevNull)
		if err != nil {
			return errors.Join(err, log.Close())
		}
		id, err := syscall.ForkExec(p.path, append([]string{p.path}, p.args...), &syscall.ProcAttr{
			Dir: s.logs, Env: os.Environ(), Files: []uintptr{nothing.Fd(), log.Fd(), log.Fd()},
		})
		if err := errors.Join(err, nothing.Close(), log.Close()); err != nil {
			return fmt.Errorf("starting %s: %w", p.name, err)
		}
		s.running[id] = p.name
	}
	return nil
}

// collect returns once every process of the namespace has ended, and why. They end
// together.
func (s *supervisor) collect() error {
	for {
		var status syscall.WaitStatus
		id, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.ECHILD):
			if ending, reason := s.isEnding(); ending {
				return reason
			}
			time.Sleep(10 * time.Millisecond) // nothing has started yet
			continue
		case err != nil:
			return err
		}
		if name := s.forget(id); name != "" {
			s.end(fmt.Errorf("%s has ended: %s", name, describe(status)))
		}
	}
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return status.Signal().String()
	}
	return fmt.Sprintf("exit code %d", status.ExitStatus())
}

func (s *supervisor) forget(id int) (name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = s.running[id]
	delete(s.running, id)
	return name
}

func (s *supervisor) isEnding() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending, s.reason
}

// end kills every process of the namespace but this one. The first reason counts.
func (s *supervisor) end(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ending {
		s.ending, s.reason = true, reason
	}
	_ = syscall.Kill(-1, syscall.SIGKILL) // an error says that there is none
}
