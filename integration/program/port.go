package program

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Port is a port of 127.0.0.1 for a process that needs the number before it
// starts. Until Release no other caller of ReservePort gets the same one,
// in this process or another.
type Port struct {
	Number int
	hold   net.PacketConn // UDP: does not block a listener on TCP
}

// ReservePort finds a free port. It looks below the range from which systems take
// the local ports of outgoing connections, or such a connection might sit on it
// by the time the process starts.
func ReservePort(ctx context.Context) (*Port, error) {
	for range 100 {
		number := 12000 + rand.IntN(18000)
		hold, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", loopback(number))
		if err != nil {
			continue
		}
		if err := PortFree(ctx, number); err == nil {
			return &Port{number, hold}, nil
		}
		if err := hold.Close(); err != nil {
			return nil, fmt.Errorf("letting port %d go: %w", number, err)
		}
	}
	return nil, errors.New("no free port of 127.0.0.1 found between 12000 and 30000")
}

// Release lets others have the port.
func (p *Port) Release() error { return p.hold.Close() }

// PortFree reports whether a process could listen on a port of 127.0.0.1.
func PortFree(ctx context.Context, port int) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", loopback(port))
	if err != nil {
		return fmt.Errorf("port %d is taken: %w", port, err)
	}
	return l.Close()
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
