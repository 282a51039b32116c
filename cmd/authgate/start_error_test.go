package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/server"
)

func TestWhatKeepsAServerFromStartingIsTheLastLine(t *testing.T) {
	t.Parallel()
	faults := fault.Faults{
		{Position: fault.Position{File: "authgate.yaml", Line: 9, Column: 3}, Message: `unknown key "isuer"`, Hint: `did you mean "issuer"?`},
		{Position: fault.Position{File: "authgate.yaml", Line: 22}, Message: "upstreams: there is none"},
	}
	for _, c := range []struct {
		what  string
		err   error
		last  string
		lines int // with the text log
		text  int // records with the JSON log
	}{
		{"one reason", errors.New("listen: :8080 is taken"), "listen: :8080 is taken", 1, 1},
		{"one fault", faults[:1], `authgate.yaml:9:3: unknown key "isuer"; did you mean "issuer"?`, 2, 1},
		{"faults", faults, `authgate.yaml:9:3: unknown key "isuer"; did you mean "issuer"? (and 1 more above)`, 3, 2},
		{"several", errors.Join(errors.New("session.keys: gone"), fmt.Errorf("policy: %w", faults)), "session.keys: gone (and 2 more above)", 4, 3},
		{"joined once", errors.Join(errors.New("adminListen: taken"), nil), "adminListen: taken", 1, 1},
		{"several lines", errors.New("open a.csv: no\nopen b.csv: no"), "open a.csv: no (and 1 more above)", 3, 2},
		{"lines and escapes of a file name", errors.New("open a\r\x1b[2Jb\u2028c: no"), "open a  [2Jb c: no", 1, 1},
		{"nothing to say", errors.New("\n"), "for an unknown reason", 1, 1},
	} {
		for _, form := range logFormats {
			var stderr bytes.Buffer
			f := logFlags{format: form, level: "error"}
			code := cli.ExitCode(&stderr, new(cobra.Command), f.exitError(&stderr, &server.StartError{Err: c.err}))
			lines := strings.Split(strings.TrimSuffix(stderr.String(), "\n"), "\n")
			if last := lines[len(lines)-1]; code != cli.ExitLoadError || last != "authgate: cannot start: "+c.last {
				t.Errorf("%s, %s: code %d, %q", c.what, form, code, last)
			}
			if form == cli.TextFormat {
				if len(lines) != c.lines {
					t.Errorf("%s: %q", c.what, lines)
				}
				continue
			}
			if len(lines) != c.text+1 {
				t.Errorf("%s: %q", c.what, lines)
			}
			for _, line := range lines[:len(lines)-1] {
				if !json.Valid([]byte(line)) {
					t.Errorf("%s: %q", c.what, line)
				}
			}
		}
	}
}

func TestAServerThatEndsLaterDidStart(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	f := logFlags{format: cli.JSONFormat, level: "info"}
	if code := cli.ExitCode(&stderr, new(cobra.Command), f.exitError(&stderr, errors.New("serving: closed"))); code != cli.ExitNo || strings.Contains(stderr.String(), "cannot start") {
		t.Errorf("%d: %s", code, &stderr)
	}
	if err := f.exitError(&stderr, nil); err != nil {
		t.Error(err)
	}
}
