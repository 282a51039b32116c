package audit

import (
	"io"
	"log/slog"
	"slices"
	"sync"
)

// Writer writes records. It is safe for concurrent use; a record is one Write.
type Writer struct {
	mu   sync.Mutex
	out  io.Writer
	log  *slog.Logger
	lame bool // the last write failed; said once, not for each request
	torn bool // a full disk took a part of a line: the next begins with a line end

	buffers sync.Pool // of *[]byte: lines are written in them, outside of the lock
}

// New writes records to out. A nil out keeps none. Failures to write go to log:
// they must not stop requests, nor go unseen.
func New(out io.Writer, log *slog.Logger) *Writer {
	return &Writer{out: out, log: log}
}

// Write appends one record.
func (w *Writer) Write(r Record) {
	if w.out == nil {
		return
	}
	r.Time = r.Time.UTC()
	if r.Roles == nil {
		r.Roles = []string{}
	}
	if r.Groups == nil {
		r.Groups = []string{}
	}
	buffer := w.borrow()
	defer w.giveBack(buffer)
	line, err := appendRecord((*buffer)[:0], &r)
	*buffer = line
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		err = w.append(append(line, '\n'))
	}
	if err != nil && !w.lame {
		w.log.Error("audit records are being lost", "error", err)
	}
	w.lame = err != nil
}

// append writes at once: a crash loses no record of what was answered.
func (w *Writer) append(line []byte) error {
	if w.torn {
		line = slices.Insert(line, 0, '\n')
	}
	n, err := w.out.Write(line)
	if n > 0 {
		w.torn = line[n-1] != '\n'
	}
	return err
}

func (w *Writer) borrow() *[]byte {
	if buffer, ok := w.buffers.Get().(*[]byte); ok {
		return buffer
	}
	buffer := make([]byte, 0, 2<<10)
	return &buffer
}

// giveBack keeps no buffer that one record with thousands of groups has grown.
func (w *Writer) giveBack(buffer *[]byte) {
	if cap(*buffer) <= 64<<10 {
		w.buffers.Put(buffer)
	}
}
