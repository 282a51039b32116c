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

// fields gives the fields of a row, of which there is always a first one, or nil
// where a comment stands behind them.
func (p *parser) fields(start fault.Position, line string, record []string) []field {
	fields := make([]field, len(record))
	for i, text := range record {
		_, column := p.csv.FieldPos(i)
		f := field{text, strings.HasPrefix(line[column-1:], `"`), shift(start, column-1)}
		if !f.quoted && !p.tidy(&f) {
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
		bare := strings.TrimLeft(text, blanks)
		f := field{bare, false, shift(start, column+len(text)-len(bare))}
		if !p.tidy(&f) {
			return nil
		}
		fields = append(fields, f)
		column += len(text) + 1
	}
	p.plain = fields
	return fields
}

// tidy refuses what no field without quotes may hold, and reports whether the
// rest of its row can be read.
func (p *parser) tidy(f *field) bool {
	if at := commentStart(f.text); at >= 0 {
		p.garble(shift(f.at, at), "a comment stands behind a row", "give it a line of its own, or quote the field")
		return false
	}
	if bare := strings.TrimRight(f.text, blanks); bare != f.text {
		p.faults.Add(shift(f.at, len(bare)), "a blank stands before the comma", "take it away"+p.orFormat)
		f.text = bare
	}
	if at := strings.IndexByte(f.text, '\t'); at >= 0 {
		p.faults.Add(shift(f.at, at), "a tab stands inside a field", "separate fields by commas")
	}
	return true
}

// commentStart finds the # of a comment behind a field, or -1.
func commentStart(text string) int {
	for i := range len(text) {
		if text[i] == '#' && (i == 0 || strings.IndexByte(blanks, text[i-1]) >= 0) {
			return i
		}
	}
	return -1
}

// row reads the fields of one row.
func (p *parser) row(fields []field) {
	switch kind := fields[0].text; {
	case kind == ruleKind:
		p.rule(fields)
	case kind == grantKind:
		p.grant(fields)
	case kind == "":
		p.garble(fields[0].at, "the first field is empty", kindForm)
	case strings.EqualFold(kind, ruleKind) || strings.EqualFold(kind, grantKind):
		p.garble(fields[0].at, "row kind "+quote(kind)+" is not known", "write "+strings.ToLower(kind))
	case len(fields) == 1 && strings.Contains(kind, ";"):
		p.garble(fields[0].at, "row kind "+quote(kind)+" is not known", "separate the fields by commas")
	default:
		p.garble(fields[0].at, "row kind "+quote(kind)+" is not known", kindForm)
	}
}

func (p *parser) rule(fields []field) {
	if len(fields) == 1 {
		p.garbled = true // whose row it was meant to be is not known
	} else {
		fields[1].text = foldSubject(fields[1].text)
		p.ruled[fields[1].text] = struct{}{}
	}
	var effect Effect
	ok := p.check(fields, ruleForm,
		column{"subject", checkSubject},
		column{"upstream", p.checkUpstream},
		column{"path", func(pattern string) (what, mend string) {
			return target.CheckPatternWith(pattern, p.quirksOf(fields[2].text))
		}},
		column{"method", checkMethods},
		column{"effect", func(word string) (what, mend string) {
			effect, what, mend = parseEffect(word)
			return what, mend
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

func (p *parser) grant(fields []field) {
	swapped := len(fields) == 3 && strings.HasPrefix(fields[1].text, rolePrefix) && !strings.HasPrefix(fields[2].text, rolePrefix)
	ok := p.check(fields, grantForm,
		column{"member", checkSubject},
		column{"role", func(name string) (what, mend string) {
			if what, mend = checkRole(name); what != "" && swapped {
				mend = "the member comes first: write " + quote(csvLine(grantKind, name, fields[1].text))
			}
			return what, mend
		}},
	)
	if !ok {
		p.garbled = true // a link is missing, so roles may look unused
		return
	}
	g := grant{foldSubject(fields[1].text), fields[2].text, fields[1].at, fields[2].at}
	if p.isNew(rowKey{subject: g.member, upstream: g.role}, fields[0].at) {
		p.grants = append(p.grants, g)
	}
}

// column names a field and judges it; a judgement without what is consent.
type column struct {
	name  string
	judge func(text string) (what, mend string)
}

func (p *parser) check(fields []field, form string, columns ...column) bool {
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
		what, mend := c.name+" is empty", form
		if f := fields[i]; f.text != "" {
			what, mend = c.judge(f.text)
		}
		if what != "" {
			p.faults.Add(fields[i].at, what, mend)
			ok = false
		}
	}
	return ok
}

func (p *parser) checkUpstream(name string) (what, mend string) {
	switch {
	case name == anyUpstream:
		return "", ""
	case strings.ContainsAny(name, "*/:,|"+blanks):
		return quote(name) + " is no name of an upstream", "write the name that the configuration gives it, or * for all"
	case p.upstreams == nil || slices.Contains(p.upstreams, name):
		return "", ""
	}
	return "upstream " + quote(name) + " is not known",
		orElse(fault.DidYouMean(name, p.upstreams), "known are "+quoteAll(p.upstreams)+", and * for all")
}

func parseEffect(word string) (effect Effect, what, mend string) {
	switch word {
	case "allow":
		return Allow, "", ""
	case "deny":
		return Deny, "", ""
	}
	mend = `write "allow" or "deny"`
	if near, ok := fault.Nearest(word, []string{"allow", "deny"}); ok {
		mend = "write " + quote(near)
	}
	return Deny, "effect " + quote(word) + " is not known", mend
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
		p.faults.Add(at, "the row stands already at "+lineOf(first), "delete one of the two")
		return false
	}
	p.first[row] = at
	return true
}

func shift(at fault.Position, bytes int) fault.Position {
	at.Column += bytes
	return at
}

func orElse(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

// quote shows a piece of the file, cut where it would fill the screen.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		cut := most
		for cut > most-utf8.UTFMax && !utf8.RuneStart(s[cut]) { // what is no UTF-8 may begin nowhere
			cut--
		}
		s = s[:cut] + "…"
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
