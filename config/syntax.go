package config

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"github.com/example-org/authgate/fault"
)

var (
	syntaxLine    = regexp.MustCompile(`^line (\d+): `)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	tabIndent     = regexp.MustCompile(`(?m)^ *\t`)
	// The complaints of the library's parser, whose lines count from 0; its scanner
	// counts from 1 (decode.go, (*parser).fail).
	fromParser = regexp.MustCompile(`^did not find expected (node content|key|'|<)`)
)

// syntax turns what the library says of broken YAML into a fault with a line.
func (r *report) syntax(err error, data []byte) {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	at, mend := fault.Position{File: r.file}, ""
	if m := syntaxLine.FindStringSubmatch(what); m != nil {
		at.Line, _ = strconv.Atoi(m[1]) // digits; a number too long leaves no line
		what = what[len(m[0]):]
		mend = "the mistake is on this line or not far behind it"
		if fromParser.MatchString(what) {
			at.Line++
		}
	}
	tab := tabIndent.FindIndex(data)
	anchor := unknownAnchor.FindStringSubmatch(what)
	switch {
	case tab != nil && (strings.Contains(what, "tab") || strings.Contains(what, "token")):
		// All that the library says of a tab is that a token cannot start with it.
		at, mend = r.offset(data, tab[1]-1), "YAML indents with spaces alone"
		what = "a tab in the indentation"
	case anchor != nil:
		at = r.offset(data, max(bytes.Index(data, []byte("*"+anchor[1])), 0))
		what = "unknown anchor referenced" // its name may be a secret without quotes
		mend = "put a value that begins with * in quotes"
	case strings.Contains(what, "expected alphabetic or numeric character"):
		mend = "put a value that begins with * or & in quotes" // hosts: [*]
	}
	r.faults.Add(at, "not valid YAML: "+what, mend)
}

// offset is the place of a byte of the file.
func (r *report) offset(data []byte, at int) fault.Position {
	before := data[:at]
	return fault.Position{
		File:   r.file,
		Line:   1 + bytes.Count(before, []byte("\n")),
		Column: at - bytes.LastIndexByte(before, '\n'),
	}
}
