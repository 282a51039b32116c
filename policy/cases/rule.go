package cases

import (
	"errors"
	"regexp"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/text"
)

var (
	looksLikeRow      = regexp.MustCompile(`^[ \t]*[pg][ \t]*,`)
	looksLikeLocation = regexp.MustCompile(`^.+:[1-9][0-9]*$`)
)

// parseRule reads which row is to decide: its text, which the parser of policies
// brings to one form, or its place.
func (r *caseReader) parseRule(f policy.Field, effect policy.Effect) (rule string, ok bool) {
	switch {
	case f.Text == "":
		return "", true
	case looksLikeRow.MatchString(f.Text):
		return r.parseRuleRow(f, effect)
	case looksLikeLocation.MatchString(f.Text):
		return strings.TrimPrefix(f.Text, "./"), true
	}
	return "", r.addFault(f, "rule "+text.Quote(f.Text)+" is not a row and not the position of one",
		"write the row as it stands in the policy, such as p, role:viewer, argocd, /**, GET, allow")
}

func (r *caseReader) parseRuleRow(f policy.Field, effect policy.Effect) (rule string, ok bool) {
	row, err := policy.ParseRow(f.Text)
	var faults fault.Faults
	switch {
	case errors.As(err, &faults):
		return "", r.addFault(f, "rule "+text.Quote(f.Text)+": "+faults[0].Message, faults[0].Hint)
	case row == nil:
		return "", r.addFault(f, "rule "+text.Quote(f.Text)+" is a g row, and only p rows decide",
			"write the p row that decides")
	case row.Effect != effect:
		return "", r.addFault(f, "a row that says "+row.Effect.String()+" never decides "+effect.String(),
			"name another row, or expect "+row.Effect.String())
	}
	return row.String(), true
}

// expectsRow reports whether a row is the one that the case names. The policy may have
// been found by a longer path than the case gives.
func (c Case) expectsRow(row *policy.Row) bool {
	if row == nil {
		return false
	}
	where := strings.TrimPrefix(row.Where(), "./")
	return c.Rule == row.String() || c.Rule == where || strings.HasSuffix(where, "/"+c.Rule)
}
