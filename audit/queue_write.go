package audit

import (
	"bytes"
	"context"
	"slices"
	"time"
)

// writeAll is the writer of a queue. It ends after stopping is closed, when nothing is left
// or the rest cannot be written.
func (q *Queue) writeAll() {
	check := time.NewTicker(reopenCheckEvery)
	defer check.Stop()
	defer func() { q.logClose(q.out.close()) }()
	var batch [][]byte
	for {
		batch = q.takePending(batch)
		for _, chunk := range batch {
			select { // also while there is always something to write
			case <-check.C:
				q.checkReopen(false)
			case <-q.reopen:
				q.checkReopen(true)
			default:
			}
			if !q.writeChunk(chunk) {
				return
			}
		}
		if len(batch) > 0 {
			q.release()
			continue
		}
		select {
		case <-q.wake:
		case <-check.C:
			q.acquire()
			q.checkReopen(false)
			q.release()
		case <-q.reopen:
			q.acquire()
			q.checkReopen(true)
			q.release()
		case <-q.stopping:
			q.acquire() // never released if this is the end: the output is about to be closed
			if q.empty() {
				return
			}
			q.release()
		}
	}
}

// takePending swaps the pending chunks for a list that the writer has finished. If there are
// any, the output belongs to the writer until release.
func (q *Queue) takePending(recycled [][]byte) [][]byte {
	clear(recycled)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.writing || len(q.pending) == 0 {
		q.idle = true
		return recycled[:0]
	}
	pending := q.pending
	q.pending = recycled[:0]
	q.writing = true
	return pending
}

// acquire waits for the output while a request writes to it directly, which is quick.
func (q *Queue) acquire() {
	for {
		q.mu.Lock()
		free := !q.writing
		q.writing = true
		q.mu.Unlock()
		if free {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (q *Queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writing = false
	if q.idle && len(q.pending) > 0 {
		q.idle = false
		signal(q.wake)
	}
}

func (q *Queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.pending) == 0
}

// writeDirect writes a line to a file before its request ends: a crash loses no record of a
// completed response. The writer retries what fails.
func (q *Queue) writeDirect(line []byte) {
	n, err := q.out.write(line)
	if err != nil {
		q.writeFailed(err)
		q.requeue(line, n)
	}
	q.release()
}

// requeue puts a partly written line first.
func (q *Queue) requeue(line []byte, written int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending = slices.Insert(q.pending, 0, slices.Clone(line))
	q.size += len(line)
	q.lines++
	q.oldestWritten = written
}

// writeChunk writes one chunk, and retries until it succeeds. It reports false if the queue
// stopped first.
func (q *Queue) writeChunk(chunk []byte) bool {
	for at := q.takeOldestWritten(); ; {
		n, err := q.out.write(chunk[at:])
		at += n
		if err == nil {
			q.chunkWritten(chunk)
			return true
		}
		q.writeFailed(err)
		if !q.awaitRetry() {
			return false
		}
		if q.checkReopen(q.out.needsReopen(err)) { // a new file gets whole lines
			at = bytes.LastIndexByte(chunk[:at], '\n') + 1
		}
	}
}

func (q *Queue) takeOldestWritten() (written int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	written, q.oldestWritten = q.oldestWritten, 0
	return written
}

// awaitRetry waits before a failed write is retried.
func (q *Queue) awaitRetry() bool {
	retry := time.NewTimer(retryEvery)
	defer retry.Stop()
	select {
	case <-retry.C:
	case <-q.reopen:
		signal(q.reopen) // for checkReopen
	case <-q.stopping:
		return false
	}
	return true
}

// checkReopen reopens a file that was moved, and reports whether it did. Until that
// succeeds, lines go to the old one.
func (q *Queue) checkReopen(force bool) bool {
	select {
	case <-q.reopen:
		force = true
	default:
	}
	opened, err := q.out.reopenIfMoved(force)
	switch {
	case err != nil && !q.out.reopenFailed:
		q.log.Error("cannot reopen the audit file; the open one stays in use", "file", q.out.name, "error", err)
	case opened:
		q.log.Info("audit file reopened", "file", q.out.name)
	}
	q.out.reopenFailed = err != nil
	if opened {
		q.mu.Lock()
		q.direct = q.out.isFile()
		q.mu.Unlock()
	}
	return opened
}

func (q *Queue) logClose(err error) {
	if err != nil {
		q.log.Error("closing the output of "+q.label, "error", err)
	}
}

// reportedState is what was last logged.
type reportedState struct {
	full, failing bool
	lost          int64
}

// reportUntil logs lost lines and failures until ctx ends: not in Write, which the log may
// call, nor in the writer, which may be stuck.
func (q *Queue) reportUntil(ctx context.Context) {
	var last reportedState
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.changed:
			last = q.report(last)
		}
		select { // a slow reader makes a queue full and half empty all the time
		case <-ctx.Done():
			return
		case <-time.After(reportInterval):
		}
	}
}

func (q *Queue) report(last reportedState) reportedState {
	q.mu.Lock()
	err := q.writeErr
	now := reportedState{q.full.Load(), err != nil, q.lost}
	q.mu.Unlock()
	switch {
	case now.failing && !last.failing:
		q.log.Error(q.label+" cannot be written; they stay in memory", "error", err)
	case !now.failing && last.failing:
		q.log.Info(q.label + " are written again")
	}
	switch {
	case now.full && !last.full && q.block:
		q.log.Error("requests are refused: the queue of " + q.label + " is full (audit.onFull: block)")
	case now.full && !last.full:
		q.log.Error(q.label + " are being lost: their queue is full, because nothing reads them or they cannot be written")
	case !now.full && (last.full || now.lost > last.lost):
		q.log.Warn("there is room for "+q.label+" again", "lost", now.lost-last.lost)
	}
	if now.full {
		now.lost = last.lost // the total is logged when there is room again
	}
	return now
}
