package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/wait"
)

// traffic is a client of the traffic port.
func (s *serving) traffic() *http.Client {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.dir, "traffic.sock"))
	}}}
	s.Cleanup(client.CloseIdleConnections)
	return client
}

func get(t *testing.T, client *http.Client, path string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example.com"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() // read to its end
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// number reads one metric without labels.
func (s *serving) number(name string) float64 {
	s.Helper()
	_, text := s.admin("GET", "/metrics", "")
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				s.Fatal(err)
			}
			return n
		}
	}
	s.Fatalf("no metric %s", name)
	return 0
}

func TestReaderOfStandardOutputThatStallsStopsNoRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		onFull  string
		refused int // status once the queue is full
		loses   bool
	}{
		{"drop", 0, true},
		{"block", http.StatusServiceUnavailable, false},
	} {
		t.Run(c.onFull, func(t *testing.T) {
			t.Parallel()
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close() // nothing is lost by it
			s := serveTo(t, writer, "session: {keys: {file: session-keys}}\naudit: {onFull: "+c.onFull+"}\n")
			if err := writer.Close(); err != nil {
				t.Fatal(err)
			}
			client := s.traffic()
			path := "/" + strings.Repeat("x", 4000)
			answered := 0 // and either recorded or lost
			for full := false; !full; {
				status, _ := get(t, client, path)
				switch {
				case status == http.StatusUnauthorized: // as for every request without a session
					answered++
					full = c.loses && answered%100 == 0 && s.number("authgate_audit_lost_total") > 0
				case status == c.refused:
					full = true
				default:
					t.Fatalf("request %d: %d", answered, status)
				}
				if answered > 3000 { // 4 MiB are a thousand records
					t.Fatal("the queue is never full")
				}
			}
			if lost := s.number("authgate_audit_lost_total"); (lost > 0) != c.loses {
				t.Errorf("%v records are lost", lost)
			}
			if _, body := get(t, client, "/readyz"); !strings.Contains(body, `"audit":"full"`) {
				t.Errorf("readyz does not say so: %s", body)
			}
			all := make(chan []byte)
			go func() {
				text, _ := io.ReadAll(reader)
				all <- text
			}()
			s.says("there is room for audit records again")
			wait.For(t, 5*time.Second, "everything to be written", func() bool { return s.number("authgate_audit_queue_bytes") == 0 })
			if status, _ := get(t, client, path); status != http.StatusUnauthorized {
				t.Errorf("afterwards: %d", status)
			}
			lost := s.number("authgate_audit_lost_total")
			if err := s.process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if recorded := countRecords(t, <-all, path); float64(recorded)+lost != float64(answered+1) {
				t.Errorf("%d records and %v lost of %d requests", recorded, lost, answered+1)
			}
		})
	}
}

// countRecords counts the requests for a path in whole lines.
func countRecords(t *testing.T, text []byte, path string) (n int) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var r struct{ Event, Path string }
		if err := json.Unmarshal(line, &r); err != nil || !bytes.HasSuffix(line, []byte("\n")) {
			t.Fatalf("%.80q: %v", line, err)
		}
		if r.Event == "request" && r.Path == path {
			n++
		}
	}
	return n
}

func TestAuditFileIsRotatedWithoutASignalAndWithOne(t *testing.T) {
	t.Parallel()
	s := serve(t, "session: {keys: {file: session-keys}}\n")
	client := s.traffic()
	file := filepath.Join(s.dir, "audit.jsonl")
	recorded := func(file, path string) bool {
		text, err := os.ReadFile(file)
		return err == nil && countRecords(t, text, path) == 1
	}
	get(t, client, "/first")
	wait.For(t, 5*time.Second, "the first record", func() bool { return recorded(file, "/first") })
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.says("audit file reopened")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	get(t, client, "/second")
	wait.For(t, 5*time.Second, "the second record", func() bool { return recorded(file, "/second") })
	if err := os.Rename(file, file+".2"); err != nil {
		t.Fatal(err)
	}
	if err := s.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.says("audit file reopened")
	get(t, client, "/third")
	wait.For(t, 5*time.Second, "the third record", func() bool { return recorded(file, "/third") })
	if !recorded(file+".1", "/first") || !recorded(file+".2", "/second") {
		t.Error("a record is not in the file of its time")
	}
	s.run("policy", "replay", "--audit", file+".1", "--audit", file+".2", "--audit", file, "--policy", filepath.Join(s.dir, "policy.csv"))
}

func TestFullDiskStopsNoRequest(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here: ", err)
	}
	s := serveTo(t, nil, "session: {keys: {file: session-keys}}\naudit: {output: /dev/full}\n")
	client := s.traffic()
	for range 5 {
		if status, _ := get(t, client, "/"); status != http.StatusUnauthorized {
			t.Errorf("status %d", status)
		}
	}
	wait.For(t, 5*time.Second, "the failures to be counted", func() bool { return s.number("authgate_audit_write_errors_total") > 1 })
}
