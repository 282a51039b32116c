package http1

import (
	"io"
	"net/http"
)

// body is the body of a response. Close may be called while Read waits.
type body struct {
	x *exchange
	framing
	chunks chunkReader
	err    error // of every further Read
}

// Read is for [io.Reader]. The connection is free for the next request before it returns the
// last bytes.
func (b *body) Read(to []byte) (int, error) {
	if b.x.ended.Load() && b.err == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.err != nil || len(to) == 0 {
		return 0, b.err
	}
	n, err := b.read(to)
	switch {
	case err == io.EOF:
		b.err = io.EOF
		b.x.finish(!b.close)
	case err != nil:
		b.err = b.x.explain(err)
		b.x.breakOff()
	}
	return n, b.err
}

// read returns io.EOF at the end of a complete body, with its last bytes if it can.
func (b *body) read(to []byte) (int, error) {
	switch {
	case b.chunked:
		return b.readChunks(to)
	case b.untilClose:
		return b.readSome(to)
	}
	n, err := b.readSome(to[:min(int64(len(to)), b.left)])
	b.left -= int64(n)
	if b.left == 0 {
		return n, io.EOF
	}
	return n, unexpected(err)
}

// readSome reads what is buffered, or else from the connection.
func (b *body) readSome(to []byte) (int, error) {
	c := b.x.conn
	if c.start < c.end {
		return c.take(to), nil
	}
	return c.Read(to)
}

// Close ends the exchange. A connection on which a part of the body has yet to arrive is closed.
func (b *body) Close() error {
	b.x.breakOff()
	return nil
}
