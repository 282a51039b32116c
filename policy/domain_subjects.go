package policy

import (
	"strings"

	"github.com/example-org/authgate/text"
)

// DomainWildcard begins a subject that stands for every verified e-mail address of a
// domain: user:*@example.com.
const DomainWildcard = UserPrefix + "*@"

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
	return !IsReserved(subject) && strings.HasSuffix(subject, TeamWildcard)
}

const domainHint = "write user:*@DOMAIN for every verified address of one domain"

// checkUser judges what stands behind user: in a subject.
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

// checkDomain judges the domain of user:*@DOMAIN.
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
