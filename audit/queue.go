package audit

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queueLimit = 4 << 20 // bytes that wait at most
	chunkBytes = 4 << 10 // of one write: a pipe takes that much whole (PIPE_BUF), so that two writers never mix lines
	spareMost  = 16      // chunks that are kept for reuse when they are written

	retryEvery = 500 * time.Millisecond // after a write that failed
	flushLimit = 2 * time.Second        // for what is left when Run ends
	awaitLimit = time.Second            // that a request waits for room
	quiet      = time.Second            // between two reports of a queue
)

// ErrFull is returned for a line that is lost.
var ErrFull = errors.New("the queue is full")

// Queue stands between requests and an output that may stall: a pipe whose reader
// has stopped, a full disk, a share that hangs. Write never waits: lines are kept
// in memory, up to 4 MiB, and Run writes them. It is safe for concurrent use.
type Queue struct {
	out   *Output
	log   *slog.Logger
	what  string
	block bool

	wake   chan struct{} // there are lines, and the writer waits
	again  chan struct{} // the file is to be opened again
	ending chan struct{} // closed: write what is left, and stop
	news   chan struct{} // something to report

	mu       sync.Mutex
	waiting  [][]byte // chunks of whole lines, the oldest first
	spare    [][]byte
	size     int // bytes not written yet, those that the writer holds among them
	lines    int64
	begun    int           // bytes of the oldest chunk that are written already
	direct   bool          // the output has no reader that could stall: it is a file
	writing  bool          // something uses the output; only one at a time may
	idle     bool          // the writer waits for wake
	ended    bool          // nothing will be written any more
	room     chan struct{} // closed when there is room again; nil: nothing waits for it
	failing  error         // of the last write; nil: it succeeded
	lost     int64
	failures int64

	full atomic.Bool // since a line found no room, until half of the queue is free
}

// QueueOptions are what a queue does not find out by itself.
type QueueOptions struct {
	What  string       // what its lines are, for the log
	Block bool         // keep every line, and let Await hold back whatever would write more of them
	Log   *slog.Logger // told when lines are lost; may write to this very queue
}

// NewQueue writes nothing before Run does.
func NewQueue(out *Output, o QueueOptions) *Queue {
	return &Queue{
		out: out, log: o.Log, what: o.What, block: o.Block, direct: out.isFile(),
		wake: make(chan struct{}, 1), again: make(chan struct{}, 1), news: make(chan struct{}, 1),
		ending: make(chan struct{}),
	}
}

// Write takes one whole line. It copies the line and never waits for a reader.
// Without room the line is lost, and counted; with Block it is kept all the same:
// the request that it tells of was let in while there was room.
func (q *Queue) Write(line []byte) (int, error) {
	switch q.enqueue(line) {
	case isLost:
		return 0, ErrFull
	case isDirect:
		q.writeDirect(line)
	case isFirst:
		nudge(q.wake)
		runtime.Gosched() // lets the writer go first: mostly, a record is out before the response has ended
	}
	return len(line), nil
}

// fate is what becomes of a line.
type fate int

const (
	isLost   fate = iota
	isQueued      // behind others
	isFirst       // and the writer has to be woken for it
	isDirect      // to be written at once, by who brought it
)

func (q *Queue) enqueue(line []byte) fate {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.ended || !q.block && q.size+len(line) > queueLimit:
		q.lost++
		q.full.Store(!q.ended)
		q.tell()
		return isLost
	case q.direct && q.size == 0 && !q.writing:
		q.writing = true
		return isDirect
	}
	q.add(line)
	if q.block && q.size >= queueLimit && !q.full.Swap(true) {
		q.tell()
	}
	if q.idle {
		q.idle = false
		return isFirst
	}
	return isQueued
}

func (q *Queue) add(line []byte) {
	last := len(q.waiting) - 1
	if last < 0 || len(q.waiting[last])+len(line) > chunkBytes {
		q.waiting = append(q.waiting, q.chunk())
		last++
	}
	q.waiting[last] = append(q.waiting[last], line...)
	q.size += len(line)
	q.lines++
}

func (q *Queue) chunk() []byte {
	last := len(q.spare) - 1
	if last < 0 {
		return make([]byte, 0, chunkBytes)
	}
	chunk := q.spare[last]
	q.spare = q.spare[:last]
	return chunk
}

// Await reports whether there is room for the record of one more request. With
// Block it waits a moment for it; without, it never does and the answer is yes.
func (q *Queue) Await(ctx context.Context) bool {
	if !q.block || !q.full.Load() {
		return true
	}
	q.mu.Lock()
	if !q.full.Load() {
		q.mu.Unlock()
		return true
	}
	if q.room == nil {
		q.room = make(chan struct{})
	}
	room := q.room
	q.mu.Unlock()
	limit := time.NewTimer(awaitLimit)
	defer limit.Stop()
	select {
	case <-room:
		return true
	case <-limit.C:
	case <-ctx.Done():
	}
	return false
}

// Full reports whether lines find no room at the moment.
func (q *Queue) Full() bool { return q.full.Load() }

// Blocks reports whether requests have to wait while the queue is full.
func (q *Queue) Blocks() bool { return q.block }

// QueueNumbers are what a queue has come to since the start.
type QueueNumbers struct {
	Lost     int64 // lines
	Failures int64 // writes
	Bytes    int   // that wait right now
}

// Numbers are for metrics.
func (q *Queue) Numbers() QueueNumbers {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueNumbers{Lost: q.lost, Failures: q.failures, Bytes: q.size}
}

// Reopen has a file opened again, because it was moved away.
func (q *Queue) Reopen() { nudge(q.again) }

// tell has Run report what has changed; the caller may be the log itself.
func (q *Queue) tell() { nudge(q.news) }

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends, and then what is left. A write that a stalled reader
// holds up cannot be taken back: Run leaves it behind after a while, since the
// process is about to end.
func (q *Queue) Run(ctx context.Context) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		q.writeAll()
	}()
	q.reportUntil(ctx)
	close(q.ending)
	limit := time.NewTimer(flushLimit)
	defer limit.Stop()
	select {
	case <-written:
	case <-limit.C:
	}
	q.giveUp()
}

// giveUp counts what was not written.
func (q *Queue) giveUp() {
	q.mu.Lock()
	left := q.lines
	q.ended = true
	q.lost += left
	q.lines = 0
	q.mu.Unlock()
	if left > 0 {
		q.log.Error(q.what+" are being lost: the process ends before they are written", "lost", left)
	}
}

// written notes that a chunk is out, and that writing succeeds.
func (q *Queue) written(chunk []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.size -= len(chunk)
	q.lines -= int64(bytes.Count(chunk, []byte("\n")))
	if len(q.spare) < spareMost && cap(chunk) == chunkBytes {
		q.spare = append(q.spare, chunk[:0])
	}
	if q.failing != nil {
		q.failing = nil
		q.tell()
	}
	if q.size <= queueLimit/2 && q.full.Swap(false) {
		q.tell()
		if q.room != nil {
			close(q.room)
			q.room = nil
		}
	}
}

// failed notes that a write has not succeeded, or only in part.
func (q *Queue) failed(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failures++
	if q.failing == nil {
		q.tell()
	}
	q.failing = err
}
