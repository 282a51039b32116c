package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
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

// CheckSubject checks the first column of p rows and of g rows alike.
func CheckSubject(name string) (message, hint string) {
	for _, prefix := range []string{RolePrefix, UserPrefix, SystemPrefix} {
		if len(name) >= len(prefix) && name[:len(prefix)] != prefix && strings.EqualFold(name[:len(prefix)], prefix) {
			return text.Quote(name) + " begins like " + prefix + " in other letters",
				"write " + text.Quote(prefix+name[len(prefix):])
		}
	}
	switch {
	case ParseSubject(name).Kind == KindRole:
		return checkRole(name)
	case ParseSubject(name).Kind == KindUser:
		return checkUser(name)
	case ParseSubject(name).Kind == KindSystem:
		known := []string{Authenticated, Anonymous}
		if hint := fault.DidYouMean(name, known); !slices.Contains(known, name) {
			return text.Quote(name) + " is not known", cmp.Or(hint, "write system:authenticated or system:anonymous")
		}
	case name == "*":
		return `"*" is not a subject`,
			"write system:authenticated for every signed-in user, system:anonymous for the others"
	case strings.HasPrefix(name, "*@"):
		return text.Quote(name) + " would be a group",
			"write " + text.Quote(UserPrefix+name) + " for every verified address of the domain"
	case strings.Contains(strings.TrimSuffix(name, TeamWildcard), "*") || name == TeamWildcard:
		return "a * in " + text.Quote(name) + " matches nothing",
			"write ORG:* for every group of an organisation, or name each group"
	}
	return "", ""
}

// checkRole checks the name of a role, as a subject and as what a g row grants.
func checkRole(name string) (message, hint string) {
	short, isRole := strings.CutPrefix(name, RolePrefix)
	switch {
	case !isRole:
		return text.Quote(name) + " is not a role", "write " + text.Quote(RolePrefix+name)
	case short == "":
		return `"role:" has no name`, "write role:NAME"
	case strings.Trim(short, Whitespace) != short:
		return text.Quote(name) + " has a space at an end of its name",
			"write " + text.Quote(RolePrefix+strings.Trim(short, Whitespace))
	case strings.ContainsAny(short, "*,"):
		return text.Quote(name) + " holds a * or a comma", "name one role"
	}
	return "", ""
}

const domainHint = "write user:*@DOMAIN for every verified address of one domain"

// checkUser checks what follows user: in a subject.
func checkUser(name string) (message, hint string) {
	address := name[len(UserPrefix):]
	domain, isWildcard := strings.CutPrefix(name, DomainWildcard)
	switch {
	case isWildcard:
		return checkDomain(name, domain)
	case address == "*":
		return text.Quote(name) + " names no domain", domainHint + ", or system:authenticated for all who logged in"
	case strings.Contains(address, "*"):
		return "a * in " + text.Quote(name) + " matches nothing", domainHint + ", or name each user"
	case !isEmail(address) || strings.ContainsAny(address, Whitespace):
		return text.Quote(name) + " names no e-mail address", "write user:NAME@DOMAIN for one user, or a group"
	}
	return "", ""
}

// checkDomain checks the domain of user:*@DOMAIN.
func checkDomain(name, domain string) (message, hint string) {
	switch {
	case domain == "":
		return text.Quote(name) + " names no domain", domainHint
	case strings.Contains(domain, "*"):
		return "a * in the domain of " + text.Quote(name) + " matches nothing",
			"write a row for each domain; subdomains are domains of their own"
	case strings.Contains(domain, "@"):
		return text.Quote(name) + " holds a second @", domainHint
	case strings.Contains("."+domain+".", ".."):
		trimmed := strings.Trim(domain, ".")
		if trimmed == "" || strings.Contains(trimmed, "..") {
			return text.Quote(name) + " has a dot too many in its domain", domainHint
		}
		return text.Quote(name) + " has a dot too many in its domain", "write " + text.Quote(DomainWildcard+trimmed)
	}
	if at := strings.IndexFunc(domain, isInvalidDomainRune); at >= 0 {
		return "the domain of " + text.Quote(name) + " holds " + text.Quote(domain[at:at+1]),
			domainHint + ", and a row for each domain"
	}
	return "", ""
}

// isInvalidDomainRune reports whether no domain holds a character. Those beyond ASCII pass: an
// issuer may send the name of a domain in its own script.
func isInvalidDomainRune(r rune) bool {
	const known = "-_.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return r < 0x80 && !strings.ContainsRune(known, r)
}
