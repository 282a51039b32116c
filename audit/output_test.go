package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
)

// fileQueue writes to a file until the test ends.
func fileQueue(t *testing.T, file string) (*audit.Queue, *audit.Writer, *buffer) {
	t.Helper()
	out, err := audit.Open(file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	log := &buffer{}
	q := audit.NewQueue(out, audit.QueueOptions{Label: "audit records", Log: logTo(log)})
	t.Cleanup(running(q))
	return q, audit.New(q, slog.New(slog.DiscardHandler)), log
}

// await waits until something holds.
func await(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

func text(file string) string {
	all, _ := os.ReadFile(file)
	return string(all)
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestOutputIsOpenedByItsName(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	for range 2 { // a restart appends
		write(t, file, &stdout, &stderr)
	}
	if n := linesIn(t, text(file)); n != 2 {
		t.Errorf("%d lines", n)
	}
	for name, buffer := range map[string]*bytes.Buffer{"stdout": &stdout, "stderr": &stderr} {
		write(t, name, &stdout, &stderr)
		if n := linesIn(t, buffer.String()); n != 1 {
			t.Errorf("%s got %d lines", name, n)
		}
	}
	if out, err := audit.Open("none", &stdout, &stderr); out != nil || err != nil {
		t.Errorf("none: %v, %v", out, err)
	}
	for _, wrong := range []string{filepath.Join(file, "below-a-file"), filepath.Dir(file), filepath.Join(filepath.Dir(file), "no/folder")} {
		if _, err := audit.Open(wrong, nil, nil); err == nil || !strings.Contains(err.Error(), "audit.output") {
			t.Errorf("a path that cannot be: %v", err)
		}
	}
}

func write(t *testing.T, output string, stdout, stderr *bytes.Buffer) {
	t.Helper()
	out, err := audit.Open(output, stdout, stderr)
	if err != nil {
		t.Fatal(err)
	}
	q := audit.NewQueue(out, audit.QueueOptions{Label: "audit records", Log: slog.New(slog.DiscardHandler)})
	audit.New(q, slog.New(slog.DiscardHandler)).Write(full)
	running(q)()
}

func TestFileThatMovedIsOpenedAgainWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(t *testing.T, file string){
		"moved": func(t *testing.T, file string) { rename(t, file, file+".1") },
		"moved, and created by logrotate": func(t *testing.T, file string) {
			rename(t, file, file+".1")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"removed": func(t *testing.T, file string) {
			if err := os.Link(file, file+".1"); err != nil { // to read it
				t.Fatal(err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
		"its folder moved": func(t *testing.T, file string) {
			rename(t, filepath.Dir(file), filepath.Dir(file)+".old")
			if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			rename(t, filepath.Join(filepath.Dir(file)+".old", filepath.Base(file)), file+".1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "log", "audit.jsonl")
			if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			_, w, log := fileQueue(t, file)
			w.Write(full)
			await(t, time.Second, "the first record", func() bool { return text(file) != "" })
			move(t, file)
			await(t, 2*time.Second, "the file is there again", func() bool {
				_, err := os.Stat(file)
				return err == nil && strings.Contains(log.String(), "reopened")
			})
			w.Write(full)
			await(t, time.Second, "the second record", func() bool { return text(file) != "" })
			if a, b := linesIn(t, text(file+".1")), linesIn(t, text(file)); a != 1 || b != 1 {
				t.Errorf("%d in the old file, %d in the new one", a, b)
			}
		})
	}
}

func TestAskedToItOpensTheFileAtOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	q, w, _ := fileQueue(t, file)
	w.Write(full)
	await(t, time.Second, "the first record", func() bool { return text(file) != "" })
	rename(t, file, file+".1")
	q.Reopen()
	await(t, 500*time.Millisecond, "the file is there again", func() bool {
		_, err := os.Stat(file)
		return err == nil
	})
}

func TestFileThatCannotBeOpenedAgainIsWrittenToUnderItsOldName(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "audit.jsonl")
	q, w, log := fileQueue(t, file)
	rename(t, folder, folder+".old")
	q.Reopen()
	await(t, time.Second, "it is logged", func() bool { return strings.Contains(log.String(), "cannot reopen the audit file") })
	w.Write(full)
	await(t, time.Second, "the record", func() bool { return linesIn(t, text(filepath.Join(folder+".old", "audit.jsonl"))) == 1 })
	rename(t, folder+".old", folder)
	w.Write(full)
	await(t, time.Second, "the second", func() bool { return linesIn(t, text(file)) == 2 })
	if n := strings.Count(log.String(), "cannot reopen"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log)
	}
}

func TestNoRecordIsLostOrCutWhileFilesAreMovedUnderLoad(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	q, w, _ := fileQueue(t, file)
	var stop atomic.Bool
	var written atomic.Int64
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for !stop.Load() {
				w.Write(full)
				written.Add(1)
				time.Sleep(50 * time.Microsecond)
			}
		})
	}
	const moves = 6
	for i := range moves {
		await(t, 5*time.Second, "something is written", func() bool { return len(text(file)) > 10_000 })
		rename(t, file, file+"."+string(rune('a'+i)))
		if i%2 == 0 {
			q.Reopen()
		}
	}
	stop.Store(true)
	writers.Wait()
	await(t, 5*time.Second, "all is written", func() bool { return q.Stats().Bytes == 0 })
	files, err := filepath.Glob(file + "*")
	if err != nil {
		t.Fatal(err)
	}
	found := int64(0)
	for _, one := range files {
		found += int64(linesIn(t, text(one)))
	}
	if found != written.Load() || q.Stats().Lost != 0 {
		t.Errorf("%d in %d files, %d written", found, len(files), written.Load())
	}
}

func TestLineThatACrashLeftIsNotContinued(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(file, []byte(`{"time":"2026-11-2`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, w, _ := fileQueue(t, file)
	w.Write(full)
	await(t, time.Second, "the record", func() bool {
		_, line, _ := strings.Cut(text(file), "\n")
		return strings.HasSuffix(line, "\n") && json.Valid([]byte(line))
	})
}

func TestNamedPipeMayHaveAReaderLaterOrAnother(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "audit.pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip("no named pipes here: ", err)
	}
	q, w, _ := fileQueue(t, pipe) // nothing reads it yet
	w.Write(full)
	for range 2 {
		reader, err := os.Open(pipe)
		if err != nil {
			t.Fatal(err)
		}
		var one audit.Record
		if err := json.NewDecoder(reader).Decode(&one); err != nil || one.ID != full.ID {
			t.Errorf("%+v, %v", one, err)
		}
		if err := reader.Close(); err != nil {
			t.Fatal(err)
		}
		w.Write(full) // without a reader: kept for the next reader
		await(t, 2*time.Second, "the write has failed", func() bool { return q.Stats().Failures > 0 })
	}
	if n := q.Stats().Lost; n != 0 {
		t.Errorf("%d are lost", n)
	}
	if info, err := os.Stat(pipe); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
		t.Errorf("the pipe was replaced: %v, %v", info, err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0) // so that the end can write what is left
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
}
