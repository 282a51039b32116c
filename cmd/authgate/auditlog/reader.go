// Package auditlog reads audit logs back, for commands that ask what a policy would
// have decided.
package auditlog

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy/replay"
)

// maxLine is more than any record takes: a longer line is none.
const maxLine = 1 << 20

// Flags say which audit logs are read.
type Flags struct {
	logs           []string
	skipUnreadable bool
	since, until   timeFlag
}

// Add adds the flags to a command.
func (f *Flags) Add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.logs, "audit", nil,
		"audit log `FILE`, gzip or not, - for standard input; may be repeated")
	cmd.Flags().Var(&f.since, "since", "ignore requests before this `TIME`, such as 2026-03-01 or 2026-03-01T08:00:00Z")
	cmd.Flags().Var(&f.until, "until", "ignore requests at this `TIME` and later")
	cmd.Flags().BoolVar(&f.skipUnreadable, "skip-unreadable", false, "ignore lines that lack a required field")
}

// Check reports a command line that names no log.
func (f *Flags) Check() error {
	if len(f.logs) == 0 {
		return errors.New("no audit log is named; write --audit FILE, or --audit - for standard input")
	}
	return nil
}

// timeFlag is a point of time on the command line; zero if it is not set.
type timeFlag struct{ time.Time }

func (m *timeFlag) Type() string { return "TIME" }

func (m *timeFlag) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339)
}

func (m *timeFlag) Set(text string) (err error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if m.Time, err = time.Parse(layout, text); err == nil {
			return nil
		}
	}
	return errors.New("write a day such as 2026-03-01 (UTC), or a time such as 2026-03-01T08:00:00Z")
}

// Counts says what the lines of the logs were. Every line is one of these.
type Counts struct {
	Lines            int64 `json:"lines"`
	Requests         int64 `json:"requests"`          // that a policy decided: these are judged
	OutOfRange       int64 `json:"outside"`           // requests outside --since and --until
	Refused          int64 `json:"refused"`           // requests refused before a policy decided
	EndpointRequests int64 `json:"endpoint_requests"` // requests for authgate's own endpoints
	OtherEvents      int64 `json:"other_events"`      // logins, reloads and the like
	Unreadable       int64 `json:"unreadable"`
	Incomplete       int64 `json:"incomplete_lines"` // last lines that are still being written
}

// Read streams the logs, whatever their size, and gives each request that a
// policy decided. It reads to the end before it complains of lines that lack what
// is needed, so that the complaint is whole.
func (f *Flags) Read(ctx context.Context, cmd *cobra.Command, each func(*replay.LoggedRequest)) (Counts, error) {
	r := reader{
		flags: f, each: each, progress: newProgress(cmd.ErrOrStderr(), f.logs),
		problems: map[string]*lineProblem{},
	}
	for _, name := range f.logs {
		if err := r.file(ctx, name, cmd.InOrStdin()); err != nil {
			r.progress.clear()
			return r.counts, cli.LoadError(err)
		}
	}
	r.progress.clear()
	if err := r.inputError(); err != nil && !f.skipUnreadable {
		return r.counts, cli.LoadError(err)
	}
	return r.counts, nil
}

// Print summarises the lines as text.
func (c *Counts) Print(s *cli.Printer) {
	var skipped []string
	for _, part := range []struct {
		lines int64
		what  string
	}{
		{c.OtherEvents, "of other events"},
		{c.EndpointRequests, "for authgate's own endpoints"},
		{c.Refused, "refused before a policy decided"},
		{c.OutOfRange, "outside --since and --until"},
		{c.Unreadable, "that lack a required field"},
		{c.Incomplete, "incomplete at the end of a log"},
	} {
		if part.lines > 0 {
			skipped = append(skipped, fmt.Sprintf("%d %s", part.lines, part.what))
		}
	}
	summary := fmt.Sprintf("%s read, %s decided", cli.Plural(c.Lines, "line"), cli.Plural(c.Requests, "request"))
	if len(skipped) > 0 {
		summary += "; ignored: " + strings.Join(skipped, ", ")
	}
	s.Line("%s", s.Dim(summary))
}

