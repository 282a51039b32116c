package auditlog

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/example-org/authgate/cmd/authgate/cli"
)

// progress shows on a terminal how much of the logs has been read. If standard error is
// not a terminal, it shows nothing.
type progress struct {
	w         io.Writer // nil: not a terminal
	total     int64     // bytes; 0 if not known
	done      int64
	started   time.Time
	lastDrawn time.Time
}

func newProgress(stderr io.Writer, files []string) *progress {
	if !cli.IsTerminal(stderr) {
		return &progress{}
	}
	p := &progress{w: stderr, started: time.Now(), lastDrawn: time.Now()}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() { // such as a pipe, whose length is unknown
			p.total = 0
			break
		}
		p.total += info.Size()
	}
	return p
}

// countReads counts what is read from r.
func (p *progress) countReads(r io.Reader) io.Reader { return io.TeeReader(r, (*progressWriter)(p)) }

type progressWriter progress

func (p *progressWriter) Write(b []byte) (int, error) {
	p.done += int64(len(b))
	return len(b), nil
}

// draw updates the bar, a few times a second.
func (p *progress) draw(lines int64) {
	const interval = 200 * time.Millisecond
	if p.w == nil || time.Since(p.lastDrawn) < interval {
		return
	}
	p.lastDrawn = time.Now()
	rate := float64(lines) / time.Since(p.started).Seconds()
	position := fmt.Sprintf("%d MiB", p.done>>20)
	if p.total > 0 {
		const width = 24
		filled := int(min(width, width*p.done/p.total))
		position = fmt.Sprintf("[%-*s] %3d %%  %d of %d MiB", width, bar[:filled], 100*p.done/p.total, p.done>>20,
			p.total>>20)
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s  %d lines, %.0f a second", position, lines, rate)
}

const bar = "########################"

// clear clears the line.
func (p *progress) clear() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
