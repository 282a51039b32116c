package policy

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
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
	TypeP      = "p"
	TypeG      = "g"
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

// Parser reads sources one after the other and goes on after a fault, so that a
// person sees all of them. What it gathered is used only if there were none.
//
// It is stricter than casbin's reader, which keeps the blank before a comma and
// the comment behind a row as part of the field, and drops or ignores the row.
type Parser struct {
	Faults    fault.List
	Upstreams []string // nil: not known
	Rows      []*Row
	grants    []Grant

	first       map[rowKey]fault.Position // row → where it stood first
	rowSubjects StringSet                 // subjects of p rows, of faulty ones too
	formatHint  string                    // ends the advice for what Format mends; empty for files that are not policies
	unreadable  bool                      // some row could not be read: names may be missing
	buffer      *bufio.Reader
	csv         *csv.Reader
	plain       []Field                  // of the line at hand; see plainFields
	quirks      map[string]target.Quirks // what rows about an upstream may hold; see quirksOf
}

func NewParser(upstreams []string) *Parser {
	p := &Parser{Upstreams: upstreams, first: map[rowKey]fault.Position{}, rowSubjects: StringSet{}}
	p.buffer = bufio.NewReader(strings.NewReader(""))
	p.csv = csv.NewReader(p.buffer)
	p.csv.FieldsPerRecord = -1
	p.csv.TrimLeadingSpace = true // the examples align their columns
	p.csv.ReuseRecord = true
	return p
}

func (p *Parser) Read(src Source) {
	at := fault.Position{File: src.Name, Line: 1, Column: 1}
	data := src.Data
	p.formatHint = ", or run authgate policy fmt"
	if message, hint := otherFormat(src); message != "" {
		p.AddUnreadable(fault.Position{File: src.Name}, message, hint)
		return
	}
	skipped := 0 // bytes before column 1
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		p.Faults.Add(at, "the file begins with a byte order mark", "save it as UTF-8 without BOM"+p.formatHint)
		skipped, data = 3, data[3:]
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		p.Faults.Add(at, "the file is UTF-16", "save it as UTF-8 without BOM")
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
			p.Faults.Add(OffsetBy(at, len(text)), "the line ends in CR LF", "save the file with Unix line ends (LF)"+p.formatHint)
		}
		if p.ParseLine(at, text) {
			rows++
		}
		skipped = 0
	}
	if rows == 0 {
		p.Faults.Add(fault.Position{File: src.Name}, "the policy has no rows", "add p and g rows; an empty file is most often a failed write")
	}
}

// grow spares large policies the growing of lists and maps.
func (p *Parser) grow(data []byte) {
	const shortest, limit = 24, 1 << 14
	rows := min(bytes.Count(data, []byte("\n")), len(data)/shortest, limit)
	if len(p.first) == 0 {
		p.first = make(map[rowKey]fault.Position, rows)
	}
	p.Rows = slices.Grow(p.Rows, rows)
}

// ParseLine reads one line and reports whether it was meant as a row.
func (p *Parser) ParseLine(at fault.Position, text string) bool {
	fields, isRow := p.SplitLine(at, text)
	if fields != nil {
		p.parseRow(fields)
	}
	return isRow
}

// SplitLine takes one line apart. There are no fields where it was meant as a row and
// cannot be read.
func (p *Parser) SplitLine(at fault.Position, line string) (fields []Field, isRow bool) {
	line = strings.TrimRight(line, Whitespace) // invisible, and casbin drops them alike
	trimmed := strings.TrimLeft(line, Whitespace)
	isRow = trimmed != "" && trimmed[0] != '#'
	if len(line) > MaxLine {
		p.AddUnreadable(at, fmt.Sprintf("the line is longer than %d bytes", MaxLine), "make several rows of it")
		return nil, isRow
	}
	if i, message, hint := text.CheckVisible("the line", line); message != "" {
		p.AddUnreadable(OffsetBy(at, i), message, hint)
		return nil, isRow
	}
	if !isRow {
		return nil, false
	}
	if !strings.Contains(line, `"`) {
		return p.plainFields(at, line), true
	}
	p.buffer.Reset(strings.NewReader(line))
	record, err := p.csv.Read()
	if err != nil {
		p.addQuoteFault(at, err)
		return nil, true
	}
	return p.quotedFields(at, line, record), true
}

func (p *Parser) addQuoteFault(at fault.Position, err error) {
	var detail *csv.ParseError
	if errors.As(err, &detail) {
		at = OffsetBy(at, detail.Column-1)
	}
	switch {
	case errors.Is(err, csv.ErrBareQuote):
		p.AddUnreadable(at, "a quote stands inside a field that does not begin with one", `quote the whole field and double the quotes in it: "a ""b"" c"`)
	case errors.Is(err, csv.ErrQuote):
		p.AddUnreadable(at, "a quoted field does not end, or goes on behind its quote", "close the quote on the same line, right before the comma")
	default:
		p.AddUnreadable(at, err.Error(), "")
	}
}

func (p *Parser) AddUnreadable(at fault.Position, message, hint string) {
	p.unreadable = true
	p.Faults.Add(at, message, hint)
}

// The beginnings of other formats, below comments and blank lines.
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
		return "the file is YAML and not a policy", rows + "; name a configuration with --config, and carry over Argo CD's ConfigMap with authgate policy import argocd"
	}
	return "", ""
}

// firstLine gives the first line that is neither blank nor a comment.
func firstLine(text string) string {
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line
		}
	}
	return ""
}
