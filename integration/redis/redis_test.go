//go:build unix

package redis_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/redis"
)

// say speaks to a Redis as its URL says, and gives the first line of each answer.
func say(s *redis.Server, patience time.Duration, commands ...string) ([]string, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, err
	}
	c, err := net.DialTimeout("tcp", u.Host, patience)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if u.Scheme == "rediss" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		c = tls.Client(c, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if password, ok := u.User.Password(); ok {
		commands = append([]string{strings.Join(strings.Fields("AUTH "+u.User.Username()+" "+password), " ")}, commands...)
	}
	answers := bufio.NewReader(c)
	var all []string
	for _, command := range commands {
		if _, err := io.WriteString(c, command+"\r\n"); err != nil {
			return all, err
		}
		answer, err := answers.ReadString('\n')
		if err != nil {
			return all, err
		}
		all = append(all, strings.TrimSpace(answer))
	}
	return all, nil
}

func start(t *testing.T, o redis.Options) *redis.Server {
	t.Helper()
	s, err := redis.Start(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestARedisIsReachedAsItsURLSays(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options redis.Options
		say     string
		want    string
	}{
		"plain":              {redis.Options{}, "PING", "+PONG"},
		"TLS":                {redis.Options{TLS: true}, "PING", "+PONG"},
		"password":           {redis.Options{Password: "p4ss"}, "SET x y", "+OK"},
		"ACL user":           {redis.Options{User: "authgate", Password: "p4ss", TLS: true}, "SET authgate:x y", "+OK"},
		"ACL user elsewhere": {redis.Options{User: "authgate", Password: "p4ss"}, "SET other y", "-NOPERM"},
		"ACL user too much":  {redis.Options{User: "authgate", Password: "p4ss"}, "FLUSHALL", "-NOPERM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, test.options)
			answers, err := say(s, 5*time.Second, test.say)
			if err != nil || !strings.HasPrefix(answers[len(answers)-1], test.want) {
				t.Errorf("%q %v, want %s", answers, err, test.want)
			}
		})
	}
}

func TestAPausedRedisHangsUntilItIsResumed(t *testing.T) {
	t.Parallel()
	s := start(t, redis.Options{})
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := say(s, 300*time.Millisecond, "PING"); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("paused: %v", err)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if answers, err := say(s, 5*time.Second, "PING"); err != nil {
		t.Errorf("resumed: %q %v", answers, err)
	}
}

func TestOnlyAPersistentRedisRemembersAcrossARestart(t *testing.T) {
	t.Parallel()
	for persistent, want := range map[bool]string{true: "$1", false: "$-1"} {
		s := start(t, redis.Options{Persistent: persistent})
		address := s.URL
		if _, err := say(s, 5*time.Second, "SET x y"); err != nil {
			t.Fatal(err)
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if answers, err := say(s, time.Second, "PING"); err == nil {
			t.Errorf("killed, it answers %q", answers)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if answers, err := say(s, 5*time.Second, "GET x"); err != nil || answers[0] != want || s.URL != address {
			t.Errorf("persistent %v: %q %v", persistent, answers, err)
		}
	}
}

func TestARedisThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := redis.Start(ctx, t.TempDir(), redis.Options{Args: []string{"--no-such-option", "yes"}})
	if err == nil {
		t.Fatal(errors.Join(fmt.Errorf("it started"), s.Stop()))
	}
	if !strings.Contains(err.Error(), "no-such-option") {
		t.Error(err)
	}
}
