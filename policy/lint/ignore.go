package lint

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/text"
)

const (
	directive       = "authgate:"
	ignoreDirective = directive + "ignore"
	ignoreHint      = "write # authgate:ignore AG104 and the reason; several codes as AG104,AG105"
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
func readIgnores(sources []policy.Source) (all []*ignore, findings []Finding) {
	for _, src := range sources {
		if !bytes.Contains(src.Data, []byte(directive)) {
			continue
		}
		var pending []*ignore // those of the comments right above the line
		number := 0
		for line := range strings.SplitSeq(string(src.Data), "\n") {
			number++
			trimmed := strings.Trim(line, policy.Whitespace)
			comment, isComment := strings.CutPrefix(trimmed, "#")
			switch {
			case isComment:
				at := fault.Position{File: src.Name, Line: number, Column: 1 + strings.Index(line, "#")}
				codes, message := readIgnore(strings.Trim(comment, policy.Whitespace))
				if message != "" {
					findings = append(findings,
						Finding{
							Code: badIgnore, Severity: severityOf(badIgnore), At: at, Message: message,
							Hint: ignoreHint,
						})
				}
				for _, code := range codes {
					pending = append(pending, &ignore{code: code, at: at})
				}
				continue
			case trimmed != "":
				for _, i := range pending {
					i.row = number
				}
			}
			all = append(all, pending...)
			pending = nil
		}
		all = append(all, pending...)
	}
	return all, findings
}

// readIgnore reads the text of a comment; most are none of ours.
func readIgnore(comment string) (codes []string, message string) {
	if !strings.HasPrefix(comment, directive) {
		return nil, ""
	}
	word, rest, _ := strings.Cut(comment, " ")
	switch {
	case word == directive &&
		!strings.HasPrefix(strings.TrimLeft(rest, policy.Whitespace), strings.TrimPrefix(ignoreDirective, directive)):
		return nil, "" // a sentence: "authgate: who may do what"
	case word == importDirective:
		return nil, ""
	case word != ignoreDirective:
		return nil, text.Quote(word) + " is not known"
	}
	list, reason, _ := strings.Cut(strings.TrimLeft(rest, policy.Whitespace), " ")
	if list == "" {
		return nil, "the comment names no code"
	}
	for code := range strings.SplitSeq(list, ",") {
		if !isCode(code) {
			return nil, text.Quote(code) + " is no code of a finding"
		}
		if code == doesNotLoad || code == badIgnore || code == idleIgnore || code == incomplete {
			return nil, code + " cannot be silenced"
		}
		codes = append(codes, code)
	}
	if strings.Trim(reason, policy.Whitespace) == "" {
		return nil, "the comment gives no reason"
	}
	return codes, ""
}

// applyIgnores takes away the findings that comments ask not to hear of, and adds
// those about the comments.
func (l *linter) applyIgnores(sources []policy.Source) (remaining []Finding, ignored int) {
	ignores, remaining := readIgnores(sources)
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
			ignored++
			continue
		}
		remaining = append(remaining, f)
	}
	for _, i := range ignores {
		if i.used || l.needsOtherInput(i.code) {
			continue
		}
		message := fmt.Sprintf("the comment silences nothing: %s is not said of line %d", i.code, i.row)
		if i.row == 0 {
			message = "the comment silences nothing: no row follows it"
		}
		remaining = append(remaining,
			Finding{
				Code: idleIgnore, Severity: severityOf(idleIgnore), At: i.at, Message: message,
				Hint: "take " + i.code + " out of it",
			})
	}
	return remaining, ignored
}

// needsOtherInput tells codes that are looked for only with a configuration, or only
// without: the same comments serve both.
func (l *linter) needsOtherInput(code string) bool {
	if l.env.Upstreams == nil {
		return code == neverMatches
	}
	return code == similarUpstream
}

// quoteLines puts the text of its line to each finding.
func quoteLines(findings []Finding, sources []policy.Source) []Finding {
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
