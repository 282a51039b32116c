package audit

import (
	"io"
	"log/slog"
	"sync"
)

// Writer writes records as lines. It is safe for concurrent use.
type Writer struct {
	out io.Writer
	log *slog.Logger

	// Recent keeps the last refusals in memory as well; nil: nothing does. It is set before
	// records are written concurrently.
	Recent *Recent

	buffers sync.Pool // of *[]byte: for lines
}

// New writes records to out, each with one Write, and concurrently: to a [Queue], or to
// another writer that is safe for that. A nil out discards them.
func New(out io.Writer, log *slog.Logger) *Writer {
	return &Writer{out: out, log: log}
}

// Write writes one record. The out reports what it loses.
func (w *Writer) Write(r Record) {
	if w.Recent != nil {
		w.Recent.add(&r)
	}
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
	buffer := w.getBuffer()
	defer w.putBuffer(buffer)
	line, err := appendRecord((*buffer)[:0], &r)
	if err != nil {
		w.log.Error("an audit record cannot be encoded", "id", r.ID, "error", err)
		return
	}
	line = append(line, '\n')
	*buffer = line
	_, _ = w.out.Write(line)
}

func (w *Writer) getBuffer() *[]byte {
	if buffer, ok := w.buffers.Get().(*[]byte); ok {
		return buffer
	}
	buffer := make([]byte, 0, 2<<10)
	return &buffer
}

// putBuffer drops a buffer that one record with thousands of groups has grown.
func (w *Writer) putBuffer(buffer *[]byte) {
	if cap(*buffer) <= 64<<10 {
		w.buffers.Put(buffer)
	}
}
