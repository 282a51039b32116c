package policyimport

// ParseRule is parseRule, in parts.
func ParseRule(text string) (everybody bool, groups, emails []string, err error) {
	p, err := parseRule(text)
	return p.everybody, p.groups, p.emails, err
}
