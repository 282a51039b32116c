package http1

import (
	"bytes"
	"io"
	"net/http"
)

const (
	maxChunkLine  = 4 << 10
	maxChunkExtra = 16 << 10 // bytes of all chunk extensions of a body
)

// chunkReader is the state between chunks.
type chunkReader struct {
	extra  int  // bytes of extensions so far
	inData bool // the end of the current chunk has not been read
}

// readChunks reads data of chunks: of several, if they are buffered.
func (b *body) readChunks(to []byte) (n int, err error) {
	for n < len(to) {
		if b.left == 0 {
			if n > 0 && !b.hasChunkLine() {
				return n, nil
			}
			if err := b.nextChunk(); err != nil {
				return n, err
			}
			continue
		}
		if n > 0 && b.x.conn.start == b.x.conn.end {
			return n, nil
		}
		some, err := b.readSome(to[n:min(int64(len(to)), int64(n)+b.left)])
		n += some
		b.left -= int64(some)
		if err != nil {
			return n, unexpected(err)
		}
	}
	if b.left == 0 && b.hasChunkLine() { // often the last one
		if err := b.nextChunk(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// hasChunkLine reports whether nextChunk would not have to wait. After the last chunk, the
// trailer must be complete as well.
func (b *body) hasChunkLine() bool {
	rest := b.x.conn.buffered()
	if b.chunks.inData {
		if len(rest) < 2 {
			return false
		}
		rest = rest[2:]
	}
	if len(rest) > 0 && rest[0] == '0' {
		return bytes.HasSuffix(rest, []byte("\r\n\r\n"))
	}
	return bytes.IndexByte(rest, '\n') >= 0
}

// nextChunk reads what precedes the data of a chunk. After the last chunk it reads the trailer,
// and returns io.EOF.
func (b *body) nextChunk() error {
	if b.chunks.inData {
		if err := b.x.conn.skipCRLF(); err != nil {
			return err
		}
		b.chunks.inData = false
	}
	line, err := b.x.conn.readLine()
	if err != nil {
		return err
	}
	size, extension, err := parseChunkLine(line)
	if err != nil {
		return err
	}
	if b.chunks.extra += extension; b.chunks.extra > maxChunkExtra {
		return errChunk
	}
	b.left, b.chunks.inData = size, size > 0
	if size > 0 {
		return nil
	}
	if err := b.readTrailer(); err != nil {
		return err
	}
	return io.EOF
}

// skipCRLF reads the end of the data of a chunk.
func (c *conn) skipCRLF() error {
	for c.end-c.start < 2 {
		if err := c.fill(); err != nil {
			return unexpected(err)
		}
	}
	if c.buffer[c.start] != '\r' || c.buffer[c.start+1] != '\n' {
		return errChunk
	}
	c.start += 2
	return nil
}

// readLine returns the line before a chunk, without its end.
func (c *conn) readLine() ([]byte, error) {
	for {
		b := c.buffered()
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			if i == 0 || i > maxChunkLine || b[i-1] != '\r' {
				return nil, errChunk
			}
			c.start += i + 1
			return b[:i-1], nil
		}
		if len(b) > maxChunkLine || len(b) > 0 && hexValue(b[0]) < 0 {
			return nil, errChunk
		}
		if err := c.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
}

// parseChunkLine reads the size of a chunk, and gives the length of its extensions.
func parseChunkLine(line []byte) (size int64, extension int, err error) {
	digits := 0
	for digits < len(line) {
		value := hexValue(line[digits])
		if value < 0 {
			break
		}
		size = size<<4 | value
		digits++
	}
	const maxDigits = 15 // so that the number cannot overflow
	if digits == 0 || digits > maxDigits || !isChunkExtension(line[digits:]) {
		return 0, 0, errChunk
	}
	return size, len(line) - digits, nil
}

func hexValue(c byte) int64 {
	switch {
	case c >= '0' && c <= '9':
		return int64(c - '0')
	case c >= 'a' && c <= 'f':
		return int64(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int64(c-'A') + 10
	}
	return -1
}

// isChunkExtension checks what follows the size of a chunk (RFC 9112, 7.1.1). Its meaning is
// ignored.
func isChunkExtension(b []byte) bool {
	for len(b) > 0 {
		b = bytes.TrimLeft(b, " \t")
		if len(b) == 0 || b[0] != ';' {
			return false
		}
		b = bytes.TrimLeft(b[1:], " \t")
		n := tokenLength(b)
		if n == 0 {
			return false
		}
		b = b[n:]
		if rest := bytes.TrimLeft(b, " \t"); len(rest) > 0 && rest[0] == '=' {
			if n = extensionValueLength(bytes.TrimLeft(rest[1:], " \t")); n == 0 {
				return false
			}
			b = bytes.TrimLeft(rest[1:], " \t")[n:]
		}
	}
	return true
}

func tokenLength(b []byte) int {
	n := 0
	for n < len(b) && tokenBytes[b[n]] {
		n++
	}
	return n
}

// extensionValueLength is the length of a token or a quoted string; 0: it is neither.
func extensionValueLength(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return tokenLength(b)
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			i++
		}
		if i < len(b) && hasControlByte(b[i:i+1]) {
			return 0
		}
	}
	return 0
}

// readTrailer reads the trailer and adds it to the response.
func (b *body) readTrailer() error {
	c := b.x.conn
	limit := b.x.t.maxHeaderBytes()
	complete := 0
	for {
		rest := c.buffered()
		for {
			i := bytes.IndexByte(rest[complete:], '\n')
			if i < 0 {
				break
			}
			line := rest[complete : complete+i+1]
			complete += i + 1
			if len(line) < 2 || line[len(line)-2] != '\r' || complete > limit {
				return errTrailer
			}
			if len(line) == 2 {
				c.start += complete
				return b.setTrailer(string(rest[:complete]))
			}
		}
		if len(rest) > limit {
			return errTrailer
		}
		if err := c.fill(); err != nil {
			return unexpected(err)
		}
	}
}

func (b *body) setTrailer(lines string) error {
	if lines == "\r\n" {
		return nil
	}
	fields, err := parseFields(lines)
	if err != nil {
		return errTrailer
	}
	for name := range fields {
		if isFraming(name) {
			return errTrailer
		}
	}
	response := &b.x.response
	if response.Trailer == nil {
		response.Trailer = make(http.Header, len(fields))
	}
	for name, values := range fields {
		response.Trailer[name] = values
	}
	return nil
}
