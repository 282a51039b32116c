package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/target"
)

// field is one field of a row, and where it begins.
type field struct {
	text   string
	quoted bool
	at     fault.Position
}

// quotedFields gives the fields of a row, of which there is always a first one, or nil
// where a comment stands behind them.
func (p *parser) quotedFields(start fault.Position, line string, record []string) []field {
	fields := make([]field, len(record))
	for i, text := range record {
		_, column := p.csv.FieldPos(i)
		f := field{text, strings.HasPrefix(line[column-1:], `"`), offsetBy(start, column-1)}
		if !f.quoted && !p.checkField(&f) {
			return nil
		}
		fields[i] = f
	}
	return fields
}

// plainFields is fields for a line without quotes, which needs no CSV reader. What it
// gives is good until it is called again.
func (p *parser) plainFields(start fault.Position, line string) []field {
	fields := p.plain[:0]
	column := 0
	for rest, more := line, true; more; {
		var text string
		text, rest, more = strings.Cut(rest, ",")
		trimmed := strings.TrimLeft(text, whitespace)
		f := field{trimmed, false, offsetBy(start, column+len(text)-len(trimmed))}
		if !p.checkField(&f) {
			return nil
		}
		fields = append(fields, f)
		column += len(text) + 1
	}
	p.plain = fields
	return fields
}

// checkField refuses what no field without quotes may hold, and reports whether the
// rest of its row can be read.
func (p *parser) checkField(f *field) bool {
	if at := commentStart(f.text); at >= 0 {
		p.addUnreadable(offsetBy(f.at, at), "a comment stands behind a row", "give it a line of its own, or quote the field")
		return false
	}
	if trimmed := strings.TrimRight(f.text, whitespace); trimmed != f.text {
		p.faults.Add(offsetBy(f.at, len(trimmed)), "a blank stands before the comma", "take it away"+p.formatHint)
		f.text = trimmed
	}
	if at := strings.IndexByte(f.text, '\t'); at >= 0 {
		p.faults.Add(offsetBy(f.at, at), "a tab stands inside a field", "separate fields by commas")
	}
	return true
}

// commentStart finds the # of a comment behind a field, or -1.
func commentStart(text string) int {
	for i := range len(text) {
		if text[i] == '#' && (i == 0 || strings.IndexByte(whitespace, text[i-1]) >= 0) {
			return i
		}
	}
	return -1
}

// parseRow reads the fields of one row.
func (p *parser) parseRow(fields []field) {
	switch kind := fields[0].text; {
	case kind == pType:
		p.parsePRow(fields)
	case kind == gType:
		p.parseGRow(fields)
	case kind == "":
		p.addUnreadable(fields[0].at, "the first field is empty", rowTypeHint)
	case strings.EqualFold(kind, pType) || strings.EqualFold(kind, gType):
		p.addUnreadable(fields[0].at, "row kind "+quote(kind)+" is not known", "write "+strings.ToLower(kind))
	case len(fields) == 1 && strings.Contains(kind, ";"):
		p.addUnreadable(fields[0].at, "row kind "+quote(kind)+" is not known", "separate the fields by commas")
	default:
		p.addUnreadable(fields[0].at, "row kind "+quote(kind)+" is not known", rowTypeHint)
	}
}

func (p *parser) parsePRow(fields []field) {
	if len(fields) == 1 {
		p.unreadable = true // whose row it was meant to be is not known
	} else {
		fields[1].text = canonicalSubject(fields[1].text)
		p.rowSubjects[fields[1].text] = struct{}{}
	}
	var effect Effect
	ok := p.checkFields(fields, pRowHint,
		fieldCheck{"subject", checkSubject},
		fieldCheck{"upstream", p.checkUpstream},
		fieldCheck{"path", func(pattern string) (message, hint string) {
			return target.CheckPatternWith(pattern, p.quirksOf(fields[2].text))
		}},
		fieldCheck{"method", checkMethods},
		fieldCheck{"effect", func(word string) (message, hint string) {
			effect, message, hint = parseEffect(word)
			return message, hint
		}},
	)
	if !ok {
		return
	}
	row := &Row{fields[1].text, fields[2].text, fields[3].text, fields[4].text, effect, fields[0].at}
	if p.isNew(rowKey{row.Subject, row.Upstream, row.Path, row.Methods, row.Effect}, row.at) {
		p.rows = append(p.rows, row)
	}
}