// reader reads line by line. Its buffers are reused: nothing grows with the
// logs.
type reader struct {
	flags    *Flags
	each     func(*replay.LoggedRequest)
	counts   Counts
	problems map[string]*lineProblem // by what lacks: a fixed set
	progress *progress
	line     auditLine
}

// lineProblem is what is wrong with some lines, and where it was met first.
type lineProblem struct {
	lines int64
	first fault.Position
}

func (r *reader) file(ctx context.Context, name string, stdin io.Reader) error {
	raw := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("audit log: %w", err)
		}
		defer file.Close()
		raw = file
	}
	lines := bufio.NewReaderSize(r.progress.countReads(raw), maxLine)
	if magic, _ := lines.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		gunzipped, err := gzip.NewReader(lines)
		if err != nil {
			return fmt.Errorf("audit log %s: %w", name, err)
		}
		lines = bufio.NewReaderSize(gunzipped, maxLine)
	}
	at := fault.Position{File: name}
	for {
		line, err := lines.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading audit log %s: %w", name, err)
		}
		if at.Line++; long || len(bytes.TrimSpace(line)) > 0 {
			r.addLine(at, line, long, errors.Is(err, io.EOF))
		}
		if err != nil {
			return nil
		}
		if at.Line%1024 == 0 {
			if ctx.Err() != nil {
				return fmt.Errorf("reading audit log %s: %w", name, context.Cause(ctx))
			}
			r.progress.draw(r.counts.Lines)
		}
	}
}

// addLine sorts one line. Only the last line of a file may be cut off anywhere: a log
// that is being written to ends so.
func (r *reader) addLine(at fault.Position, line []byte, long, unterminated bool) {
	r.counts.Lines++
	problem := "is longer than 1 MiB"
	if !long {
		problem = r.parseLine(line)
	}
	switch {
	case problem == "":
	case unterminated && !json.Valid(line):
		r.counts.Incomplete++
	default:
		r.counts.Unreadable++
		if r.problems[problem] == nil {
			r.problems[problem] = &lineProblem{first: at}
		}
		r.problems[problem].lines++
	}
}

func (r *reader) parseLine(line []byte) (problem string) {
	r.line = auditLine{}
	if err := json.Unmarshal(line, &r.line); err != nil {
		var typeErr *json.UnmarshalTypeError
		if errors.As(err, &typeErr) && typeErr.Field != "" {
			return "has the wrong type of value in " + typeErr.Field
		}
		if json.Valid(line) && typeErr == nil { // else it is the time that says so itself
			return "has a time that cannot be read"
		}
		return "is not a JSON object"
	}
	switch l := &r.line; {
	case l.Event == nil:
		return "has no event"
	case *l.Event != audit.Request:
		r.counts.OtherEvents++
		return ""
	case l.Decision == nil:
		return "has no decision"
	case *l.Decision == audit.Refuse:
		r.counts.Refused++
		return ""
	case l.Upstream == nil:
		return "has no upstream"
	case *l.Upstream == "":
		r.counts.EndpointRequests++
		return ""
	}
	o, problem := r.line.loggedRequest()
	switch f := r.flags; {
	case problem != "":
	case o.Time.Before(f.since.Time), !f.until.IsZero() && !o.Time.Before(f.until.Time):
		r.counts.OutOfRange++
	default:
		r.counts.Requests++
		r.each(&o)
	}
	return problem
}

// inputError names each thing that lines lack: how many do, and the first.
func (r *reader) inputError() error {
	var faults fault.Faults
	for problem, l := range r.problems {
		message := "this line " + problem
		if l.lines > 1 {
			message += fmt.Sprintf(", and %d more", l.lines-1)
		}
		faults = append(faults, fault.Fault{Position: l.first, Message: message})
	}
	if len(faults) == 0 {
		return nil
	}
	slices.SortFunc(faults, func(a, b fault.Fault) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Message, b.Message))
	})
	summary := fmt.Sprintf("%d of %d lines cannot be used", r.counts.Unreadable, r.counts.Lines)
	return append(faults, fault.Fault{
		Position: fault.Position{File: "audit"}, Message: summary,
		Hint: "name complete logs of authgate, or ignore these lines with --skip-unreadable",
	})
}
