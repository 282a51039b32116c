package program

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePort finds a port of 127.0.0.1 for a process that must be told its port
// before it starts. It looks below the range from which systems take the local
// ports of outgoing connections, or such a connection might sit on it by then.
func FreePort(ctx context.Context) (int, error) {
	for range 100 {
		port := 12000 + rand.IntN(18000)
		if err := PortFree(ctx, port); err == nil {
			return port, nil
		}
	}
	return 0, errors.New("no free port of 127.0.0.1 found between 12000 and 30000")
}

// PortFree reports whether somebody could listen on a port of 127.0.0.1.
func PortFree(ctx context.Context, port int) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("port %d is taken: %w", port, err)
	}
	return l.Close()
}
