package audit_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/audit"
)

// writes records when each write came, and what it had.
type writes struct {
	mu    sync.Mutex
	begun time.Time
	after []time.Duration
	texts []string
}

func (w *writes) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.after = append(w.after, time.Since(w.begun))
	w.texts = append(w.texts, string(b))
	return len(b), nil
}

const gather = 2 * time.Millisecond

func gathering(w *writes) *audit.Queue {
	w.begun = time.Now()
	return audit.NewQueue(audit.NewOutput(w), audit.QueueOptions{Label: "audit records", Gather: gather, Log: slog.New(slog.DiscardHandler)})
}

func TestRecordsOfAMomentAreOneWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &writes{}
		q := gathering(w)
		end := running(q)
		defer end()
		synctest.Wait()
		for _, line := range []string{"1\n", "2\n", "3\n"} {
			if _, err := q.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(gather / 4)
		}
		time.Sleep(time.Second)
		if _, err := q.Write([]byte("4\n")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		wantAfter := []time.Duration{0, gather, time.Second + 3*gather/4}
		if !slices.Equal(w.texts, []string{"1\n", "2\n3\n", "4\n"}) || !slices.Equal(w.after, wantAfter) {
			t.Errorf("%q after %v", w.texts, w.after)
		}
	})
}

func TestManyRecordsDoNotWaitForMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &writes{}
		q := gathering(w)
		end := running(q)
		defer end()
		synctest.Wait()
		line := []byte(strings.Repeat("x", 499) + "\n")
		for range 140 { // 70 kB: twice what is enough
			if _, err := q.Write(line); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if all := strings.Join(w.texts, ""); time.Since(w.begun) != 0 || len(all) < 64<<10 {
			t.Errorf("%d bytes after %v", len(all), w.after)
		}
		for _, text := range w.texts {
			if len(text) > 4<<10 || !strings.HasSuffix(text, "\n") {
				t.Errorf("a write of %d bytes to what may be a pipe", len(text))
			}
		}
	})
}

func TestRecordsThatWaitForOthersAreWrittenAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &writes{}
		q := gathering(w)
		end := running(q)
		synctest.Wait()
		for _, line := range []string{"first\n", "last\n"} {
			if _, err := q.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		end()
		if !slices.Equal(w.texts, []string{"first\n", "last\n"}) || q.Stats().Lost != 0 || time.Since(w.begun) != 0 {
			t.Errorf("%q, %+v", w.texts, q.Stats())
		}
	})
}

// What waits belongs to the moved file or to the new one, as a whole.
func TestRecordsThatWaitSurviveAReopenedFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "audit.jsonl")
	out, err := audit.Open(name, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	q := audit.NewQueue(out, audit.QueueOptions{Label: "audit records", Gather: time.Hour, Log: slog.New(slog.DiscardHandler)})
	end := running(q)
	for range 2 { // the second waits for an hour
		if _, err := q.Write([]byte("{}\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	q.Reopen()
	if _, err := q.Write([]byte("{}\n")); err != nil {
		t.Fatal(err)
	}
	end()
	var all []byte
	for _, file := range []string{name, name + ".1"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	if !bytes.Equal(all, []byte("{}\n{}\n{}\n")) || q.Stats().Lost != 0 {
		t.Errorf("%q, %+v", all, q.Stats())
	}
}
