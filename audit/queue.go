package audit

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxQueueBytes = 4 << 20  // maximum of queued bytes
	pipeBytes     = 4 << 10  // of one write: atomic on a pipe (PIPE_BUF), so that two writers never mix lines
	fileBytes     = 32 << 10 // of one write to a file; so many do not wait for more
	maxFreeChunks = 16       // written chunks that are kept for reuse

	retryEvery     = 500 * time.Millisecond // after a failed write
	flushTimeout   = 2 * time.Second        // for the rest when Run ends
	awaitTimeout   = time.Second            // of a request that waits for room
	reportInterval = time.Second            // between two log lines of a queue
)

// ErrFull is returned for a lost line.
var ErrFull = errors.New("the queue is full")

// Queue decouples requests from an output that may stall: a pipe whose reader has stopped,
// a full disk, a hanging share. Write never waits: lines are queued in memory, up to 4 MiB,
// and Run writes them. It is safe for concurrent use.
type Queue struct {
	out    *Output
	log    *slog.Logger
	label  string
	block  bool
	gather time.Duration

	wake     chan struct{} // there are as many bytes as the writer waits for
	reopen   chan struct{} // reopen the file
	stopping chan struct{} // closed: write the rest, and stop
	changed  chan struct{} // there is something to report

	mu         sync.Mutex
	pending    [][]byte // chunks of whole lines, the oldest first
	freeChunks [][]byte
	chunkBytes int // of a chunk
	size       int // bytes not written yet, including those of the writer
	lines      int64
	wakeAt     int           // the writer waits for so many bytes
	closed     bool          // nothing more is written
	roomFreed  chan struct{} // closed when there is room again; nil: no request waits
	writeErr   error         // of the last write; nil: it succeeded
	lost       int64
	failures   int64

	full atomic.Bool // since a line found no room, until half of the queue is free
}

// QueueOptions configure a queue.
type QueueOptions struct {
	Label  string        // names its lines in the log
	Block  bool          // keep every line; Await delays requests while the queue is full
	Gather time.Duration // between two writes, as long as there is room for more in one
	Log    *slog.Logger  // for lost lines; it may write to this queue
}

// NewQueue makes a queue, which Run writes.
func NewQueue(out *Output, o QueueOptions) *Queue {
	return &Queue{
		out: out, log: o.Log, label: o.Label, block: o.Block, gather: o.Gather,
		chunkBytes: out.writeBytes(), wakeAt: math.MaxInt,
		wake: make(chan struct{}, 1), reopen: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		stopping: make(chan struct{}),
	}
}

// Write takes one whole line. It copies the line and never waits for the output.
// Without room the line is lost, and counted; with Block it is kept nevertheless, because
// its request was admitted while there was room.
func (q *Queue) Write(line []byte) (int, error) {
	kept, woke := q.enqueue(line)
	if !kept {
		return 0, ErrFull
	}
	if woke {
		runtime.Gosched() // lets the writer run first: mostly, a record is written before the response has ended
	}
	return len(line), nil
}

func (q *Queue) enqueue(line []byte) (kept, woke bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || !q.block && q.size+len(line) > maxQueueBytes {
		q.lost++
		q.full.Store(!q.closed)
		q.notifyReporter()
		return false, false
	}
	q.add(line)
	if q.block && q.size >= maxQueueBytes && !q.full.Swap(true) {
		q.notifyReporter()
	}
	if q.size < q.wakeAt {
		return true, false
	}
	q.wakeAt = math.MaxInt // once
	signal(q.wake)
	return true, true
}

func (q *Queue) add(line []byte) {
	last := len(q.pending) - 1
	if last < 0 || len(q.pending[last])+len(line) > q.chunkBytes {
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
		return make([]byte, 0, q.chunkBytes)
	}
	chunk := q.freeChunks[last]
	q.freeChunks = q.freeChunks[:last]
	return chunk
}

// Await reports whether there is room for the record of another request. With Block it
// waits a moment for room; without Block it returns true at once.
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

// Full reports whether the queue is full.
func (q *Queue) Full() bool { return q.full.Load() }

// Blocks reports whether requests must wait while the queue is full.
func (q *Queue) Blocks() bool { return q.block }

// QueueStats are counts since the start.
type QueueStats struct {
	Lost     int64 // lines
	Failures int64 // writes
	Bytes    int   // that are queued now
}

// Stats gives the numbers for metrics.
func (q *Queue) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueStats{Lost: q.lost, Failures: q.failures, Bytes: q.size}
}

// Reopen makes the writer reopen the file, because it was moved.
func (q *Queue) Reopen() { signal(q.reopen) }

// notifyReporter makes Run report a change; the caller may be the log itself.
func (q *Queue) notifyReporter() { signal(q.changed) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run writes until ctx ends, and then the rest. A write that waits for a stalled reader
// cannot be cancelled: Run abandons it after a while, since the process is about to end.
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

// chunkWritten records a successful write.
func (q *Queue) chunkWritten(chunk []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.size -= len(chunk)
	q.lines -= int64(bytes.Count(chunk, []byte("\n")))
	if len(q.freeChunks) < maxFreeChunks && cap(chunk) == q.chunkBytes {
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

// writeFailed records a write that failed, or succeeded only in part.
func (q *Queue) writeFailed(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failures++
	if q.writeErr == nil {
		q.notifyReporter()
	}
	q.writeErr = err
}
