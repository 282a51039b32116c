//go:build linux

package redisstore_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is a Redis of its own, on a port of 127.0.0.1.
type server struct {
	program string
	port    int
	dir     string
	args    []string
	cmd     *exec.Cmd
	client  *redis.Client // what an operator would use
}

func startRedis(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{program: program(t, "redis-server"), port: freePort(t), dir: t.TempDir()}
	s.args = append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", s.dir, "--save", "", "--daemonize", "no"}, args...)
	s.client = redis.NewClient(&redis.Options{Addr: s.addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = s.client.Close() })
	s.start(t)
	return s
}

func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed (on Debian: apt-get install --no-install-recommends redis-server redis-sentinel): %v", name, err)
	}
	return path
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *server) addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }
func (s *server) url() string  { return "redis://" + s.addr() + "/0" }

func (s *server) start(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(s.program, s.args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd := s.cmd
	t.Cleanup(func() { s.end(cmd) })
	until(t, 10*time.Second, "redis listens", func() error {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", s.addr())
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// kill ends the server as a crash would.
func (s *server) kill() { s.end(s.cmd) }

func (s *server) end(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func (s *server) pause(t testing.TB)  { s.signal(t, syscall.SIGSTOP) }
func (s *server) resume(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// do sends a command to the server.
func (s *server) do(t testing.TB, command ...any) {
	t.Helper()
	if err := s.client.Do(context.Background(), command...).Err(); err != nil {
		t.Fatal(err)
	}
}

// keys gives the names of everything that is in Redis.
func (s *server) keys(t testing.TB, pattern string) []string {
	t.Helper()
	names, err := s.client.Keys(context.Background(), pattern).Result()
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// polled waits until every replica has heard what changed, on its clock of now.
func (s *server) polled(t testing.TB, replicas int) {
	t.Helper()
	calls := func() (n int) {
		_, stats, _ := strings.Cut(s.client.Info(context.Background(), "commandstats").Val(), "cmdstat_xrange:calls=")
		_, _ = fmt.Sscan(strings.ReplaceAll(stats, ",", " "), &n)
		return n
	}
	before := calls()
	until(t, 10*time.Second, "all replicas have polled", func() error {
		if now := calls(); now < before+3*replicas { // one of them may have been under way
			return fmt.Errorf("%d polls", now-before)
		}
		return nil
	})
}

// until waits for a condition.
func until(t testing.TB, patience time.Duration, what string, holds func() error) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %s: %v", patience, what, err)
		case <-tick.C:
		}
	}
}

// withTLS writes a CA and a certificate for 127.0.0.1, and gives the server's
// arguments and the CA.
func withTLS(t testing.TB) (args []string, pool *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{"crt": cert, "key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return []string{
		"--tls-cert-file", filepath.Join(dir, "crt"), "--tls-key-file", filepath.Join(dir, "key"),
		"--tls-ca-cert-file", filepath.Join(dir, "crt"), "--tls-auth-clients", "no",
	}, pool
}

// sentinel watches a master and makes its replica the new one. It gives the URL.
func sentinel(t testing.TB, master *server) string {
	t.Helper()
	s := &server{program: program(t, "redis-sentinel"), port: freePort(t), dir: t.TempDir()}
	file := filepath.Join(s.dir, "sentinel.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %d\ndir %s\nsentinel monitor sessions 127.0.0.1 %d 1\nsentinel down-after-milliseconds sessions 500\nsentinel failover-timeout sessions 2000\n",
		s.port, s.dir, master.port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{file}
	s.start(t)
	admin := redis.NewSentinelClient(&redis.Options{Addr: s.addr()})
	defer admin.Close()
	until(t, 20*time.Second, "the sentinel knows the replica", func() error {
		known, err := admin.Replicas(t.Context(), "sessions").Result()
		if err != nil || len(known) == 0 || known[0]["master-link-status"] != "ok" {
			return fmt.Errorf("%d replicas, %w", len(known), err)
		}
		return nil
	})
	return "redis://" + s.addr() + "/0?master_name=sessions"
}
