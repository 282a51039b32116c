package http1

import (
	"errors"
	"time"
)

// switchProtocols gives the connection to the caller, whatever the context is.
func (x *exchange) switchProtocols() error {
	if !x.upgrade || !x.upload.finish(x) {
		return errNotAsked
	}
	if x.stop != nil && !x.stop() {
		return x.ctx.Err()
	}
	x.ended.Store(true)
	x.conn.wait.mu.Lock()
	x.conn.setDeadline(time.Time{})
	x.conn.wait.mu.Unlock()
	x.response.Body = &tunnel{conn: x.conn}
	return nil
}

// tunnel is a connection after a switch of protocols.
type tunnel struct{ conn *conn }

// Read returns first what arrived together with the response header.
func (t *tunnel) Read(to []byte) (int, error) {
	c := t.conn
	if c.start < c.end {
		return c.take(to), nil
	}
	if c.buffer != nil {
		c.buffer = putReadBuffer(c.buffer)
		c.start, c.end = 0, 0
	}
	if c.readErr != nil {
		return 0, c.readErr
	}
	return c.Conn.Read(to)
}

func (t *tunnel) Write(b []byte) (int, error) { return t.conn.Write(b) }

func (t *tunnel) Close() error { return t.conn.Close() }

// CloseWrite ends one direction.
func (t *tunnel) CloseWrite() error {
	if half, ok := t.conn.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
