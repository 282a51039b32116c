package upstream

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

// Messages of every size arrive as they were sent, around the sizes of both buffers above all.
func TestATunnelCopiesMessagesOfEverySize(t *testing.T) {
	t.Parallel()
	sizes := []int{1, idleBuffer - 1, idleBuffer, idleBuffer + 1, tunnelBuffer, idleBuffer + tunnelBuffer - 1, idleBuffer + tunnelBuffer, idleBuffer + tunnelBuffer + 1, 3 * tunnelBuffer}
	for _, size := range sizes {
		sender, receiver := net.Pipe()
		message := make([]byte, size)
		for i := range message {
			message[i] = byte(rand.Uint32())
		}
		arrived := make(chan []byte)
		ended := make(chan error)
		go func() {
			var idle [idleBuffer]byte
			var got []byte
			ended <- copyIdle(receiver, idle[:], func(b []byte) error {
				if got = append(got, b...); len(got) == size {
					arrived <- got // while the connection stays open
				}
				return nil
			})
		}()
		if _, err := sender.Write(message); err != nil {
			t.Fatal(err)
		}
		if got := <-arrived; !bytes.Equal(got, message) {
			t.Errorf("%d bytes: others arrive", size)
		}
		sender.Close()
		if err := <-ended; err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		receiver.Close()
	}
}

func TestATunnelEndsWhenItsReceiverFails(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, idleBuffer, 2 * tunnelBuffer} {
		var idle [idleBuffer]byte
		err := copyIdle(bytes.NewReader(make([]byte, size)), idle[:], func([]byte) error { return io.ErrClosedPipe })
		if err != io.ErrClosedPipe {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
