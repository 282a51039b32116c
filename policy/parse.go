package policy

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

const (
	pType      = "p"
	gType      = "g"
	Whitespace = " \t"

	// casbin's own reader of files gives up on longer lines.
	MaxLine = 64 << 10

	pRowHint    = `write "p, subject, upstream, path, method, effect", several methods as GET|POST`
	gRowHint    = `write "g, member, role"`
	rowTypeHint = "begin the line with p or g, or with # for a comment"
)

// Source is the text of one policy file.
type Source struct {
	Name string // as faults and decisions are to show it
	Data []byte
}

// ReadFiles reads policy files. It reads all of them before it fails, so that
// the error names every file that is missing.
func ReadFiles(names ...string) ([]Source, error) {
	var sources []Source
	var failures []error
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			err = text.WithoutPath(err)
			if errors.Is(err, syscall.EISDIR) {
				err = errors.New("it is a directory; name the files in it")
			}
			failures = append(failures, fmt.Errorf("policy file %s: %w", name, err))
			continue
		}
		sources = append(sources, Source{name, data})
	}
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	return sources, nil
}

// parser reads sources one after the other and continues after a fault, so that all faults
// are reported at once. Its rows count only if there were none.
type parser struct {
	*LineReader
	upstreams []string // nil: not known
	rows      []Row
	grants    []Grant

	seen        map[uint64]rowNumber     // hash of what a row says → where it stands first; see isNew
	seed        maphash.Seed             // of the hashes
	rowSubjects StringSet                // subjects of p rows, of faulty ones too
	sound       [3]knownValues           // subjects, upstreams and methods of p rows
	quirks      map[string]target.Quirks // what rows about an upstream may hold; see quirksOf
}

func newParser(upstreams []string) *parser {
	return &parser{
		LineReader: NewLineReader(&fault.List{}), upstreams: upstreams,
		seen: map[uint64]rowNumber{}, seed: maphash.MakeSeed(), rowSubjects: StringSet{},
		sound: [3]knownValues{{}, {}, {}},
	}
}

// ParseRow reads one line as a p row. A fault is returned as [fault.Faults], without a file.
// The row is nil if the line is a g row or not a row at all.
func ParseRow(line string) (*Row, error) {
	p := newParser(nil)
	p.parseLine(fault.Position{}, line)
	if err := p.faults.Err(); err != nil || len(p.rows) == 0 {
		return nil, err
	}
	return &p.rows[0], nil
}

func (p *parser) read(src Source) {
	at := fault.Position{File: src.Name, Line: 1, Column: 1}
	data := src.Data
	p.formatHint = ", or run authgate policy fmt"
	if message, hint := otherFormat(src); message != "" {
		p.addUnreadable(fault.Position{File: src.Name}, message, hint)
		return
	}
	skipped := 0 // bytes before column 1
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		p.faults.Add(at, "the file begins with a byte order mark", "save it as UTF-8 without BOM"+p.formatHint)
		skipped, data = 3, data[3:]
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		p.faults.Add(at, "the file is UTF-16", "save it as UTF-8 without BOM")
		p.unreadable = true
		return
	}
	rows, windows := 0, false
	p.grow(data)
	rest := string(data) // fields are parts of it
	for more := true; more; at.Line++ {
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		text, isWindows := strings.CutSuffix(line, "\r")
		at.Column = 1 + skipped
		if isWindows && !windows { // said once: it will be so on every line
			windows = true
			p.faults.Add(at.Offset(len(text)), "the line ends in CR LF",
				"save the file with Unix line ends (LF)"+p.formatHint)
		}
		if p.parseLine(at, text) {
			rows++
		}
		skipped = 0
	}
	if rows == 0 {
		p.faults.Add(fault.Position{File: src.Name}, "the policy has no rows",
			"add p and g rows; an empty file is most often a failed write")
	}
}

// grow spares large policies the growing of lists and maps.
func (p *parser) grow(data []byte) {
	const shortest, limit = 24, 1 << 14
	rows := min(bytes.Count(data, []byte("\n")), len(data)/shortest, limit)
	if len(p.seen) == 0 {
		p.seen = make(map[uint64]rowNumber, rows)
	}
	p.rows = slices.Grow(p.rows, rows)
}

// ParseLine reads one line and reports whether it was meant as a row.
func (p *parser) parseLine(at fault.Position, text string) bool {
	fields, isRow := p.Fields(at, text)
	if fields != nil {
		p.parseRow(fields)
	}
	return isRow
}

// The beginnings of other formats, below comments and empty lines.
var (
	policyLine = regexp.MustCompile(`(?m)^(\x{feff})?[pg][ \t]*,`)
	yamlStart  = regexp.MustCompile(`^(---|%YAML|- |[A-Za-z_"'][\w./"'-]*:([ \t\r\n]|$))`)
)

// otherFormat recognises files that are not a policy at all, of which each line would be a
// fault. A file with a row that stands at the beginning of its line is one.
func otherFormat(src Source) (message, hint string) {
	const rows = `a policy has rows such as "p, role:viewer, argocd, /**, GET, allow"`
	head := src.Data[:min(len(src.Data), 64<<10)]
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return "", "" // UTF-16 is a fault of its own
	}
	if policyLine.Match(src.Data) {
		return "", ""
	}
	if bytes.IndexByte(head, 0) >= 0 || !utf8.Valid(src.Data) {
		return "the file is binary and not a policy", rows
	}
	start := firstLine(string(head))
	extension := strings.ToLower(filepath.Ext(src.Name))
	switch {
	case start == "":
		return "", "" // without rows: a fault of its own
	case strings.HasPrefix(start, "{") || strings.HasPrefix(start, "[") && extension == ".json":
		return "the file is JSON and not a policy", rows
	case strings.HasPrefix(start, "<"):
		return "the file is HTML or XML and not a policy", rows
	case yamlStart.MatchString(start):
		return "the file is YAML and not a policy",
			rows + "; name a configuration with --config, and carry over Argo CD's ConfigMap with authgate policy " +
				"import argocd"
	}
	return "", ""
}

// firstLine gives the first line that is neither empty nor a comment.
func firstLine(text string) string {
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line
		}
	}
	return ""
}
