package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

// Field is one field of a row, and where it begins.
type Field struct {
	Text   string
	quoted bool
	At     fault.Position
}

// quotedFields gives the fields of a row, of which there is always a first one, or nil
// where a comment stands behind them.
func (p *Parser) quotedFields(start fault.Position, line string, record []string) []Field {
	fields := make([]Field, len(record))
	for i, text := range record {
		_, column := p.csv.FieldPos(i)
		f := Field{text, strings.HasPrefix(line[column-1:], `"`), OffsetBy(start, column-1)}
		if !f.quoted && !p.checkField(&f) {
			return nil
		}
		fields[i] = f
	}
	return fields
}

// plainFields is fields for a line without quotes, which needs no CSV reader. What it
// gives is good until it is called again.
func (p *Parser) plainFields(start fault.Position, line string) []Field {
	fields := p.plain[:0]
	column := 0
	for rest, more := line, true; more; {
		var text string
		text, rest, more = strings.Cut(rest, ",")
		trimmed := strings.TrimLeft(text, Whitespace)
		f := Field{trimmed, false, OffsetBy(start, column+len(text)-len(trimmed))}
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
func (p *Parser) checkField(f *Field) bool {
	if at := commentStart(f.Text); at >= 0 {
		p.AddUnreadable(OffsetBy(f.At, at), "a comment stands behind a row", "give it a line of its own, or quote the field")
		return false
	}
	if trimmed := strings.TrimRight(f.Text, Whitespace); trimmed != f.Text {
		p.Faults.Add(OffsetBy(f.At, len(trimmed)), "a blank stands before the comma", "take it away"+p.formatHint)
		f.Text = trimmed
	}
	if at := strings.IndexByte(f.Text, '\t'); at >= 0 {
		p.Faults.Add(OffsetBy(f.At, at), "a tab stands inside a field", "separate fields by commas")
	}
	return true
}

// commentStart finds the # of a comment behind a field, or -1.
func commentStart(text string) int {
	for i := range len(text) {
		if text[i] == '#' && (i == 0 || strings.IndexByte(Whitespace, text[i-1]) >= 0) {
			return i
		}
	}
	return -1
}

// parseRow reads the fields of one row.
func (p *Parser) parseRow(fields []Field) {
	switch kind := fields[0].Text; {
	case kind == TypeP:
		p.parsePRow(fields)
	case kind == TypeG:
		p.parseGRow(fields)
	case kind == "":
		p.AddUnreadable(fields[0].At, "the first field is empty", rowTypeHint)
	case strings.EqualFold(kind, TypeP) || strings.EqualFold(kind, TypeG):
		p.AddUnreadable(fields[0].At, "row kind "+text.Quote(kind)+" is not known", "write "+strings.ToLower(kind))
	case len(fields) == 1 && strings.Contains(kind, ";"):
		p.AddUnreadable(fields[0].At, "row kind "+text.Quote(kind)+" is not known", "separate the fields by commas")
	default:
		p.AddUnreadable(fields[0].At, "row kind "+text.Quote(kind)+" is not known", rowTypeHint)
	}
}

func (p *Parser) parsePRow(fields []Field) {
	if len(fields) == 1 {
		p.unreadable = true // whose row it was meant to be is not known
	} else {
		fields[1].Text = CanonicalSubject(fields[1].Text)
		p.rowSubjects[fields[1].Text] = struct{}{}
	}
	var effect Effect
	ok := p.checkFields(fields, pRowHint,
		FieldCheck{"subject", CheckSubject},
		FieldCheck{"upstream", p.CheckUpstream},
		FieldCheck{"path", func(pattern string) (message, hint string) {
			return target.CheckPatternWith(pattern, p.quirksOf(fields[2].Text))
		}},
		FieldCheck{"method", CheckMethods},
		FieldCheck{"effect", func(word string) (message, hint string) {
			effect, message, hint = ParseEffect(word)
			return message, hint
		}},
	)
	if !ok {
		return
	}
	row := &Row{fields[1].Text, fields[2].Text, fields[3].Text, fields[4].Text, effect, fields[0].At}
	if p.isNew(rowKey{row.Subject, row.Upstream, row.Path, row.Methods, row.Effect}, row.At) {
		p.Rows = append(p.Rows, row)
	}
}

func (p *Parser) parseGRow(fields []Field) {
	swapped := len(fields) == 3 && strings.HasPrefix(fields[1].Text, RolePrefix) && !strings.HasPrefix(fields[2].Text, RolePrefix)
	ok := p.checkFields(fields, gRowHint,
		FieldCheck{"member", CheckSubject},
		FieldCheck{"role", func(name string) (message, hint string) {
			if message, hint = checkRole(name); message != "" && swapped {
				hint = "the member comes first: write " + text.Quote(FormatRow(TypeG, name, fields[1].Text))
			}
			return message, hint
		}},
	)
	if !ok {
		p.unreadable = true // a link is missing, so roles may look unused
		return
	}
	g := Grant{CanonicalSubject(fields[1].Text), fields[2].Text, fields[1].At, fields[2].At}
	if p.isNew(rowKey{subject: g.Member, upstream: g.Role}, fields[0].At) {
		p.grants = append(p.grants, g)
	}
}

// FieldCheck names a field and judges it; a judgement without what is consent.
type FieldCheck struct {
	Name  string
	Check func(text string) (what, mend string)
}

func (p *Parser) checkFields(fields []Field, form string, columns ...FieldCheck) bool {
	kind, fields := fields[0], fields[1:]
	if len(fields) != len(columns) {
		at := kind.At
		if len(fields) > len(columns) {
			at = fields[len(columns)].At
		}
		p.Faults.Add(at, fmt.Sprintf("a %s row has %d fields and this one %d", kind.Text, 1+len(columns), 1+len(fields)), form)
		return false
	}
	ok := true
	for i, c := range columns {
		message, hint := c.Name+" is empty", form
		if f := fields[i]; f.Text != "" {
			message, hint = c.Check(f.Text)
		}
		if message != "" {
			p.Faults.Add(fields[i].At, message, hint)
			ok = false
		}
	}
	return ok
}

func (p *Parser) CheckUpstream(name string) (message, hint string) {
	switch {
	case name == AnyUpstream:
		return "", ""
	case strings.ContainsAny(name, "*/:,|"+Whitespace):
		return text.Quote(name) + " is no name of an upstream", "write the name that the configuration gives it, or * for all"
	case p.Upstreams == nil || slices.Contains(p.Upstreams, name):
		return "", ""
	}
	return "upstream " + text.Quote(name) + " is not known",
		cmp.Or(fault.DidYouMean(name, p.Upstreams), "known are "+text.QuoteAll(p.Upstreams)+", and * for all")
}

func ParseEffect(word string) (effect Effect, message, hint string) {
	switch word {
	case "allow":
		return Allow, "", ""
	case "deny":
		return Deny, "", ""
	}
	hint = `write "allow" or "deny"`
	if near, ok := fault.Nearest(word, []string{"allow", "deny"}); ok {
		hint = "write " + text.Quote(near)
	}
	return Deny, "effect " + text.Quote(word) + " is not known", hint
}

// rowKey is all that a row says. That of a g row has no path: member and role take the
// first two places.
type rowKey struct {
	subject, upstream, path, methods string
	effect                           Effect
}

// isNew reports whether a row stands here for the first time. A second one is a
// slip of the hand, and whoever deletes one of the two expects a change.
func (p *Parser) isNew(row rowKey, at fault.Position) bool {
	if first, seen := p.first[row]; seen {
		p.Faults.Add(at, "the row stands already at "+FileLine(first), "delete one of the two")
		return false
	}
	p.first[row] = at
	return true
}

func OffsetBy(at fault.Position, bytes int) fault.Position {
	at.Column += bytes
	return at
}
