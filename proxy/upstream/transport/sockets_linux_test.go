package transport

import (
	"net"
	"syscall"
	"testing"
	"time"
)

func TestAConnectionForGRPCWhoseMachineIsGoneIsGivenUpSoon(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, exact := range []bool{false, true} {
		grpc := grpcOf(Options{DialTimeout: 5 * time.Second, ExactGRPCType: exact})
		conn, err := grpc.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		const tcpUserTimeout = 0x12
		var millis int
		if failed := raw.Control(func(fd uintptr) { millis, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout) }); failed != nil || err != nil {
			t.Fatal(failed, err)
		}
		if timeout := time.Duration(millis) * time.Millisecond; timeout <= 0 || timeout > 30*time.Second {
			t.Errorf("the timeout for unacknowledged segments is %v", timeout)
		}
	}
}
