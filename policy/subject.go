package policy

import (
	"cmp"
	"strings"
)

// Users, groups and roles are names of one kind to casbin, so a group called role:admin
// would be that role (compare CVE-2022-29165 of Argo CD). These prefixes therefore belong
// to the policy alone: no issuer can send them.
const (
	RolePrefix     = "role:"
	UserPrefix     = "user:"
	SystemPrefix   = "system:"
	Anonymous      = "system:anonymous"
	Authenticated  = "system:authenticated"
	TeamWildcard   = ":*"              // ends a subject that stands for every group of an organisation
	DomainWildcard = UserPrefix + "*@" // begins one that stands for every verified e-mail address of a domain
)

// Kind is what a subject is. Kinds are in the order in which a policy is read.
type Kind uint8

// The kinds of subjects.
const (
	KindRole   Kind = iota // role:NAME
	KindGroup              // a group of the issuer, or ORG:* for all groups of an organisation
	KindUser               // user:EMAIL, or user:*@DOMAIN for all users of a domain
	KindSystem             // system:anonymous, system:authenticated
)

// Subject is a name of the first column, taken apart.
type Subject struct {
	Kind Kind
	Name string // without the prefix
}

// ParseSubject takes the name of a subject apart. Only groups have no prefix.
func ParseSubject(name string) Subject {
	switch {
	case strings.HasPrefix(name, RolePrefix):
		return Subject{KindRole, name[len(RolePrefix):]}
	case strings.HasPrefix(name, UserPrefix):
		return Subject{KindUser, name[len(UserPrefix):]}
	case strings.HasPrefix(name, SystemPrefix):
		return Subject{KindSystem, name[len(SystemPrefix):]}
	}
	return Subject{KindGroup, name}
}

// CompareSubjects puts roles first, then groups, users and at last system names: the
// order in which a policy is read.
func CompareSubjects(a, b string) int {
	return cmp.Or(cmp.Compare(ParseSubject(a).Kind, ParseSubject(b).Kind), strings.Compare(a, b))
}

// CanonicalSubject gives the one spelling of a subject. Mail systems do not tell
// A@x from a@x, and an issuer may spell either. Beyond ASCII nothing is folded:
// the Kelvin sign is no k here.
func CanonicalSubject(name string) string {
	if strings.HasPrefix(name, UserPrefix) {
		return lowerASCII(name)
	}
	return name
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, s)
}

// UserSubject gives the subject of the user with an e-mail address, or nothing if it is not
// one.
func UserSubject(address string) string {
	if !isEmail(address) {
		return ""
	}
	return UserPrefix + lowerASCII(address)
}

func isEmail(address string) bool {
	local, domain, ok := strings.Cut(address, "@")
	return ok && local != "" && domain != ""
}

// domainOf gives the domain of an e-mail address, exactly as it is written. It is empty
// for an address with a second @: two programs may cut it at different places.
func domainOf(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	if local == "" || strings.Contains(domain, "@") {
		return ""
	}
	return domain
}

// DomainSubject gives the subject user:*@DOMAIN that stands for a user, or nothing.
func DomainSubject(user string) string {
	address, isUser := strings.CutPrefix(user, UserPrefix)
	domain := domainOf(address)
	if !isUser || domain == "" {
		return ""
	}
	return DomainWildcard + domain
}

// IsWildcardSubject reports whether a subject stands for all groups of an organisation or for
// all addresses of a domain.
func IsWildcardSubject(subject string) bool {
	if strings.HasPrefix(subject, DomainWildcard) {
		return true
	}
	return ParseSubject(subject).Kind == KindGroup && strings.HasSuffix(subject, TeamWildcard)
}
