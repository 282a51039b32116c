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

// socketMode lets the group of the socket connect: a proxy in another container, as another
// user. To connect one must be able to write.
const socketMode = 0o660

// openUnix opens a Unix socket. The file is removed when the listener is closed. A file left
// by a crash is replaced, one in use is not.
func openUnix(ctx context.Context, file string) (net.Listener, error) {
	if err := removeStale(ctx, file); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: restrictMode}
	listener, err := config.Listen(ctx, "unix", file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the folder of socket %s does not exist; create it, or write another path", file)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(file, socketMode); err != nil { // a umask may have removed bits
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
		return fmt.Errorf("%s exists and is not a socket; remove it, or write another path", file)
	}
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", file)
	if err == nil {
		inUse := fmt.Errorf("another process listens on socket %s; stop it, or write another path", file)
		return errors.Join(inUse, conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // busy, or no permission: it may be in use
		return fmt.Errorf("checking whether the existing socket is in use: %w", err)
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("removing the socket of an earlier process: %w", err)
	}
	return nil
}

// restrictMode sets the mode of a socket before it has a name: between bind and chmod any
// process could connect if the umask is 0. Linux keeps the mode (unix(7)); elsewhere the
// chmod is soon enough.
func restrictMode(_, _ string, socket syscall.RawConn) error {
	return socket.Control(func(fd uintptr) { _ = fchmod(fd, socketMode) })
}
