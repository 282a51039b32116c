package auditlog

import (
	"bytes"
	"compress/gzip"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/policy/replay"
)

const soundLine = `{"time":"2026-03-01T10:00:00Z","event":"request","method":"GET","path":"/x","upstream":"u","sub":"p","groups":["o:dev"],"decision":"deny"}`

// readLog reads what was written to a file, and gives the requests in it.
func readLog(t *testing.T, content []byte, flags Flags) ([]replay.LoggedRequest, Counts, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	flags.logs = []string{name}
	cmd := &cobra.Command{}
	cmd.SetErr(&bytes.Buffer{})
	var all []replay.LoggedRequest
	counts, err := flags.Read(context.Background(), cmd, func(o *replay.LoggedRequest) { all = append(all, *o) })
	return all, counts, err
}

func TestWhatTheAuditWritesIsReadBack(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	when := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	audit.New(&log, slog.New(slog.DiscardHandler)).Write(audit.Record{
		Time: when, Event: audit.Request, Method: "POST", Path: "/a/b", Upstream: "u", Subject: "p", Email: "p@x",
		Roles: []string{"role:a"}, Groups: []string{"o:dev"}, Decision: audit.Allow, Rule: "policy.csv:3", Reason: "none",
	})
	all, counts, err := readLog(t, log.Bytes(), Flags{})
	if err != nil || len(all) != 1 || counts.Requests != 1 {
		t.Fatalf("%+v, %+v, %v", all, counts, err)
	}
	o := all[0]
	if !o.Time.Equal(when) || o.Method != "POST" || o.Path.String() != "/a/b" || o.Upstream != "u" || o.User != "p" || o.Email != "p@x" ||
		!slices.Equal(o.Roles, []string{"role:a"}) || !slices.Equal(o.Groups, []string{"o:dev"}) || o.Effect != policy.Allow || o.Rule != "policy.csv:3" {
		t.Errorf("read back is %+v", o)
	}
}

func TestAGroupListThatIsEmptyIsNotOneThatIsMissing(t *testing.T) {
	t.Parallel()
	empty := strings.Replace(soundLine, `["o:dev"]`, `[]`, 1)
	missing := strings.Replace(soundLine, `"groups":["o:dev"],`, ``, 1)
	all, _, err := readLog(t, []byte(empty+"\n"+missing+"\n"), Flags{})
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	if all[0].Groups == nil || all[1].Groups != nil {
		t.Errorf("groups are %#v and %#v", all[0].Groups, all[1].Groups)
	}
}

func TestALineHasToSayWhatJudgingTakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ was, is, what string }{
		{`"time":"2026-03-01T10:00:00Z",`, ``, "has no time"},
		{`2026-03-01T10:00:00Z`, `yesterday`, "has a time that cannot be read"},
		{`"event":"request",`, ``, "has no event"},
		{`"method":"GET",`, ``, "has no method"},
		{`"path":"/x",`, ``, "has no path"},
		{`"/x"`, `"/%78"`, "has a path that is not canonical"},
		{`"/x"`, `"/x?y"`, "has a path that is not canonical"},
		{`"/x"`, `7`, "has the wrong type of value in path"},
		{`"upstream":"u",`, ``, "has no upstream"},
		{`"sub":"p","groups":["o:dev"],`, ``, "does not say who asked (groups, roles, sub, email)"},
		{`"2026-03-01T10:00:00Z"`, `5`, "has a time that cannot be read"},
		{`"groups":["o:dev"]`, `"roles":["viewer"]`, "has something else than role:NAME in its roles"},
		{`["o:dev"]`, `["role:admin"]`, "has something else than a group in its groups"},
		{`,"decision":"deny"`, ``, "has no decision"},
		{`"deny"`, `"maybe"`, "has a decision that is not known"},
	} {
		line := strings.Replace(soundLine, c.was, c.is, 1)
		_, counts, err := readLog(t, []byte(line+"\n"), Flags{})
		if want := "audit.log:1: this line " + c.what; err == nil || !strings.Contains(err.Error(), want) || counts.Unreadable != 1 {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

func TestOnlyTheVeryLastLineMayBeCutShort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, log string
		want      Counts
		complains bool
	}{
		{"cut short at the end", soundLine + "\n" + soundLine[:40], Counts{Lines: 2, Requests: 1, Incomplete: 1}, false},
		{"whole, only without an end", soundLine + "\n" + soundLine, Counts{Lines: 2, Requests: 2}, false},
		{"cut short in the middle", soundLine[:40] + "\n" + soundLine + "\n", Counts{Lines: 2, Requests: 1, Unreadable: 1}, true},
		{"cut short, and then ended", soundLine + "\n" + soundLine[:40] + "\n", Counts{Lines: 2, Requests: 1, Unreadable: 1}, true},
		{"whole, without an end, and not to be judged", soundLine + "\n" + `{"event":"request"}`, Counts{Lines: 2, Requests: 1, Unreadable: 1}, true},
		{"empty lines are none", "\n" + soundLine + "\n\r\n  \n", Counts{Lines: 1, Requests: 1}, false},
		{"nothing", "", Counts{}, false},
	} {
		_, counts, err := readLog(t, []byte(c.log), Flags{})
		if counts != c.want || (err != nil) != c.complains {
			t.Errorf("%s: %+v, %v; want %+v", c.name, counts, err, c.want)
		}
	}
}

