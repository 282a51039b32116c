// Package tunnel opens connections inside of a network from outside of it: a client tells
// the server an address, and the server connects it there.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// Dial opens a connection, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// maxLine bounds the address and the answer.
const maxLine = 1024

// Serve connects clients by dial until the listener is closed.
func Serve(ctx context.Context, l net.Listener, dial Dial) error {
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go serve(ctx, client, dial)
	}
}

func serve(ctx context.Context, client net.Conn, dial Dial) {
	defer client.Close()
	address, err := readLine(client)
	if err != nil {
		return // the client has gone
	}
	target, err := dial(ctx, "tcp", address)
	if err != nil {
		_, _ = io.WriteString(client, strings.ReplaceAll(err.Error(), "\n", " ")+"\n")
		return
	}
	defer target.Close()
	if _, err := io.WriteString(client, "\n"); err == nil {
		Join(client, target)
	}
}

// Through dials addresses inside of the network of a server that enter connects to.
func Through(enter func(ctx context.Context) (net.Conn, error)) Dial {
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		c, err := enter(ctx)
		if err != nil {
			return nil, fmt.Errorf("entering the network of %s: %w", address, err)
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		refused := ""
		if _, err = io.WriteString(c, address+"\n"); err == nil {
			refused, err = readLine(c)
		}
		if !stop() {
			err = errors.Join(ctx.Err(), err)
		}
		if err == nil && refused != "" {
			err = errors.New(refused)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connecting to %s: %w", address, err), c.Close())
		}
		return c, nil
	}
}

// Forward connects every client of the listener to one address, until the
// listener is closed.
func Forward(ctx context.Context, l net.Listener, address string, dial Dial) error {
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer client.Close()
			if target, err := dial(ctx, "tcp", address); err == nil {
				defer target.Close()
				Join(client, target)
			}
		}()
	}
}

// Join copies in both directions until both have ended. The end of one direction alone is
// passed on as such.
func Join(a, b net.Conn) {
	var both sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{a: b, b: a} {
		both.Go(func() {
			_, err := io.Copy(to, from)
			half, ok := to.(interface{ CloseWrite() error })
			if err != nil || !ok || half.CloseWrite() != nil {
				_, _ = a.Close(), b.Close()
			}
		})
	}
	both.Wait()
}

// readLine reads no byte more.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < maxLine; {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
	return "", errors.New("the line is too long")
}
