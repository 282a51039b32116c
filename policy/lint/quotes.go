package lint

import (
	"strings"
	"unicode/utf8"

	"github.com/example-org/authgate/policy"
)

// Quotes as editors and other formats write them. CSV knows the straight double quote
// alone, so that these are part of a name, which no issuer sends.
const quoteMarks = "'`\"\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\uff02\uff07"

// checkQuotes finds subjects that stand in quotes which are part of the name.
func (l *linter) checkQuotes() {
	for _, row := range l.Rows() {
		if unquotedName := unquoted(row.Subject); unquotedName != "" {
			fixed := *row
			fixed.Subject = policy.CanonicalSubject(unquotedName)
			l.addRow(quotedSubject, row,
				"the quotes around "+row.Subject+" are part of the name, so the row matches no one", "write "+fixed.String())
		}
	}
	for _, g := range l.Grants() {
		if unquotedName := unquoted(g.Member); unquotedName != "" {
			l.add(quotedSubject, g.MemberAt, "the quotes around "+g.Member+" are part of the name, so the row matches no one",
				"write "+policy.Grant{Member: policy.CanonicalSubject(unquotedName), Role: g.Role}.String())
		}
	}
}

// unquoted gives a subject without the quotes around it, or nothing where there are none.
func unquoted(subject string) string {
	for _, prefix := range []string{"", policy.RolePrefix, policy.UserPrefix} {
		name, has := strings.CutPrefix(subject, prefix)
		if !has {
			continue
		}
		unquotedName := strings.Trim(name, quoteMarks)
		first, _ := utf8.DecodeRuneInString(name)
		last, _ := utf8.DecodeLastRuneInString(name)
		if unquotedName != "" && strings.ContainsRune(quoteMarks, first) && strings.ContainsRune(quoteMarks, last) {
			return prefix + strings.Trim(unquotedName, policy.Whitespace)
		}
	}
	return ""
}