func TestALineOfManyMegabytesIsPassedOver(t *testing.T) {
	t.Parallel()
	long := strings.Replace(soundLine, "/x", "/"+strings.Repeat("x", 5<<20), 1)
	log := soundLine + "\n" + long + "\n" + soundLine + "\n"
	_, counts, err := readLog(t, []byte(log), Flags{})
	if err == nil || !strings.Contains(err.Error(), "audit.log:2: this line is longer than 1 MiB") {
		t.Errorf("the error is %v", err)
	}
	if want := (Counts{Lines: 3, Requests: 2, Unreadable: 1}); counts != want {
		t.Errorf("%+v, want %+v", counts, want)
	}
	if _, _, err := readLog(t, []byte(log), Flags{skipUnreadable: true}); err != nil {
		t.Errorf("with --skip-unreadable: %v", err)
	}
}

func TestCompressedLogsAreReadAsTheyAre(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	for range 2 { // logrotate and cat make files of several parts
		part := gzip.NewWriter(&log)
		_, _ = part.Write([]byte(soundLine + "\n"))
		_ = part.Close()
	}
	if _, counts, err := readLog(t, log.Bytes(), Flags{}); err != nil || counts.Requests != 2 {
		t.Errorf("%+v, %v", counts, err)
	}
	if _, _, err := readLog(t, log.Bytes()[:log.Len()-4], Flags{skipUnreadable: true}); err == nil {
		t.Error("half a file is read as if it were whole")
	}
}

func TestReadingStopsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(name, []byte(strings.Repeat(soundLine+"\n", 3000)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	flags := Flags{logs: []string{name}}
	seen := 0
	_, err := flags.Read(ctx, &cobra.Command{}, func(*replay.LoggedRequest) { seen++; cancel() })
	if err == nil || seen == 3000 {
		t.Errorf("read %d lines, %v", seen, err)
	}
}

// FuzzAuditLine holds whatever a log may hold to this: it is counted as one kind,
// and what is judged has all that judging takes.
func FuzzAuditLine(f *testing.F) {
	for _, seed := range []string{soundLine, "{}", "null", "[]", `{"event":1}`, `{"event":"login"}`, soundLine[:50], strings.Replace(soundLine, "deny", "refuse", 1)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) > 1<<12 {
			return
		}
		judged := 0
		r := reader{flags: &Flags{}, each: func(o *replay.LoggedRequest) {
			judged++
			if o.Path.IsZero() || o.Method == "" || o.Upstream == "" {
				t.Errorf("%s is decided as %+v", line, o)
			}
		}}
		what := r.parseLine(line)
		c := r.counts
		kinds := c.Requests + c.OutOfRange + c.Refused + c.EndpointRequests + c.OtherEvents
		if what == "" && kinds != 1 || what != "" && kinds != 0 || c.Requests != int64(judged) {
			t.Errorf("%s: %q, %+v", line, what, c)
		}
	})
}
