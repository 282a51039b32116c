package policy

import "strings"

// everyAddress begins a subject that stands for every verified e-mail address of a
// domain: user:*@example.com.
const everyAddress = userPrefix + "*@"

// domainOf gives the domain of an e-mail address, exactly as it is written. It is empty
// for an address with a second @: two programs may cut it at different places.
func domainOf(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	if local == "" || strings.Contains(domain, "@") {
		return ""
	}
	return domain
}

// domainSubject gives the subject user:*@DOMAIN that stands for a user, or nothing.
func domainSubject(user string) string {
	address, isUser := strings.CutPrefix(user, userPrefix)
	domain := domainOf(address)
	if !isUser || domain == "" {
		return ""
	}
	return everyAddress + domain
}

// isEveryone reports whether a subject stands for all groups of an organisation or for
// all addresses of a domain.
func isEveryone(subject string) bool {
	if strings.HasPrefix(subject, everyAddress) {
		return true
	}
	return !reserved(subject) && strings.HasSuffix(subject, everyTeam)
}

const domainMend = "write user:*@DOMAIN for every verified address of one domain"

// checkUser judges what stands behind user: in a subject.
func checkUser(name string) (what, mend string) {
	address := name[len(userPrefix):]
	domain, everyone := strings.CutPrefix(name, everyAddress)
	switch {
	case everyone:
		return checkDomain(name, domain)
	case address == "*":
		return quote(name) + " names no domain", domainMend + ", or system:authenticated for all who logged in"
	case strings.Contains(address, "*"):
		return "a * in " + quote(name) + " stands for nothing", domainMend + ", or name each user"
	case !isEmail(address) || strings.ContainsAny(address, blanks):
		return quote(name) + " names no e-mail address", "write user:NAME@DOMAIN for one person, or else a group"
	}
	return "", ""
}

// checkDomain judges the domain of user:*@DOMAIN.
func checkDomain(name, domain string) (what, mend string) {
	switch {
	case domain == "":
		return quote(name) + " names no domain", domainMend
	case strings.Contains(domain, "*"):
		return "a * in the domain of " + quote(name) + " stands for nothing",
			"write a row for each domain; subdomains are domains of their own"
	case strings.Contains(domain, "@"):
		return quote(name) + " holds a second @", domainMend
	case strings.Contains("."+domain+".", ".."):
		bare := strings.Trim(domain, ".")
		if bare == "" || strings.Contains(bare, "..") {
			return quote(name) + " has a dot too many in its domain", domainMend
		}
		return quote(name) + " has a dot too many in its domain", "write " + quote(everyAddress+bare)
	}
	if at := strings.IndexFunc(domain, notInDomain); at >= 0 {
		return "the domain of " + quote(name) + " holds " + quote(domain[at:at+1]), domainMend + ", and a row for each domain"
	}
	return "", ""
}

// notInDomain reports whether no domain holds a character. Those beyond ASCII pass: an
// issuer may send the name of a domain in its own script.
func notInDomain(r rune) bool {
	const known = "-_.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return r < 0x80 && !strings.ContainsRune(known, r)
}
