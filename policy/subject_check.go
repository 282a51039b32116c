package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
)

// CheckSubject checks the first column of p rows and of g rows alike.
func CheckSubject(name string) (message, hint string) {
	for _, prefix := range []string{RolePrefix, UserPrefix, SystemPrefix} {
		if len(name) >= len(prefix) && name[:len(prefix)] != prefix && strings.EqualFold(name[:len(prefix)], prefix) {
			return text.Quote(name) + " begins like " + prefix + " in other letters", "write " + text.Quote(prefix+name[len(prefix):])
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
		return `"*" is not a subject`, "write system:authenticated for every signed-in user, system:anonymous for the others"
	case strings.HasPrefix(name, "*@"):
		return text.Quote(name) + " would be a group", "write " + text.Quote(UserPrefix+name) + " for every verified address of the domain"
	case strings.Contains(strings.TrimSuffix(name, TeamWildcard), "*") || name == TeamWildcard:
		return "a * in " + text.Quote(name) + " stands for nothing", "write ORG:* for every group of an organisation, or name each group"
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
		return text.Quote(name) + " has a space at an end of its name", "write " + text.Quote(RolePrefix+strings.Trim(short, Whitespace))
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
		return "a * in " + text.Quote(name) + " stands for nothing", domainHint + ", or name each user"
	case !isEmail(address) || strings.ContainsAny(address, Whitespace):
		return text.Quote(name) + " names no e-mail address", "write user:NAME@DOMAIN for one person, or else a group"
	}
	return "", ""
}

// checkDomain checks the domain of user:*@DOMAIN.
func checkDomain(name, domain string) (message, hint string) {
	switch {
	case domain == "":
		return text.Quote(name) + " names no domain", domainHint
	case strings.Contains(domain, "*"):
		return "a * in the domain of " + text.Quote(name) + " stands for nothing",
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
		return "the domain of " + text.Quote(name) + " holds " + text.Quote(domain[at:at+1]), domainHint + ", and a row for each domain"
	}
	return "", ""
}

// isInvalidDomainRune reports whether no domain holds a character. Those beyond ASCII pass: an
// issuer may send the name of a domain in its own script.
func isInvalidDomainRune(r rune) bool {
	const known = "-_.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return r < 0x80 && !strings.ContainsRune(known, r)
}
