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
	maxQueueBytes = 4 << 20 // bytes that wait at most
	chunkBytes    = 4 << 10 // of one write: a pipe takes that much whole (PIPE_BUF), so that two writers never mix lines
	maxFreeChunks = 16      // chunks that are kept for reuse when they are written

	retryEvery     = 500 * time.Millisecond // after a write that failed
	flushTimeout   = 2 * time.Second        // for what is left when Run ends
	awaitTimeout   = time.Second            // that a request waits for room
	reportInterval = time.Second            // between two reports of a queue
)

// ErrFull is returned for a line that is lost.
var ErrFull = errors.New("the queue is full")

// Queue stands between requests and an output that may stall: a pipe whose reader
// has stopped, a full disk, a share that hangs. Write never waits: lines are kept
// in memory, up to 4 MiB, and Run writes them. It is safe for concurrent use.
type Queue struct {
	out   *Output
	log   *slog.Logger
	label string
	block bool

	wake     chan struct{} // there are lines, and the writer waits
	reopen   chan struct{} // the file is to be opened again
	stopping chan struct{} // closed: write what is left, and stop
	changed  chan struct{} // something to report

	mu            sync.Mutex
	pending       [][]byte // chunks of whole lines, the oldest first
	freeChunks    [][]byte
	size          int // bytes not written yet, those that the writer holds among them
	lines         int64
	oldestWritten int           // bytes of the oldest chunk that are written already
	direct        bool          // the output has no reader that could stall: it is a file
	writing       bool          // something uses the output; only one at a time may
	idle          bool          // the writer waits for wake
	closed        bool          // nothing will be written any more
	roomFreed     chan struct{} // closed when there is room again; nil: nothing waits for it
	writeErr      error         // of the last write; nil: it succeeded
	lost          int64
	failures      int64

	full atomic.Bool // since a line found no room, until half of the queue is free
}

// QueueOptions are what a queue does not find out by itself.
type QueueOptions struct {
	Label string       // what its lines are, for the log
	Block bool         // keep every line, and let Await hold back whatever would write more of them
	Log   *slog.Logger // told when lines are lost; may write to this very queue
}

// NewQueue writes nothing before Run does.
func NewQueue(out *Output, o QueueOptions) *Queue {
	return &Queue{
		out: out, log: o.Log, label: o.Label, block: o.Block, direct: out.isFile(),
		wake: make(chan struct{}, 1), reopen: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		stopping: make(chan struct{}),
	}
}

// Write takes one whole line. It copies the line and never waits for a reader.
// Without room the line is lost, and counted; with Block it is kept all the same:
// the request that it tells of was let in while there was room.
func (q *Queue) Write(line []byte) (int, error) {
	switch q.enqueue(line) {
	case lineLost:
		return 0, ErrFull
	case lineDirect:
		q.writeDirect(line)
	case lineQueuedFirst:
		signal(q.wake)
		runtime.Gosched() // lets the writer go first: mostly, a record is out before the response has ended
	}
	return len(line), nil
}

// enqueueResult is what becomes of a line.
type enqueueResult int

const (
	lineLost        enqueueResult = iota
	lineQueued                    // behind others
	lineQueuedFirst               // and the writer has to be woken for it
	lineDirect                    // to be written at once, by who brought it
)

func (q *Queue) enqueue(line []byte) enqueueResult {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed || !q.block && q.size+len(line) > maxQueueBytes:
		q.lost++
		q.full.Store(!q.closed)
		q.notifyReporter()
		return lineLost
	case q.direct && q.size == 0 && !q.writing:
		q.writing = true
		return lineDirect
	}
	q.add(line)
	if q.block && q.size >= maxQueueBytes && !q.full.Swap(true) {
		q.notifyReporter()
	}
	if q.idle {
		q.idle = false
		return lineQueuedFirst
	}
	return lineQueued
}

func (q *Queue) add(line []byte) {
	last := len(q.pending) - 1
	if last < 0 || len(q.pending[last])+len(line) > chunkBytes {
		q.pending = append(q.pending, q.newChunk())
		last++
	}
	q.pending[last] = append(q.pending[last], line...)
	q.size += len(line)
	q.lines++
}

func (q *Queue) newChunk() []byte {
	last := len(q.freeChunks) - 1
	if last < 0 {
		return make([]byte, 0, chunkBytes)
	}
	chunk := q.freeChunks[last]
	q.freeChunks = q.freeChunks[:last]
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
	if q.roomFreed == nil {
		q.roomFreed = make(chan struct{})
	}
	room := q.roomFreed
	q.mu.Unlock()
	limit := time.NewTimer(awaitTimeout)
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

// QueueStats are what a queue has come to since the start.
type QueueStats struct {
	Lost     int64 // lines
	Failures int64 // writes
	Bytes    int   // that wait right now
}

// Stats are for metrics.
func (q *Queue) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueStats{Lost: q.lost, Failures: q.failures, Bytes: q.size}
}

// Reopen has a file opened again, because it was moved away.
func (q *Queue) Reopen() { signal(q.reopen) }

// notifyReporter has Run report what has changed; the caller may be the log itself.
func (q *Queue) notifyReporter() { signal(q.changed) }

func signal(c chan struct{}) {
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
	close(q.stopping)
	limit := time.NewTimer(flushTimeout)
	defer limit.Stop()
	select {
	case <-written:
	case <-limit.C:
	}
	q.abandon()
}

// abandon counts what was not written.
func (q *Queue) abandon() {
	q.mu.Lock()
	left := q.lines
	q.closed = true
	q.lost += left
	q.lines = 0
	q.mu.Unlock()
	if left > 0 {
		q.log.Error(q.label+" are being lost: the process ends before they are written", "lost", left)
	}
}

// chunkWritten notes that a chunk is out, and that writing succeeds.
func (q *Queue) chunkWritten(chunk []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.size -= len(chunk)
	q.lines -= int64(bytes.Count(chunk, []byte("\n")))
	if len(q.freeChunks) < maxFreeChunks && cap(chunk) == chunkBytes {
		q.freeChunks = append(q.freeChunks, chunk[:0])
	}
	if q.writeErr != nil {
		q.writeErr = nil
		q.notifyReporter()
	}
	if q.size <= maxQueueBytes/2 && q.full.Swap(false) {
		q.notifyReporter()
		if q.roomFreed != nil {
			close(q.roomFreed)
			q.roomFreed = nil
		}
	}
}

// writeFailed notes that a write has not succeeded, or only in part.
func (q *Queue) writeFailed(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failures++
	if q.writeErr == nil {
		q.notifyReporter()
	}
	q.writeErr = err
}
