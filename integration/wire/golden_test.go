package wire_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// row is one line of a table: bytes, and how they are answered. The golden file
// tells the rest.
type row struct {
	name string
	sent string
	want int // status of the first answer; 0: the connection ends without one
}

// table sends each row on a connection of its own. What is not answered with 200
// must not have reached the upstream.
func (g *gate) table(golden string, rows []row) {
	g.t.Helper()
	var b strings.Builder
	for _, row := range rows {
		before, recorded := len(g.upstream.arrivals()), len(g.records())
		s := g.say(g.t, row.sent)
		arrived := withoutProbes(g.upstream.arrivals()[before:])
		if got := s.first().status; got != row.want {
			g.t.Errorf("%s: answered with %s, want %d", row.name, s.first(), row.want)
		}
		if row.want != 200 && len(arrived) > 0 {
			g.t.Errorf("%s: refused, and yet it reached the upstream: %s", row.name, shown(arrived[0].head))
		}

		fmt.Fprintf(&b, "# %s\n", row.name)
		for _, line := range folded(slices.Collect(strings.Lines(shortened(row.sent)))) {
			fmt.Fprintf(&b, "%q\n", line)
		}
		for _, a := range s.answers {
			fmt.Fprintf(&b, "    <= %s\n", a)
		}
		switch {
		case s.silent:
			b.WriteString("    <= silence\n")
		case !s.kept:
			b.WriteString("    <= closed\n")
		}
		for _, a := range arrived {
			b.WriteString(a.String())
		}
		for _, r := range g.recordsFrom(recorded) {
			fmt.Fprintf(&b, "    audit %s\n", r)
		}
		b.WriteString("\n")
	}
	compare(g.t, golden, b.String())
}

func withoutProbes(all []arrival) []arrival {
	var kept []arrival
	for _, a := range all {
		if !isProbe(a.target()) {
			kept = append(kept, a)
		}
	}
	return kept
}

// shortened leaves out the middle of a long line.
func shortened(sent string) string {
	if len(sent) < 2000 {
		return sent
	}
	return fmt.Sprintf("%s...[%d bytes]...%s", sent[:100], len(sent)-200, sent[len(sent)-100:])
}

// compare holds a table to its golden file.
func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./wire -update writes it)", err)
	}
	if got == string(want) {
		return
	}
	// Paragraph by paragraph: a row that is new or gone must not make all others differ.
	old := map[string]string{}
	for paragraph := range strings.SplitSeq(string(want), "\n\n") {
		head, _, _ := strings.Cut(paragraph, "\n")
		old[head] = paragraph
	}
	for paragraph := range strings.SplitSeq(got, "\n\n") {
		head, _, _ := strings.Cut(paragraph, "\n")
		if old[head] != paragraph {
			t.Errorf("%s differs (after a wanted change: go test ./wire -update)\nwant:\n%s\ngot:\n%s", path, old[head], paragraph)
		}
		delete(old, head)
	}
	for head := range old {
		t.Errorf("%s has %q, which is in no table", path, head)
	}
}
