package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// socketMode lets whoever is in the group of the socket connect: a proxy in
// another container, as another user. To connect one must be able to write.
const socketMode = 0o660

// openUnix opens a Unix socket. The file is removed when the listener is closed;
// one that a crash has left is replaced, one that somebody listens on is not.
func openUnix(ctx context.Context, file string) (net.Listener, error) {
	if err := removeStale(ctx, file); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: restrictMode}
	listener, err := config.Listen(ctx, "unix", file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the folder of socket %s does not exist; make it, or write another path", file)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(file, socketMode); err != nil { // a umask may have taken from it
		return nil, errors.Join(fmt.Errorf("letting the group connect: %w", err), listener.Close())
	}
	return listener, nil
}

func removeStale(ctx context.Context, file string) error {
	found, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case found.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket; remove it, or write another path", file)
	}
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", file)
	if err == nil {
		return errors.Join(fmt.Errorf("another process listens on socket %s; stop it, or write another path", file), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // busy, or not ours to ask: it may be alive
		return fmt.Errorf("finding out whether somebody listens on the socket that is there: %w", err)
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("removing the socket that a process before this one left: %w", err)
	}
	return nil
}

// restrictMode sets the mode of a socket before it has a name: between bind and chmod
// anybody could connect where the umask is 0. Linux takes it over (unix(7)); where
// it is refused, the chmod is soon enough.
func restrictMode(_, _ string, socket syscall.RawConn) error {
	return socket.Control(func(fd uintptr) { _ = fchmod(fd, socketMode) })
}
