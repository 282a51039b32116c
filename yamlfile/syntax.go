package yamlfile

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"github.com/example-org/authgate/fault"
)

var (
	yamlErrorLine = regexp.MustCompile(`^line (\d+): `)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	tabIndent     = regexp.MustCompile(`(?m)^ *\t`)
	// Errors of the library's parser count lines from 0; those of its scanner count from 1
	// (decode.go, (*parser).fail).
	yamlParserError = regexp.MustCompile(`^did not find expected (node content|key|'|<)`)
)

// SyntaxFault turns an error of the library for broken YAML into a fault with a line.
func SyntaxFault(name string, data []byte, err error) fault.Fault {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	at, hint := fault.Position{File: name}, ""
	if m := yamlErrorLine.FindStringSubmatch(message); m != nil {
		at.Line, _ = strconv.Atoi(m[1]) // digits; a number too long leaves no line
		message = message[len(m[0]):]
		hint = "the mistake is on this line or not far from it"
		if yamlParserError.MatchString(message) {
			at.Line++
		}
	}
	tab := tabIndent.FindIndex(data)
	anchor := unknownAnchor.FindStringSubmatch(message)
	switch {
	case tab != nil && (strings.Contains(message, "tab") || strings.Contains(message, "token")):
		// All that the library says of a tab is that a token cannot start with it.
		at, hint = positionAt(name, data, tab[1]-1), "YAML indents with spaces alone"
		message = "a tab in the indentation"
	case anchor != nil:
		at = positionAt(name, data, max(bytes.Index(data, []byte("*"+anchor[1])), 0))
		message = "unknown anchor referenced" // its name may be a secret without quotes
		hint = "put a value that begins with * in quotes"
	case strings.Contains(message, "expected alphabetic or numeric character"):
		hint = "put a value that begins with * or & in quotes" // hosts: [*]
	}
	return fault.Fault{Position: at, Message: "not valid YAML: " + message, Hint: hint}
}

// positionAt is the position of a byte of the file.
func positionAt(name string, data []byte, at int) fault.Position {
	before := data[:at]
	return fault.Position{
		File:   name,
		Line:   1 + bytes.Count(before, []byte("\n")),
		Column: at - bytes.LastIndexByte(before, '\n'),
	}
}