func (p *parser) parseGRow(fields []field) {
	swapped := len(fields) == 3 && strings.HasPrefix(fields[1].text, rolePrefix) && !strings.HasPrefix(fields[2].text, rolePrefix)
	ok := p.checkFields(fields, gRowHint,
		fieldCheck{"member", checkSubject},
		fieldCheck{"role", func(name string) (message, hint string) {
			if message, hint = checkRole(name); message != "" && swapped {
				hint = "the member comes first: write " + quote(csvLine(gType, name, fields[1].text))
			}
			return message, hint
		}},
	)
	if !ok {
		p.unreadable = true // a link is missing, so roles may look unused
		return
	}
	g := grant{canonicalSubject(fields[1].text), fields[2].text, fields[1].at, fields[2].at}
	if p.isNew(rowKey{subject: g.member, upstream: g.role}, fields[0].at) {
		p.grants = append(p.grants, g)
	}
}

// fieldCheck names a field and judges it; a judgement without what is consent.
type fieldCheck struct {
	name  string
	check func(text string) (what, mend string)
}

func (p *parser) checkFields(fields []field, form string, columns ...fieldCheck) bool {
	kind, fields := fields[0], fields[1:]
	if len(fields) != len(columns) {
		at := kind.at
		if len(fields) > len(columns) {
			at = fields[len(columns)].at
		}
		p.faults.Add(at, fmt.Sprintf("a %s row has %d fields and this one %d", kind.text, 1+len(columns), 1+len(fields)), form)
		return false
	}
	ok := true
	for i, c := range columns {
		message, hint := c.name+" is empty", form
		if f := fields[i]; f.text != "" {
			message, hint = c.check(f.text)
		}
		if message != "" {
			p.faults.Add(fields[i].at, message, hint)
			ok = false
		}
	}
	return ok
}

func (p *parser) checkUpstream(name string) (message, hint string) {
	switch {
	case name == anyUpstream:
		return "", ""
	case strings.ContainsAny(name, "*/:,|"+whitespace):
		return quote(name) + " is no name of an upstream", "write the name that the configuration gives it, or * for all"
	case p.upstreams == nil || slices.Contains(p.upstreams, name):
		return "", ""
	}
	return "upstream " + quote(name) + " is not known",
		orDefault(fault.DidYouMean(name, p.upstreams), "known are "+quoteAll(p.upstreams)+", and * for all")
}

func parseEffect(word string) (effect Effect, message, hint string) {
	switch word {
	case "allow":
		return Allow, "", ""
	case "deny":
		return Deny, "", ""
	}
	hint = `write "allow" or "deny"`
	if near, ok := fault.Nearest(word, []string{"allow", "deny"}); ok {
		hint = "write " + quote(near)
	}
	return Deny, "effect " + quote(word) + " is not known", hint
}

// rowKey is all that a row says. That of a g row has no path: member and role take the
// first two places.
type rowKey struct {
	subject, upstream, path, methods string
	effect                           Effect
}

// isNew reports whether a row stands here for the first time. A second one is a
// slip of the hand, and whoever deletes one of the two expects a change.
func (p *parser) isNew(row rowKey, at fault.Position) bool {
	if first, seen := p.first[row]; seen {
		p.faults.Add(at, "the row stands already at "+fileLine(first), "delete one of the two")
		return false
	}
	p.first[row] = at
	return true
}

func offsetBy(at fault.Position, bytes int) fault.Position {
	at.Column += bytes
	return at
}

func orDefault(s, fallback string) string {
	if s != "" {
		return s
	}
	return fallback
}

// quote shows a piece of the file, cut where it would fill the screen.
func quote(s string) string {
	const limit = 80
	if len(s) > limit {
		end := limit
		for end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) { // what is no UTF-8 may begin nowhere
			end--
		}
		s = s[:end] + "…"
	}
	return strconv.Quote(s)
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return strings.Join(quoted, ", ")
}
