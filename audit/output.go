package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// reopenCheckEvery is how often a file is checked by its name: logrotate moves it away, and
// the next one must exist within 2 seconds.
const reopenCheckEvery = time.Second

// Output is the destination of lines. Only one goroutine uses it: that of a [Queue].
type Output struct {
	w    io.Writer // nil: a named pipe without a reader so far
	name string    // of a file that can be reopened; empty: stdout, stderr or a buffer

	file         *os.File // if it has a name
	pipe         bool     // it is a named pipe
	partialLine  bool     // the file ends within a line
	reopenFailed bool     // it could not be reopened; logged once
}

// Open opens the output that audit.output names: stdout, stderr, or a file, to which lines
// are appended. It is nil for none.
func Open(output string, stdout, stderr io.Writer) (*Output, error) {
	switch output {
	case "stdout":
		return NewOutput(stdout), nil
	case "stderr":
		return NewOutput(stderr), nil
	case "none":
		return nil, nil
	}
	o := &Output{name: output}
	if err := o.open(); err != nil && !errors.Is(err, errNoReader) {
		return nil, fmt.Errorf("audit.output: %w", err)
	}
	return o, nil
}

// NewOutput is an output that stays open.
func NewOutput(w io.Writer) *Output { return &Output{w: w} }

var errNoReader = errors.New("no program reads the named pipe")

// open opens the file by its name. On failure the previous file stays open.
func (o *Output) open() error {
	flags := os.O_APPEND | os.O_CREATE | os.O_WRONLY
	info, err := os.Stat(o.name)
	pipe := err == nil && info.Mode().Type() == fs.ModeNamedPipe
	if pipe {
		flags = os.O_WRONLY | syscall.O_NONBLOCK // or opening it waits for a reader
	}
	file, err := os.OpenFile(o.name, flags, 0o640)
	if pipe && errors.Is(err, syscall.ENXIO) {
		return errNoReader
	}
	if err != nil {
		return err
	}
	if o.file != nil {
		_ = o.file.Close() // everything was written
	}
	o.w, o.file, o.pipe, o.partialLine = file, file, pipe, !pipe && endsWithinLine(o.name)
	return nil
}

// writeBytes is how many bytes one write may have. Several processes may write to one pipe.
func (o *Output) writeBytes() int {
	if o.file != nil && !o.pipe {
		return fileBytes
	}
	return pipeBytes
}

// endsWithinLine reports whether a crash or a full disk has left an incomplete line: the
// next line must not continue it.
func endsWithinLine(name string) bool {
	file, err := os.Open(name)
	if err != nil {
		return false // it may be unreadable
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = file.ReadAt(last[:], info.Size()-1)
	return err == nil && last[0] != '\n'
}

func (o *Output) write(b []byte) (int, error) {
	if o.w == nil {
		if err := o.open(); err != nil {
			return 0, err
		}
	}
	if o.partialLine {
		if _, err := o.w.Write([]byte("\n")); err != nil {
			return 0, err
		}
		o.partialLine = false
	}
	return o.w.Write(b)
}

// needsReopen reports whether the output must be reopened after an error.
func (o *Output) needsReopen(err error) bool {
	return o.name != "" && errors.Is(err, syscall.EPIPE)
}

// reopenIfMoved reopens the file if its name belongs to another file or none, or if forced.
// It reports whether it did.
func (o *Output) reopenIfMoved(force bool) (opened bool, err error) {
	if o.name == "" || o.file != nil && !force && o.isCurrentFile() {
		return false, nil
	}
	old := o.file
	if err = o.open(); old == nil && errors.Is(err, errNoReader) {
		err = nil // no reader yet
	}
	return o.file != old, err
}

func (o *Output) isCurrentFile() bool {
	named, err := os.Stat(o.name)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	open, err := o.file.Stat()
	return err == nil && os.SameFile(named, open)
}

func (o *Output) close() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}
