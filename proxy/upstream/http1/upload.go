package http1

import (
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// upload sends the body of a request while the exchange waits for the response. It reads the
// body in a goroutine, because a client may be slow and the response must not wait for it. What
// it has read it keeps, up to maxReplayBytes, so that another connection can take over.
type upload struct {
	body    io.ReadCloser
	length  int64       // -1: unknown; it is sent in chunks
	trailer http.Header // is sent after the last chunk

	started bool          // the goroutine runs, or ran
	first   chan struct{} // closed after the first read
	done    chan struct{} // closed when everything was written

	mu       sync.Mutex // held while the body is written to the connection
	resume   sync.Cond  // x was set, or the exchange is over
	x        *exchange  // whose connection has the header of the request; nil: none
	buffer   []byte
	n, sent  int   // bytes of buffer that were read, and written to the connection
	total    int64 // bytes that were read
	lost     bool  // more was read than is in the buffer
	complete bool  // everything was read
	exited   bool  // the goroutine has ended
	scratch  []byte
	tail     [16]byte

	over      atomic.Bool // the exchange is
	finishing atomic.Bool // the end is being written
	written   atomic.Bool // everything was written
	readErr   atomic.Pointer[error]
}

func newUpload(body io.ReadCloser, length int64, trailer http.Header) *upload {
	u := &upload{
		body: body, length: length, trailer: trailer,
		first: make(chan struct{}), done: make(chan struct{}),
	}
	u.resume.L = &u.mu
	return u
}

// maxHeadDelay is how long the header of a request waits for the beginning of the body, to be
// sent together with it.
const maxHeadDelay = 2 * time.Millisecond

// sendOn sends the header, and what there is of the body, on the connection of an attempt.
func (u *upload) sendOn(x *exchange) error {
	if !x.expect {
		u.start()
		u.awaitFirst(x, maxHeadDelay)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.x, u.sent = x, 0
	u.written.Store(false)
	n, err := u.flush(*x.head)
	x.wrote = n > 0
	u.resume.Broadcast()
	if failed := u.readError(); failed != nil {
		return failed
	}
	return err
}

// start begins to read the body.
func (u *upload) start() {
	if u.started {
		return
	}
	u.started = true
	u.buffer = getUploadBuffer()
	go u.run()
}

func (u *upload) awaitFirst(x *exchange, most time.Duration) {
	select {
	case <-u.first:
		return
	default:
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-u.first:
	case <-timer.C:
	case <-x.ctx.Done():
	}
}

// run reads the body and writes it to the connection, until its end or the end of the exchange.
func (u *upload) run() {
	defer u.exit()
	for first := true; ; first = false {
		n, err := u.body.Read(u.buffer[u.n:]) // n changes in this goroutine, or while it waits
		u.mu.Lock()
		u.took(n, err)
		if first {
			close(u.first)
		}
		more := u.pass()
		if more && u.total > longBody {
			u.enlargeBuffer()
		}
		u.mu.Unlock()
		if !more {
			break
		}
	}
	if u.complete && u.length >= 0 { // let the body see its own end
		var one [1]byte
		_, _ = u.body.Read(one[:])
	}
}

// enlargeBuffer takes a larger buffer in place of one that is empty.
func (u *upload) enlargeBuffer() {
	if u.n == 0 && len(u.buffer) < longBufferSize {
		putUploadBuffer(u.buffer)
		u.buffer = getLongBuffer()
	}
}

// took takes the result of a read.
func (u *upload) took(n int, err error) {
	u.total += int64(n)
	if excess := u.total - u.length; u.length >= 0 && excess > 0 {
		n -= int(excess)
	}
	u.n += n
	switch {
	case err != nil && err != io.EOF:
	case u.length < 0:
		u.complete, err = err == io.EOF, nil
	case u.total > u.length:
		err = errBodyTooLong
	case u.total < u.length && err == io.EOF:
		err = errBodyTooShort
	default:
		u.complete, err = u.total == u.length, nil
	}
	if err != nil {
		u.readErr.Store(&err)
	}
}

// pass writes what was read, on the connection of this attempt or a later one. It reports
// whether there is more to read. If reading has failed, the server gets what came before, and no
// end.
func (u *upload) pass() bool {
	for !u.over.Load() {
		if u.x == nil {
			u.resume.Wait()
			continue
		}
		_, err := u.flush(nil)
		switch {
		case err != nil:
		case u.readError() != nil:
			u.x.conn.abort()
			return false
		default:
			return !u.complete
		}
	}
	return false
}

// flush writes a header and what of the buffer was not written.
func (u *upload) flush(head []byte) (int, error) {
	last := u.complete && !u.written.Load()
	if last {
		u.finishing.Store(true)
	}
	n, err := u.write(head, last)
	if err != nil {
		// A response may say why. If the connection is broken, reading fails immediately.
		u.x.conn.limit(time.Second, errWriteTimeout)
		u.x = nil
		return n, err
	}
	if last {
		u.wroteAll()
	}
	if u.sent = u.n; u.n > maxReplayBytes {
		u.lost = true
	}
	if u.lost {
		u.n, u.sent = 0, 0
	}
	return n, nil
}

func (u *upload) wroteAll() {
	u.x.limitHeader()
	u.written.Store(true)
	select {
	case <-u.done:
	default:
		close(u.done)
	}
	if trace := u.x.trace; trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
}

// maxCopied is up to what size the parts of a message are copied together, to be written at once.
const maxCopied = 8 << 10

// write writes header, data and framing.
func (u *upload) write(head []byte, last bool) (int, error) {
	data := u.buffer[u.sent:u.n]
	before, after := head, u.tail[:0]
	if head == nil {
		before = u.scratch[:0]
	}
	if u.length < 0 {
		if len(data) > 0 {
			before = append(strconv.AppendUint(before, uint64(len(data)), 16), "\r\n"...)
			after = append(after, "\r\n"...)
		}
		if last {
			var err error
			if after, err = appendLastChunk(after, u.trailer); err != nil {
				u.readErr.Store(&err)
				return 0, err
			}
		}
	}
	switch total := len(before) + len(data) + len(after); {
	case total == 0:
		return 0, nil
	case total == len(data):
		return u.x.conn.Write(data)
	case total <= maxCopied:
		before = append(append(before, data...), after...)
		data, after = nil, nil
	}
	if head == nil {
		u.scratch = before
	}
	if len(data)+len(after) == 0 {
		return u.x.conn.Write(before)
	}
	parts := net.Buffers{before, data, after}
	n, err := parts.WriteTo(u.x.conn.Conn)
	return int(n), err
}

func appendLastChunk(b []byte, trailer http.Header) ([]byte, error) {
	b = append(b, "0\r\n"...)
	names := make([]string, 0, len(trailer))
	for name := range trailer {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range trailer[name] {
			var err error
			if b, err = appendField(b, name, value); err != nil {
				return b, errRequestTrailer
			}
		}
	}
	return append(b, "\r\n"...), nil
}

// maxLastWrite is how long the last bytes of a body may take although the response is complete.
const maxLastWrite = 50 * time.Millisecond

// finish is called at the end of the response. It reports whether the request is complete as
// well; if not, the rest of it will not be sent.
func (u *upload) finish(x *exchange) bool {
	if u == nil {
		return true
	}
	if u.finishing.Load() && !u.written.Load() {
		timer := time.NewTimer(maxLastWrite)
		defer timer.Stop()
		select {
		case <-u.done:
		case <-timer.C:
		}
	}
	complete := u.written.Load()
	if !complete {
		x.conn.abort() // or the next lock would wait for a write
	}
	u.end()
	return complete
}

// end is called when the exchange is over and the connection is closed or free. The goroutine
// may still wait for the client.
func (u *upload) end() {
	if u == nil || u.over.Swap(true) {
		return
	}
	if !u.started {
		_ = u.body.Close()
		return
	}
	u.mu.Lock()
	u.x = nil
	u.resume.Broadcast()
	u.freeBuffer()
	u.mu.Unlock()
}

// exit ends the goroutine.
func (u *upload) exit() {
	_ = u.body.Close()
	u.mu.Lock()
	u.exited = true
	u.freeBuffer()
	u.mu.Unlock()
}

func (u *upload) freeBuffer() {
	if u.exited && u.over.Load() && u.buffer != nil {
		putUploadBuffer(u.buffer)
		u.buffer = nil
	}
}

// detach is called when an attempt has failed, after its connection was closed.
func (u *upload) detach() {
	if u == nil {
		return
	}
	u.mu.Lock()
	u.x = nil
	u.mu.Unlock()
}

// readError is how reading the body failed.
func (u *upload) readError() error {
	if u == nil {
		return nil
	}
	if err := u.readErr.Load(); err != nil {
		return *err
	}
	return nil
}

// canRepeat reports whether all that was read is available.
func (u *upload) canRepeat() bool {
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.lost && u.readError() == nil
}

// isShort reports whether the body may be sent twice, as far as it is known.
func (u *upload) isShort() bool {
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.total <= maxReplayBytes && u.length <= maxReplayBytes
}
