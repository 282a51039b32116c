package listen_test

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/example-org/authgate/listen"
)

func open(t *testing.T, address string, connections int) net.Listener {
	t.Helper()
	l, err := listen.Open(t.Context(), address, connections)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// refuses wants an error that holds all the words.
func refuses(t *testing.T, address string, words ...string) {
	t.Helper()
	l, err := listen.Open(t.Context(), address, 0)
	if err == nil {
		l.Close()
		t.Fatalf("%s was opened", address)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

// crash leaves a socket file without a listener.
func crash(t *testing.T, file string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", file)
	if err != nil {
		t.Fatal(err)
	}
	unix, _ := l.(*net.UnixListener)
	unix.SetUnlinkOnClose(false)
	if err := unix.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(file); err != nil {
		t.Fatal(err)
	}
}

// talks sends a word through the socket.
func talks(t *testing.T, l net.Listener) {
	t.Helper()
	go func() {
		if conn, err := l.Accept(); err == nil {
			_, _ = io.WriteString(conn, "hello")
			conn.Close()
		}
	}()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if said, err := io.ReadAll(conn); string(said) != "hello" {
		t.Errorf("%q %v", said, err)
	}
}

func TestSocketIsForItsOwnerAndItsGroupAndGoesWithItsListener(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "authgate.sock")
	l := open(t, "unix:"+file, 0)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("mode %s", info.Mode())
	}
	talks(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the end: %v", err)
	}
}

func TestSocketThatACrashLeftIsReplaced(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "authgate.sock")
	crash(t, file)
	talks(t, open(t, "unix:"+file, 0))
}

func TestSocketInUseIsLeftAlone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "authgate.sock")
	first := open(t, "unix:"+file, 0)
	refuses(t, "unix:"+file, file, "another process listens", "write another path")
	probe, err := first.Accept() // the probe for a listener
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	talks(t, first)
}

// A socket of another type does not refuse the question, it does not understand it.
func TestSocketThatGivesNoAnswerIsLeftAlone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "log.sock")
	syslog, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "unixgram", file)
	if err != nil {
		t.Fatal(err)
	}
	defer syslog.Close()
	refuses(t, "unix:"+file, file, "checking whether the existing socket is in use")
	if _, err := os.Lstat(file); err != nil {
		t.Error(err)
	}
}

func TestFileThatIsNotASocketIsNeverRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "policy.csv")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.sock")
	crash(t, filepath.Join(dir, "stale.sock"))
	if err := os.Symlink("stale.sock", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, dir} {
		refuses(t, "unix:"+path, path, "is not a socket")
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s is gone: %v", path, err)
		}
	}
}

func TestErrorsOfOpeningSayWhatToDo(t *testing.T) {
	t.Parallel()
	refuses(t, "unix:"+filepath.Join(t.TempDir(), "none", "a.sock"), "none/a.sock", "folder", "does not exist", "create it")
	taken := open(t, "127.0.0.1:0", 0)
	refuses(t, taken.Addr().String(), taken.Addr().String(), "in use by another process", "write another address")
	refuses(t, "no-such-host.invalid:80", "no-such-host.invalid")
}
