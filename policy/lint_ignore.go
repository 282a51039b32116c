package policy

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/example-org/authgate/fault"
)

const (
	directive  = "authgate:"
	ignoreWord = directive + "ignore"
	ignoreForm = "write # authgate:ignore AG104 and the reason; several codes as AG104,AG105"
)

// ignore is one code of an authgate:ignore comment.
type ignore struct {
	code string
	at   fault.Position
	row  int // the line of the row beneath; 0 where there is none
	used bool
}

// readIgnores finds the comments that silence findings. They are read from the
// text: to the parser a comment is nothing.
func readIgnores(sources []Source) (all []*ignore, findings []Finding) {
	for _, src := range sources {
		if !bytes.Contains(src.Data, []byte(directive)) {
			continue
		}
		var above []*ignore // those of the comments right above the line
		number := 0
		for line := range strings.SplitSeq(string(src.Data), "\n") {
			number++
			bare := strings.Trim(line, blanks)
			comment, isComment := strings.CutPrefix(bare, "#")
			switch {
			case isComment:
				at := fault.Position{File: src.Name, Line: number, Column: 1 + strings.Index(line, "#")}
				codes, what := readIgnore(strings.Trim(comment, blanks))
				if what != "" {
					findings = append(findings, Finding{Code: badIgnore, Severity: severityOf(badIgnore), At: at, What: what, Mend: ignoreForm})
				}
				for _, code := range codes {
					above = append(above, &ignore{code: code, at: at})
				}
				continue
			case bare != "":
				for _, i := range above {
					i.row = number
				}
			}
			all = append(all, above...)
			above = nil
		}
		all = append(all, above...)
	}
	return all, findings
}

// readIgnore reads the text of a comment; most are none of ours.
func readIgnore(comment string) (codes []string, what string) {
	if !strings.HasPrefix(comment, directive) {
		return nil, ""
	}
	word, rest, _ := strings.Cut(comment, " ")
	switch {
	case word == directive && !strings.HasPrefix(strings.TrimLeft(rest, blanks), strings.TrimPrefix(ignoreWord, directive)):
		return nil, "" // a sentence: "authgate: who may do what"
	case word == importWord:
		return nil, ""
	case word != ignoreWord:
		return nil, quote(word) + " is not known"
	}
	list, reason, _ := strings.Cut(strings.TrimLeft(rest, blanks), " ")
	if list == "" {
		return nil, "the comment names no code"
	}
	for code := range strings.SplitSeq(list, ",") {
		if !isCode(code) {
			return nil, quote(code) + " is no code of a finding"
		}
		if code == doesNotLoad || code == badIgnore || code == idleIgnore || code == incomplete {
			return nil, code + " cannot be silenced"
		}
		codes = append(codes, code)
	}
	if strings.Trim(reason, blanks) == "" {
		return nil, "the comment gives no reason"
	}
	return codes, ""
}

// silence takes away the findings that comments ask not to hear of, and adds
// those about the comments.
func (l *linter) silence(sources []Source) (kept []Finding, silenced int) {
	ignores, kept := readIgnores(sources)
	type key struct {
		file string
		line int
		code string
	}
	known := make(map[key]*ignore, len(ignores))
	for _, i := range ignores {
		known[key{i.at.File, i.row, i.code}] = i
	}
	for _, f := range l.findings {
		if i := known[key{f.At.File, f.At.Line, f.Code}]; i != nil && f.At.Line > 0 {
			i.used = true
			silenced++
			continue
		}
		kept = append(kept, f)
	}
	for _, i := range ignores {
		if i.used || l.needsOther(i.code) {
			continue
		}
		what := fmt.Sprintf("the comment silences nothing: %s is not said of line %d", i.code, i.row)
		if i.row == 0 {
			what = "the comment silences nothing: no row follows it"
		}
		kept = append(kept, Finding{Code: idleIgnore, Severity: severityOf(idleIgnore), At: i.at, What: what, Mend: "take " + i.code + " out of it"})
	}
	return kept, silenced
}

// needsOther tells codes that are looked for only with a configuration, or only
// without: the same comments serve both.
func (l *linter) needsOther(code string) bool {
	if l.around.Upstreams == nil {
		return code == neverMatches
	}
	return code == upstreamTypo
}

// quoteLines puts the text of its line to each finding.
func quoteLines(findings []Finding, sources []Source) []Finding {
	text := map[string][]string{}
	for i := range findings {
		f := &findings[i]
		if f.At.Line == 0 {
			continue
		}
		if text[f.At.File] == nil {
			for _, src := range sources {
				if src.Name == f.At.File {
					text[src.Name] = strings.Split(string(src.Data), "\n")
				}
			}
		}
		if all := text[f.At.File]; f.At.Line <= len(all) {
			f.Line = strings.TrimSuffix(all[f.At.Line-1], "\r")
		}
	}
	return findings
}
