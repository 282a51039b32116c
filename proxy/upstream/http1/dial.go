package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
)

// hostKey identifies the servers that share idle connections.
type hostKey struct{ scheme, host string }

func (k hostKey) isTLS() bool { return k.scheme == "https" }

// address is host and port.
func (k hostKey) address() string {
	if _, _, err := net.SplitHostPort(k.host); err == nil {
		return k.host
	}
	port := "80"
	if k.isTLS() {
		port = "443"
	}
	name := k.host
	if len(name) > 1 && name[0] == '[' && name[len(name)-1] == ']' {
		name = name[1 : len(name)-1]
	}
	return net.JoinHostPort(name, port)
}

type dialed struct {
	conn *conn
	err  error
}

// dialOrWait makes a connection, or takes one that becomes idle meanwhile. The new one is then
// kept for another request, if it is complete before this one ends.
func (t *Transport) dialOrWait(ctx context.Context, key hostKey, trace *httptrace.ClientTrace) (*conn, bool, error) {
	idle := t.pool.await(key)
	result := make(chan dialed)
	taken := make(chan struct{}) // closed when nothing receives from result
	go func() {
		c, err := t.dial(ctx, key, trace)
		select {
		case result <- dialed{c, err}:
		case <-taken:
			if err == nil {
				t.keep(c)
			}
		}
	}()
	defer close(taken)
	for {
		select {
		case c := <-idle:
			if !c.isStale() {
				return c, true, nil
			}
			_ = c.Close()
		case r := <-result:
			if c := t.pool.leave(key, idle); c != nil {
				t.keep(c)
			}
			return r.conn, false, r.err
		}
	}
}

// keep makes a connection idle, or closes it.
func (t *Transport) keep(c *conn) bool {
	if t.pool.put(c, t.maxIdlePerHost(), t.IdleConnTimeout) {
		return true
	}
	_ = c.Close()
	return false
}

func (t *Transport) dial(ctx context.Context, key hostKey, trace *httptrace.ClientTrace) (*conn, error) {
	dial := t.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	socket, err := dial(ctx, "tcp", key.address())
	if err != nil {
		return nil, err
	}
	c := newConn(socket, key)
	if !key.isTLS() {
		return c, nil
	}
	if err := t.handshake(ctx, c, trace); err != nil {
		_ = socket.Close()
		return nil, err
	}
	return c, nil
}

// handshake makes a connection one of TLS. It offers no protocol but HTTP/1.1.
func (t *Transport) handshake(ctx context.Context, c *conn, trace *httptrace.ClientTrace) error {
	config := new(tls.Config)
	if t.TLSClientConfig != nil {
		config = t.TLSClientConfig.Clone()
	}
	config.NextProtos = []string{"http/1.1"}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(c.key.address())
	}
	if t.TLSHandshakeTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t.TLSHandshakeTimeout, errHandshakeTimeout)
		defer cancel()
	}
	c.records = &recordConn{Conn: c.socket}
	c.tls = tls.Client(c.records, config)
	c.Conn = c.tls
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := c.tls.HandshakeContext(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errHandshakeTimeout) {
		err = errHandshakeTimeout
	}
	state := c.tls.ConnectionState()
	c.state = &state
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(state, err)
	}
	return err
}
