package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/audit"
)

const queueLimit = 4 << 20

// running starts a queue; end ends it, and waits.
func running(q *audit.Queue) (end func()) {
	ctx, stop := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { q.Run(ctx) })
	return func() { stop(); run.Wait() }
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// linesIn counts the lines, each of which has to be a whole record.
func linesIn(t *testing.T, text string) (n int) {
	t.Helper()
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") || !json.Valid([]byte(line)) {
			t.Fatalf("no record: %q", line)
		}
		n++
	}
	return n
}

// stalled is a reader that reads nothing until it is released.
type stalled struct {
	buffer

	goOn chan struct{}
}

func (s *stalled) Write(p []byte) (int, error) {
	<-s.goOn
	return s.buffer.Write(p)
}

func TestStalledReaderHoldsUpNoRequestAndWhatItCostIsSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out, log := &stalled{goOn: make(chan struct{})}, &buffer{}
		q := audit.NewQueue(audit.NewOutput(out), audit.QueueOptions{Label: "audit records", Log: logTo(log)})
		end := running(q)
		w := audit.New(q, slog.New(slog.DiscardHandler))
		began := time.Now()
		const written = 12_000
		for range written {
			w.Write(full)
		}
		synctest.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("requests waited for %s", took)
		}
		if !q.Await(t.Context()) || time.Since(began) != 0 {
			t.Error("a request is held back although records may be lost")
		}
		n := q.Stats()
		if n.Lost == 0 || n.Bytes > queueLimit || n.Bytes < queueLimit*9/10 || !q.Full() {
			t.Errorf("full: %v, %+v", q.Full(), n)
		}
		if text := log.String(); strings.Count(text, "are being lost: their queue is full") != 1 || strings.Count(text, "\n") != 1 {
			t.Errorf("said of the loss:\n%s", text)
		}
		close(out.goOn)
		synctest.Wait()
		time.Sleep(2 * time.Second) // of the bubble: two reports have a second between them
		if kept := linesIn(t, out.String()); int64(kept) != written-n.Lost {
			t.Errorf("%d are written, want %d", kept, written-n.Lost)
		}
		if text := log.String(); !strings.Contains(text, fmt.Sprintf("there is room for audit records again\" lost=%d\n", n.Lost)) {
			t.Errorf("said after it:\n%s", text)
		}
		w.Write(full)
		end()
		if kept := linesIn(t, out.String()); int64(kept) != written-n.Lost+1 || q.Full() {
			t.Errorf("afterwards: %d", kept)
		}
	})
}

func TestBlockingQueueKeepsEveryRecordAndHoldsRequestsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out, log := &stalled{goOn: make(chan struct{})}, &buffer{}
		q := audit.NewQueue(audit.NewOutput(out), audit.QueueOptions{Label: "audit records", Block: true, Log: logTo(log)})
		end := running(q)
		w := audit.New(q, slog.New(slog.DiscardHandler))
		records := 0
		for ; q.Await(t.Context()); records++ {
			w.Write(full)
		}
		if n := q.Stats(); n.Lost > 0 || n.Bytes < queueLimit || n.Bytes > queueLimit+1000 || !q.Full() {
			t.Errorf("full: %v, %+v", q.Full(), n)
		}
		for range 100 { // of requests that were under way
			w.Write(full)
			records++
		}
		began := time.Now()
		if q.Await(t.Context()) || time.Since(began) != time.Second {
			t.Errorf("a request was let in, or waited for %s", time.Since(began))
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if q.Await(gone) {
			t.Error("the request of a client that has gone was let in")
		}
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if !q.Await(t.Context()) {
				t.Error("a request is refused although there is room within its second")
			}
		})
		synctest.Wait()
		close(out.goOn)
		waiting.Wait()
		end()
		if kept := linesIn(t, out.String()); kept != records {
			t.Errorf("%d are written, want %d", kept, records)
		}
		if text := log.String(); !strings.Contains(text, "requests are refused") {
			t.Errorf("said:\n%s", text)
		}
	})
}

// disk has room for some bytes, writes what fits, and is full then.
type disk struct {
	buffer

	room atomic.Int64
}

