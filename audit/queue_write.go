package audit

import (
	"bytes"
	"context"
	"math"
	"time"
)

// writeAll is the writer of a queue, the only goroutine that uses its output. It ends after stopping
// is closed, when nothing is left or the rest cannot be written.
func (q *Queue) writeAll() {
	check := time.NewTicker(reopenCheckEvery)
	defer check.Stop()
	defer func() { q.logClose(q.out.close()) }()
	var batch [][]byte
	var last time.Time // of the writes
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
			last = time.Now()
			q.awaitOthers(last)
			continue
		}
		select {
		case <-q.wake:
			q.awaitOthers(last)
		case <-check.C:
			q.checkReopen(false)
		case <-q.reopen:
			q.checkReopen(true)
		case <-q.stopping:
			if q.empty() {
				return
			}
		}
	}
}

// takePending swaps the pending chunks for a list that the writer has finished. If there are none,
// the next line wakes the writer.
func (q *Queue) takePending(recycled [][]byte) [][]byte {
	clear(recycled)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wakeAt = math.MaxInt
	if len(q.pending) == 0 {
		q.wakeAt = 1
		return recycled[:0]
	}
	pending := q.pending
	q.pending = recycled[:0]
	return pending
}

// awaitOthers lets the lines that are queued wait for others until a moment after the last write, so
// that a busy process writes once for many requests, and an idle one at once.
func (q *Queue) awaitOthers(last time.Time) {
	rest := q.gather - time.Since(last)
	if rest <= 0 || !q.wakeWhenFull() {
		return
	}
	moment := time.NewTimer(rest)
	defer moment.Stop()
	select {
	case <-q.wake:
	case <-moment.C:
	case <-q.stopping:
	case <-q.reopen:
		signal(q.reopen) // for writeAll
	}
}

// wakeWhenFull makes the writer wake when there is enough for a write. It reports false if it is not
// to wait.
func (q *Queue) wakeWhenFull() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.size == 0 || q.size >= fileBytes {
		return false
	}
	q.wakeAt = fileBytes
	return true
}

func (q *Queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.pending) == 0
}

// writeChunk writes one chunk, and retries until it succeeds. It reports false if the queue
// stopped first.
func (q *Queue) writeChunk(chunk []byte) bool {
	for at := 0; at < len(chunk); {
		n, err := q.out.write(firstLines(chunk[at:], q.out.writeBytes()))
		at += n
		if err == nil {
			continue
		}
		q.writeFailed(err)
		if !q.awaitRetry() {
			return false
		}
		if q.checkReopen(q.out.needsReopen(err)) { // a new file gets whole lines
			at = bytes.LastIndexByte(chunk[:at], '\n') + 1
		}
	}
	q.chunkWritten(chunk)
	return true
}

// firstLines gives as many whole lines as fit, and at least one.
func firstLines(lines []byte, fit int) []byte {
	if len(lines) <= fit {
		return lines
	}
	if end := bytes.LastIndexByte(lines[:fit], '\n'); end >= 0 {
		return lines[:end+1]
	}
	return lines[:bytes.IndexByte(lines, '\n')+1]
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
		q.chunkBytes = q.out.writeBytes()
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
