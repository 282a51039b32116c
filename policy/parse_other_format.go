package policy

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

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
