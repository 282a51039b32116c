package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
)

var full = audit.Record{
	Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Event: audit.Request, ID: "id-1", RequestID: "r-1", Remote: "203.0.113.7", Host: "argo-cd.example.com",
	Method: "GET", Path: "/a", Upstream: "argocd", Subject: "sub", Email: "alice@example.com", Roles: []string{"role:admin"}, Groups: []string{"example-org:argo"},
	Decision: audit.Allow, Reason: "r", Rule: "policy.csv:3", Policy: "79fc849e9d3e", Generation: 2, Age: 60.5, Status: 200, Bytes: 7, Millis: 1.5, Shadow: "deny",
}

func TestRecordHasTheContractsKeysAndReadsBack(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	audit.New(&out, slog.New(slog.DiscardHandler)).Write(full)
	const want = `{"time":"2026-11-23T12:00:00Z","event":"request","id":"id-1","request_id":"r-1","remote":"203.0.113.7","host":"argo-cd.example.com",` +
		`"method":"GET","path":"/a","upstream":"argocd","sub":"sub","email":"alice@example.com","roles":["role:admin"],"groups":["example-org:argo"],"decision":"allow",` +
		`"reason":"r","rule":"policy.csv:3","policy":"79fc849e9d3e","generation":2,"age":60.5,"status":200,"bytes":7,"ms":1.5,"shadow":"deny"}` + "\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", out.String(), want)
	}
	var back audit.Record
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || !reflect.DeepEqual(back, full) {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestRecordOfNobodyHasEmptyListsAndUTC(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	audit.New(&out, slog.New(slog.DiscardHandler)).Write(audit.Record{Time: full.Time.In(time.FixedZone("", 3600))})
	if got := out.String(); !strings.Contains(got, `"roles":[],"groups":[]`) || !strings.Contains(got, `"2026-11-23T12:00:00Z"`) {
		t.Error(got)
	}
}

// failing is a disk that is full until it is not.
type failing struct{ full bool }

func (f *failing) Write(b []byte) (int, error) {
	if f.full {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

func TestLossIsSaidOnceEachTimeItBegins(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	disk := &failing{full: true}
	w := audit.New(disk, slog.New(slog.NewTextHandler(&log, nil)))
	w.Write(full)
	w.Write(full)
	disk.full = false
	w.Write(full)
	disk.full = true
	w.Write(full)
	if got := strings.Count(log.String(), "no space left on device"); got != 2 {
		t.Errorf("said %d times, want 2:\n%s", got, &log)
	}
}

// filling is a disk with room for some bytes, which writes what fits.
type filling struct {
	bytes.Buffer
	room int
}

func (f *filling) Write(b []byte) (int, error) {
	fits := min(len(b), f.room)
	f.room -= fits
	n, _ := f.Buffer.Write(b[:fits])
	if fits < len(b) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

func TestRecordCutByAFullDiskSpoilsNoOtherLine(t *testing.T) {
	t.Parallel()
	for _, room := range []int{1000, 1, 0} {
		disk := &filling{room: room}
		w := audit.New(disk, slog.New(slog.DiscardHandler))
		for range 4 { // some are whole, one is cut, and the rest is lost
			w.Write(full)
		}
		disk.room = 1 << 20
		w.Write(full)
		w.Write(full)
		lines := strings.SplitAfter(strings.TrimSuffix(disk.String(), "\n"), "\n")
		broken := 0
		for _, line := range lines {
			if !json.Valid([]byte(line)) {
				broken++
			}
		}
		whole := room/len(lines[len(lines)-1]) + 2
		if len(lines)-broken != whole || broken > 1 {
			t.Errorf("room for %d bytes: %d lines are whole, want %d:\n%s", room, len(lines)-broken, whole, disk)
		}
	}
}

func TestLinesOfManyRequestsDoNotMix(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	w := audit.New(write, slog.New(slog.DiscardHandler))
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 50 {
				w.Write(full)
			}
		})
	}
	go func() {
		writers.Wait()
		write.Close()
	}()
	lines := 0
	for decoder := json.NewDecoder(read); ; lines++ {
		var r audit.Record
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if lines != 400 {
		t.Errorf("%d lines, want 400", lines)
	}
}

func TestOutputIsOpenedByItsName(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	for range 2 { // a restart appends
		out, closeIt, err := audit.Open(file, &stdout, &stderr)
		if err != nil {
			t.Fatal(err)
		}
		audit.New(out, slog.New(slog.DiscardHandler)).Write(full)
		if err := closeIt(); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || strings.Count(string(text), "\n") != 2 {
		t.Errorf("%s, %v", text, err)
	}
	for name, buffer := range map[string]*bytes.Buffer{"stdout": &stdout, "stderr": &stderr, "none": {}} {
		out, closeIt, err := audit.Open(name, &stdout, &stderr)
		if err != nil {
			t.Fatal(err)
		}
		audit.New(out, slog.New(slog.DiscardHandler)).Write(full)
		if got := strings.Count(buffer.String(), "\n"); got != map[string]int{"stdout": 1, "stderr": 1}[name] {
			t.Errorf("%s got %d lines", name, got)
		}
		if err := closeIt(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := audit.Open(filepath.Join(file, "below-a-file"), nil, nil); err == nil || !strings.Contains(err.Error(), "audit.output") {
		t.Errorf("a path that cannot be: %v", err)
	}
}
