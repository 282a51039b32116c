package policy

import (
	"errors"
	"regexp"
	"strings"

	"github.com/example-org/authgate/fault"
)

var (
	looksLikeRow      = regexp.MustCompile(`^[ \t]*[pg][ \t]*,`)
	looksLikeLocation = regexp.MustCompile(`^.+:[1-9][0-9]*$`)
)

// parseRule reads which row is to decide: its text, which the parser of policies
// brings to one form, or its place.
func (r *caseReader) parseRule(f field, effect Effect) (rule string, ok bool) {
	switch {
	case f.text == "":
		return "", true
	case looksLikeRow.MatchString(f.text):
		return r.parseRuleRow(f, effect)
	case looksLikeLocation.MatchString(f.text):
		return strings.TrimPrefix(f.text, "./"), true
	}
	return "", r.addFault(f, "rule "+quote(f.text)+" is no row and no place of one",
		"write the row as it stands in the policy, such as p, role:viewer, argocd, /**, GET, allow")
}

func (r *caseReader) parseRuleRow(f field, effect Effect) (rule string, ok bool) {
	p := newParser(nil)
	p.parseLine(fault.Position{}, f.text)
	var faults fault.Faults
	switch {
	case errors.As(p.faults.Err(), &faults):
		return "", r.addFault(f, "rule "+quote(f.text)+": "+faults[0].Message, faults[0].Hint)
	case len(p.rows) == 0:
		return "", r.addFault(f, "rule "+quote(f.text)+" is a g row, and only p rows decide", "write the p row that decides")
	case p.rows[0].Effect != effect:
		return "", r.addFault(f, "a row that says "+p.rows[0].Effect.String()+" never decides "+effect.String(), "name another row, or expect "+p.rows[0].Effect.String())
	}
	return p.rows[0].String(), true
}

// expectsRow reports whether a row is the one that the case names. The policy may have
// been found by a longer path than the case gives.
func (c Case) expectsRow(row *Row) bool {
	if row == nil {
		return false
	}
	where := strings.TrimPrefix(row.Where(), "./")
	return c.Rule == row.String() || c.Rule == where || strings.HasSuffix(where, "/"+c.Rule)
}
