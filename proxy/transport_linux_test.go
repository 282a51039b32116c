package proxy_test

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
	for _, transport := range newGateTo(t, "http://"+l.Addr().String()).GRPCTransports() {
		conn, err := transport.DialContext(t.Context(), "tcp", l.Addr().String())
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
		if patience := time.Duration(millis) * time.Millisecond; patience <= 0 || patience > 30*time.Second {
			t.Errorf("unanswered segments are waited for %v", patience)
		}
	}
}
