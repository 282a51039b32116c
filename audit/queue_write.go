package audit

import (
	"bytes"
	"context"
	"slices"
	"time"
)

// writeAll is the writer of a queue. It ends when nothing is left after ending was
// closed, or cannot be written.
func (q *Queue) writeAll() {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	defer func() { q.noteClose(q.out.close()) }()
	var batch [][]byte
	for {
		batch = q.take(batch)
		for _, chunk := range batch {
			select { // also while there is always something to write
			case <-look.C:
				q.look(false)
			case <-q.again:
				q.look(true)
			default:
			}
			if !q.put(chunk) {
				return
			}
		}
		if len(batch) > 0 {
			q.release()
			continue
		}
		select {
		case <-q.wake:
		case <-look.C:
			q.acquire()
			q.look(false)
			q.release()
		case <-q.again:
			q.acquire()
			q.look(true)
			q.release()
		case <-q.ending:
			q.acquire() // for ever, if this is the end: the output is about to be closed
			if q.empty() {
				return
			}
			q.release()
		}
	}
}

// take swaps the chunks that wait for a list that the writer has done with. If
// there are any, the output is the writer's until release.
func (q *Queue) take(done [][]byte) [][]byte {
	clear(done)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.writing || len(q.waiting) == 0 {
		q.idle = true
		return done[:0]
	}
	taken := q.waiting
	q.waiting = done[:0]
	q.writing = true
	return taken
}

// acquire takes the output from those who write to it directly: they are quick.
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
	if q.idle && len(q.waiting) > 0 {
		q.idle = false
		nudge(q.wake)
	}
}

func (q *Queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0
}

// writeDirect writes a line to a file, before the request that it tells of ends: a
// crash loses no record of what was answered. What does not succeed is left to the
// writer.
func (q *Queue) writeDirect(line []byte) {
	n, err := q.out.write(line)
	if err != nil {
		q.failed(err)
		q.putBack(line, n)
	}
	q.release()
}

// putBack makes a line that was begun the oldest.
func (q *Queue) putBack(line []byte, begun int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.Insert(q.waiting, 0, slices.Clone(line))
	q.size += len(line)
	q.lines++
	q.begun = begun
}

// put writes one chunk, however often it has to try. It reports false where the
// end came first.
func (q *Queue) put(chunk []byte) bool {
	for at := q.takeBegun(); ; {
		n, err := q.out.write(chunk[at:])
		at += n
		if err == nil {
			q.written(chunk)
			return true
		}
		q.failed(err)
		if !q.pause() {
			return false
		}
		if q.look(q.out.broken(err)) { // in another file a line begins from its start
			at = bytes.LastIndexByte(chunk[:at], '\n') + 1
		}
	}
}

func (q *Queue) takeBegun() (begun int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	begun, q.begun = q.begun, 0
	return begun
}

// pause waits until a failed write is worth another try.
func (q *Queue) pause() bool {
	retry := time.NewTimer(retryEvery)
	defer retry.Stop()
	select {
	case <-retry.C:
	case <-q.again:
		nudge(q.again) // for the look that follows
	case <-q.ending:
		return false
	}
	return true
}

// look opens a file that has moved again, and reports whether it did. Until that
// succeeds, the old one is written to.
func (q *Queue) look(force bool) bool {
	select {
	case <-q.again:
		force = true
	default:
	}
	opened, err := q.out.look(force)
	switch {
	case err != nil && !q.out.lame:
		q.log.Error("cannot open the audit file again; the one that is open stays in use", "file", q.out.name, "error", err)
	case opened:
		q.log.Info("audit file opened again", "file", q.out.name)
	}
	q.out.lame = err != nil
	if opened {
		q.mu.Lock()
		q.direct = q.out.isFile()
		q.mu.Unlock()
	}
	return opened
}

func (q *Queue) noteClose(err error) {
	if err != nil {
		q.log.Error("closing the output of "+q.what, "error", err)
	}
}

// reported is what the log was last told.
type reported struct {
	full, failing bool
	lost          int64
}

// reportUntil logs what becomes of the lines until ctx ends: not in Write, which
// may be called from within the log, nor by the writer, which may be stuck.
func (q *Queue) reportUntil(ctx context.Context) {
	var last reported
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.news:
			last = q.report(last)
		}
		select { // a reader that is only slow makes a queue full and half empty all the time
		case <-ctx.Done():
			return
		case <-time.After(quiet):
		}
	}
}

func (q *Queue) report(last reported) reported {
	q.mu.Lock()
	err := q.failing
	now := reported{q.full.Load(), err != nil, q.lost}
	q.mu.Unlock()
	switch {
	case now.failing && !last.failing:
		q.log.Error(q.what+" cannot be written; they are kept in memory", "error", err)
	case !now.failing && last.failing:
		q.log.Info(q.what + " are written again")
	}
	switch {
	case now.full && !last.full && q.block:
		q.log.Error("requests are refused: the queue of " + q.what + " is full (audit.onFull: block)")
	case now.full && !last.full:
		q.log.Error(q.what + " are being lost: their queue is full, because nothing reads them or they cannot be written")
	case !now.full && (last.full || now.lost > last.lost):
		q.log.Warn("there is room for "+q.what+" again", "lost", now.lost-last.lost)
	}
	if now.full {
		now.lost = last.lost // how many there are in the end, is said then
	}
	return now
}
