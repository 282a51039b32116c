package policy

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
)

// parseRow reads the fields of one row.
func (p *parser) parseRow(fields []Field) {
	switch kind := fields[0].Text; {
	case kind == pType:
		p.parsePRow(fields)
	case kind == gType:
		p.parseGRow(fields)
	case kind == "":
		p.addUnreadable(fields[0].At, "the first field is empty", rowTypeHint)
	case strings.EqualFold(kind, pType) || strings.EqualFold(kind, gType):
		p.addUnreadable(fields[0].At, "row kind "+text.Quote(kind)+" is not known", "write "+strings.ToLower(kind))
	case len(fields) == 1 && strings.Contains(kind, ";"):
		p.addUnreadable(fields[0].At, "row kind "+text.Quote(kind)+" is not known", "separate the fields by commas")
	default:
		p.addUnreadable(fields[0].At, "row kind "+text.Quote(kind)+" is not known", rowTypeHint)
	}
}

func (p *parser) parsePRow(fields []Field) {
	if len(fields) == 1 {
		p.unreadable = true // whose row it was meant to be is not known
	} else {
		fields[1].Text = CanonicalSubject(fields[1].Text)
		p.rowSubjects[fields[1].Text] = struct{}{}
	}
	var effect Effect
	ok := p.checkFields(fields, pRowHint,
		fieldCheck{"subject", p.sound[0], CheckSubject},
		fieldCheck{"upstream", p.sound[1], func(name string) (message, hint string) {
			return CheckUpstream(name, p.upstreams)
		}},
		fieldCheck{"path", nil, func(pattern string) (message, hint string) {
			return target.CheckPatternWith(pattern, p.quirksOf(fields[2].Text))
		}},
		fieldCheck{"method", p.sound[2], CheckMethods},
		fieldCheck{"effect", nil, func(word string) (message, hint string) {
			effect, message, hint = ParseEffect(word)
			return message, hint
		}},
	)
	if !ok {
		return
	}
	row := Row{fields[1].Text, fields[2].Text, fields[3].Text, fields[4].Text, effect, fields[0].At}
	key := rowKey{row.Subject, row.Upstream, row.Path, row.Methods, row.Effect}
	if p.isNew(key, row.At, rowNumber(len(p.rows))) {
		p.rows = append(p.rows, row)
	}
}

func (p *parser) parseGRow(fields []Field) {
	swapped := len(fields) == 3 && strings.HasPrefix(fields[1].Text, RolePrefix) &&
		!strings.HasPrefix(fields[2].Text, RolePrefix)
	ok := p.checkFields(fields, gRowHint,
		fieldCheck{"member", nil, CheckSubject},
		fieldCheck{"role", nil, func(name string) (message, hint string) {
			if message, hint = checkRole(name); message != "" && swapped {
				hint = "the member comes first: write " + text.Quote(formatRow(gType, name, fields[1].Text))
			}
			return message, hint
		}},
	)
	if !ok {
		p.unreadable = true // a link is missing, so roles may look unused
		return
	}
	g := Grant{CanonicalSubject(fields[1].Text), fields[2].Text, fields[1].At, fields[2].At}
	key := rowKey{subject: g.Member, upstream: g.Role}
	if p.isNew(key, fields[0].At, ^rowNumber(len(p.grants))) {
		p.grants = append(p.grants, g)
	}
}

// fieldCheck names a field and checks it; an empty message accepts it.
type fieldCheck struct {
	name  string
	sound knownValues // nil: most rows have a value of their own
	check func(value string) (message, hint string)
}

// knownValues are those that a check has accepted, each in one copy that all rows share: most
// values are in many rows.
type knownValues map[string]string

func (p *parser) checkFields(fields []Field, form string, columns ...fieldCheck) bool {
	kind, fields := fields[0], fields[1:]
	if len(fields) != len(columns) {
		at := kind.At
		if len(fields) > len(columns) {
			at = fields[len(columns)].At
		}
		p.faults.Add(at, fmt.Sprintf("a %s row has %d fields and this one %d", kind.Text, 1+len(columns),
			1+len(fields)), form)
		return false
	}
	ok := true
	for i, c := range columns {
		if known, sound := c.sound[fields[i].Text]; sound {
			fields[i].Text = known
			continue
		}
		message, hint := "", form
		if f := fields[i]; f.Text != "" {
			message, hint = c.check(f.Text)
		} else {
			message = c.name + " is empty"
		}
		if message != "" {
			p.faults.Add(fields[i].At, message, hint)
			ok = false
		} else if c.sound != nil {
			c.sound[fields[i].Text] = fields[i].Text
		}
	}
	return ok
}

// CheckUpstream checks the upstream of a row against the known ones; nil knows none, and
// takes any.
func CheckUpstream(name string, known []string) (message, hint string) {
	switch {
	case name == AnyUpstream:
		return "", ""
	case strings.ContainsAny(name, "*/:,|"+Whitespace):
		return text.Quote(name) + " is not an upstream name",
			"write the name that the configuration gives it, or * for all"
	case known == nil || slices.Contains(known, name):
		return "", ""
	}
	return "upstream " + text.Quote(name) + " is not known",
		cmp.Or(fault.DidYouMean(name, known), "known are "+text.QuoteAll(known)+", and * for all")
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

// rowNumber is the place of a p row in parser.rows, or ^ of that of a g row in parser.grants.
type rowNumber int32

// rowAt gives what a row says, and where.
func (p *parser) rowAt(number rowNumber) (rowKey, fault.Position) {
	if number < 0 {
		g := &p.grants[^number]
		return rowKey{subject: g.Member, upstream: g.Role}, g.MemberAt
	}
	row := &p.rows[number]
	return rowKey{row.Subject, row.Upstream, row.Path, row.Methods, row.Effect}, row.At
}

// isNew reports whether a row, which would get a number, stands here for the first time. A
// second one is a mistake, and a user who deletes one of the two expects a change.
func (p *parser) isNew(row rowKey, at fault.Position, number rowNumber) bool {
	for hash := maphash.Comparable(p.seed, row); ; hash++ { // the next one, where another row has it
		other, taken := p.seen[hash]
		if !taken {
			p.seen[hash] = number
			return true
		}
		if first, firstAt := p.rowAt(other); first == row {
			p.faults.Add(at, "duplicate of the row at "+firstAt.FileLine(), "delete one of the two")
			return false
		}
	}
}
