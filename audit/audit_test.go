package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
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

func TestAnonymousRecordHasEmptyListsAndUTC(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	audit.New(&out, slog.New(slog.DiscardHandler)).Write(audit.Record{Time: full.Time.In(time.FixedZone("", 3600))})
	if got := out.String(); !strings.Contains(got, `"roles":[],"groups":[]`) || !strings.Contains(got, `"2026-11-23T12:00:00Z"`) {
		t.Error(got)
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