func (d *disk) Write(b []byte) (int, error) {
	fits := min(len(b), int(d.room.Load()))
	d.room.Add(int64(-fits))
	n, _ := d.buffer.Write(b[:fits])
	if fits < len(b) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

func TestFullDiskLosesNothingThatFitsIntoMemoryAndTearsNoLine(t *testing.T) {
	t.Parallel()
	for _, room := range []int64{0, 1, 1000, 5000} {
		synctest.Test(t, func(t *testing.T) {
			out, log := &disk{}, &buffer{}
			out.room.Store(room)
			q := audit.NewQueue(audit.NewOutput(out), audit.QueueOptions{Label: "audit records", Log: logTo(log)})
			end := running(q)
			w := audit.New(q, slog.New(slog.DiscardHandler))
			for range 100 {
				w.Write(full)
			}
			time.Sleep(10 * time.Second)
			if n := q.Stats(); n.Failures < 2 || n.Lost != 0 {
				t.Errorf("%+v", n)
			}
			if text := log.String(); strings.Count(text, "no space left on device") != 1 {
				t.Errorf("said more than once, or not:\n%s", text)
			}
			out.room.Store(1 << 20)
			time.Sleep(3 * time.Second)
			w.Write(full)
			end()
			if kept := linesIn(t, out.String()); kept != 101 {
				t.Errorf("%d are written", kept)
			}
			if !strings.Contains(log.String(), "are written again") {
				t.Errorf("said:\n%s", log)
			}
		})
	}
}

func TestEndWritesWhatIsLeftAndWaitsForNoStalledReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		q := audit.NewQueue(audit.NewOutput(&out), audit.QueueOptions{Label: "audit records", Log: slog.New(slog.DiscardHandler)})
		w := audit.New(q, slog.New(slog.DiscardHandler))
		for range 1000 { // before it runs
			w.Write(full)
		}
		running(q)()
		if kept := linesIn(t, out.String()); kept != 1000 {
			t.Errorf("%d are written", kept)
		}
		w.Write(full)
		if n := q.Stats(); n.Lost != 1 {
			t.Errorf("too late, and not counted: %+v", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		out, log := &stalled{goOn: make(chan struct{})}, &buffer{}
		q := audit.NewQueue(audit.NewOutput(out), audit.QueueOptions{Label: "audit records", Log: logTo(log)})
		end := running(q)
		for range 10 {
			audit.New(q, slog.New(slog.DiscardHandler)).Write(full)
		}
		began := time.Now()
		end()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the end took %s", took)
		}
		if n := q.Stats(); n.Lost != 10 || !strings.Contains(log.String(), "lost=10") {
			t.Errorf("%+v\n%s", n, log)
		}
		close(out.goOn) // the goroutine that was left behind
	})
}

func TestLogThatIsStalledStopsNothingThatLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &stalled{goOn: make(chan struct{})}
		var q *audit.Queue
		log := logTo(writerFunc(func(b []byte) (int, error) { return q.Write(b) }))
		q = audit.NewQueue(audit.NewOutput(out), audit.QueueOptions{Label: "log lines", Log: log}) // which reports to itself
		end := running(q)
		for range 10_000 {
			log.Warn("something happened", "where", strings.Repeat("here ", 100))
		}
		synctest.Wait()
		lost := q.Stats().Lost
		if lost == 0 {
			t.Fatal("it was not too much")
		}
		close(out.goOn)
		time.Sleep(2 * time.Second)
		end()
		if text := out.String(); !strings.Contains(text, `msg="there is room for log lines again" lost=`) {
			t.Errorf("the log does not say that it has a gap: ...%s", text[max(0, len(text)-300):])
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestQueueTakesRecordsOfManyRequestsInTheOrderOfEach(t *testing.T) {
	t.Parallel()
	var out buffer
	q := audit.NewQueue(audit.NewOutput(&out), audit.QueueOptions{Label: "audit records", Log: slog.New(slog.DiscardHandler)})
	end := running(q)
	w := audit.New(q, slog.New(slog.DiscardHandler))
	var writers sync.WaitGroup
	for who := range 8 {
		writers.Go(func() {
			for i := range 100 { // all of it fits into the queue, however slow the writer is
				w.Write(audit.Record{ID: fmt.Sprint(who), Bytes: int64(i), Path: strings.Repeat("/long", i*20)}) // up to 10 KB: beyond one chunk
			}
		})
	}
	writers.Wait()
	end()
	next := map[string]int64{}
	for line := range strings.Lines(out.String()) {
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Bytes != next[r.ID] {
			t.Fatalf("%v: %s has %d after %d", err, r.ID, r.Bytes, next[r.ID]-1)
		}
		next[r.ID]++
	}
	if len(next) != 8 || next["7"] != 100 {
		t.Errorf("written: %v", next)
	}
}

func TestWritingARecordAllocatesNothing(t *testing.T) {
	q := audit.NewQueue(audit.NewOutput(io.Discard), audit.QueueOptions{Label: "audit records", Log: slog.New(slog.DiscardHandler)})
	defer running(q)()
	w := audit.New(q, slog.New(slog.DiscardHandler))
	if n := testing.AllocsPerRun(10_000, func() { w.Write(full) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
