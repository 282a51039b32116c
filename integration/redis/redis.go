//go:build unix

// Package redis knows how to run a Redis for a test: on a port of 127.0.0.1, with files in
// a folder of the caller, and with the failures that a Redis has in operation.
package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/example-org/authgate/integration/program"
)

// Options say what kind of Redis it is. The zero Options are one without TLS,
// user and memory of the time before a Restart.
type Options struct {
	Port int // 0: a free one

	TLS bool // with a certificate of CAFile's authority, for 127.0.0.1

	// User is an ACL user with Password who may do what docs/operations.md says
	// authgate needs; other users may do nothing. A Password without a User is
	// that of the default user.
	User, Password string

	Persistent bool // what was acknowledged outlives Restart

	Args []string // of redis-server, on top
}

// Server is a running Redis.
type Server struct {
	URL    string // for session.redis.url
	CAFile string // for session.redis.caFile; empty without TLS

	port    int
	held    *program.Port // nil: the caller chose it
	command program.Command
	process *program.Process
	options Options
}

// startTimeout bounds how long a Redis may take to listen.
const startTimeout = 15 * time.Second

// Start starts a Redis with its files in dir, and waits until it listens.
func Start(ctx context.Context, dir string, o Options) (*Server, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w (on Debian: apt-get install --no-install-recommends redis-server)", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("starting redis: %w", err)
	}
	s := &Server{port: o.Port, options: o}
	if s.port == 0 {
		if s.held, err = program.ReservePort(ctx); err != nil {
			return nil, fmt.Errorf("starting redis: %w", err)
		}
		s.port = s.held.Number
	}
	args, err := s.arguments(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting redis: %w", err), s.release())
	}
	s.command = program.Command{
		Name: "redis", Path: path, Args: args, Dir: dir,
		Stdout: filepath.Join(dir, "redis.log"), Stderr: filepath.Join(dir, "redis.log"),
	}
	if err := s.run(ctx); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

// arguments writes the files that a Redis needs. Users stand in one, and not in
// the arguments, which every user of the machine can read.
func (s *Server) arguments(dir string) ([]string, error) {
	o := s.options
	port := strconv.Itoa(s.port)
	args := []string{"--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no", "--save", ""}
	address := &url.URL{Scheme: "redis", Host: net.JoinHostPort("127.0.0.1", port), Path: "/0"}
	if o.TLS {
		address.Scheme = "rediss"
		files, err := writeCertificate(dir)
		if err != nil {
			return nil, err
		}
		s.CAFile = files.ca
		args = append(args, "--port", "0", "--tls-port", port, "--tls-cert-file", files.certificate, "--tls-key-file", files.key,
			"--tls-ca-cert-file", files.ca, "--tls-auth-clients", "no")
	} else {
		args = append(args, "--port", port)
	}
	if o.Persistent {
		args = append(args, "--appendonly", "yes", "--appendfsync", "always")
	}
	if o.User != "" || o.Password != "" {
		file := filepath.Join(dir, "users.acl")
		if err := os.WriteFile(file, []byte(o.users()), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--aclfile", file)
		address.User = url.UserPassword(o.User, o.Password)
	}
	s.URL = address.String()
	return append(args, o.Args...), nil
}

// ACLRules are what a user of authgate's may do in Redis, as an ACL has it.
const ACLRules = "~authgate:* -@all +@connection +get +set +del +type +hget +hset +hdel +hmget +hincrby +pexpire +pttl +time " +
	"+zadd +zrem +zcard +zrange +zrangebyscore +zremrangebyscore +xadd +xrange +xrevrange +eval +evalsha"

func (o Options) users() string {
	if o.User == "" {
		return "user default on >" + o.Password + " ~* &* +@all\n"
	}
	return "user default off\nuser " + o.User + " on >" + o.Password + " " + ACLRules + "\n"
}

func (s *Server) run(ctx context.Context) error {
	process, err := program.Start(ctx, s.command)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := process.Await(ctx, s.listens); err != nil {
		return errors.Join(err, process.Stop())
	}
	s.process = process
	return nil
}

// listens reports whether the server answers. Over TLS it is enough that it
// accepts; else it must have read its data, too.
func (s *Server) listens(ctx context.Context) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
	if err != nil {
		return err
	}
	defer c.Close()
	if s.options.TLS {
		return nil
	}
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if strings.HasPrefix(answer, "+PONG") || strings.HasPrefix(answer, "-NOAUTH") {
		return nil
	}
	return errors.New(strings.TrimSpace(answer))
}

// Stop ends the server for good.
func (s *Server) Stop() error {
	_ = s.process.Signal(syscall.SIGCONT) // a paused one hears nothing; an ended one needs not
	return errors.Join(s.process.Stop(), s.release())
}

func (s *Server) release() error {
	if s.held == nil {
		return nil
	}
	held := s.held
	s.held = nil
	return held.Release()
}

// Kill ends the server as a crash would. Restart brings it back.
func (s *Server) Kill() error {
	if err := s.process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-s.process.Done()
	return nil
}

// Restart ends the server, if it runs, and starts it again at the same address.
func (s *Server) Restart(ctx context.Context) error {
	_ = s.process.Signal(syscall.SIGCONT) // as in Stop
	if err := s.process.Stop(); err != nil {
		return err
	}
	return s.run(ctx)
}

// Pause makes the server hang: it accepts connections and answers nothing.
func (s *Server) Pause() error { return s.process.Signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (s *Server) Resume() error { return s.process.Signal(syscall.SIGCONT) }
