package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
)

// Users, groups and roles are names of one kind to casbin, so a group called
// role:admin would be that role (compare CVE-2022-29165 of Argo CD). These
// prefixes therefore belong to the policy alone: no issuer can send them.
const (
	rolePrefix    = "role:"
	userPrefix    = "user:"
	systemPrefix  = "system:"
	anonymous     = "system:anonymous"
	authenticated = "system:authenticated"
	everyTeam     = ":*" // ends a subject that stands for every group of an organisation
)

// Who is somebody, as the issuer describes them, before the policy is asked.
//
// Whoever is not Anonymous or Unvouched holds system:authenticated, even without an e-mail
// address and without groups, and never system:anonymous. There is one exception
// for dry runs: a Who with Roles and nothing else is just these roles.
type Who struct {
	Email     string   // a verified one only; compared without regard to ASCII case
	Groups    []string // as the issuer sends them; those with a reserved prefix are ignored
	Roles     []string // role:NAME, for dry runs; anything else is ignored
	Anonymous bool     // nobody: system:anonymous and nothing else, whatever the other fields say
	Unvouched bool     // a token that anybody might have got: everything but system:authenticated
}

// Roles is the set of subjects that somebody is, those that come through g rows
// included. It holds only names that the policy knows. The zero Roles is nobody.
//
// A set is good for the snapshot that resolved it; every other one denies.
type Roles struct {
	of     *numbering
	bits   subjectSet // those that p rows speak of: what the index looks at
	sum    uint64     // fingerprint of bits
	roles  []string   // all that begin with role:, sorted
	others []string   // all the others, sorted
}

type subjects map[string]struct{}

func (s subjects) has(name string) bool {
	_, ok := s[name]
	return ok
}

// newRoles makes a set of words in any order, which it does not keep.
func newRoles(of *numbering, words []setWord) Roles {
	set := asSet(words)
	r := Roles{of: of}
	r.roles, r.others = of.spelled(set)
	r.bits = of.ruledOf(set)
	r.sum = r.bits.fingerprint()
	return r
}

// has reports whether somebody is a subject. casbin asks it by name, so that it
// notices where the bits say something else.
func (r Roles) has(subject string) bool {
	names := r.others
	if strings.HasPrefix(subject, rolePrefix) {
		names = r.roles
	}
	_, found := slices.BinarySearch(names, subject)
	return found
}

// Names gives the roles in the set, sorted: what begins with role:. The caller
// must not change them.
func (r Roles) Names() []string { return r.roles }

// Subjects gives what else than roles somebody is to the policy, sorted: groups,
// ORG:*, user:EMAIL, user:*@DOMAIN and system:NAME, as far as its rows name them. With it an
// audit can be held to another policy, where roles alone cannot tell what a
// changed g row does. The caller must not change them.
func (r Roles) Subjects() []string { return r.others }

// Resolve finds all subjects that somebody is. It costs about a microsecond a
// group: callers keep the result with the session until the snapshot is replaced.
func (s *Snapshot) Resolve(w Who) Roles {
	var few [16]setWord
	return newRoles(s.numbers, s.appendSubjects(few[:0], w))
}

// appendSubjects adds all subjects that somebody is, in any order.
func (s *Snapshot) appendSubjects(words []setWord, w Who) []setWord {
	add := func(name string) { words = s.numbers.appendBrought(words, name) }
	switch {
	case w.Anonymous:
		add(anonymous)
		return words
	case w.Unvouched:
	case w.Email != "" || len(w.Groups) > 0 || len(w.Roles) == 0:
		add(authenticated)
	}
	if isEmail(w.Email) {
		address := lowerASCII(w.Email)
		add(userPrefix + address)
		add(s.domains[domainOf(address)])
	}
	for _, group := range w.Groups {
		if reserved(group) {
			continue
		}
		add(group)
		for i := range len(group) - 1 {
			if group[i] == ':' {
				add(s.organisations[group[:i+1]])
			}
		}
	}
	for _, role := range w.Roles {
		if strings.HasPrefix(role, rolePrefix) {
			add(role)
		}
	}
	return words
}

// Names reports whether any row is about a group: by its name, or as a team of
// ORG:*. What it does not name makes no difference to any decision.
func (s *Snapshot) Names(group string) bool {
	if reserved(group) {
		return false
	}
	return s.numbers.has(group) || slices.ContainsFunc(organisationsOf(group), s.numbers.has)
}

// whoIs describes somebody who is one subject, with what it brings, and nothing
// else. ORG:* is a user in a team of ORG that no row names, and user:*@DOMAIN one with
// an address of DOMAIN that no row names.
func whoIs(subject string) Who {
	switch {
	case subject == anonymous:
		return Who{Anonymous: true}
	case subject == authenticated:
		return Who{}
	case strings.HasPrefix(subject, rolePrefix):
		return Who{Roles: []string{subject}}
	case strings.HasPrefix(subject, userPrefix):
		return Who{Email: subject[len(userPrefix):]}
	default:
		return Who{Groups: []string{subject}}
	}
}

// alone gives the roles of somebody who is one subject and nothing else.
func (s *Snapshot) alone(subject string) Roles { return s.Resolve(whoIs(subject)) }

// reserved reports whether a name begins as no group of an issuer may.
func reserved(name string) bool {
	return strings.HasPrefix(name, rolePrefix) || strings.HasPrefix(name, userPrefix) || strings.HasPrefix(name, systemPrefix)
}

// foldSubject gives the one spelling of a subject. Mail systems do not tell
// A@x from a@x, and an issuer may spell either. Beyond ASCII nothing is folded:
// the Kelvin sign is no k here.
func foldSubject(name string) string {
	if strings.HasPrefix(name, userPrefix) {
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

func isEmail(address string) bool {
	local, domain, ok := strings.Cut(address, "@")
	return ok && local != "" && domain != ""
}

// checkSubject judges the first column of p rows and of g rows alike.
func checkSubject(name string) (what, mend string) {
	for _, prefix := range []string{rolePrefix, userPrefix, systemPrefix} {
		if len(name) >= len(prefix) && name[:len(prefix)] != prefix && strings.EqualFold(name[:len(prefix)], prefix) {
			return quote(name) + " begins like " + prefix + " in other letters", "write " + quote(prefix+name[len(prefix):])
		}
	}
	switch {
	case strings.HasPrefix(name, rolePrefix):
		return checkRole(name)
	case strings.HasPrefix(name, userPrefix):
		return checkUser(name)
	case strings.HasPrefix(name, systemPrefix):
		known := []string{authenticated, anonymous}
		if mend := fault.DidYouMean(name, known); !slices.Contains(known, name) {
			return quote(name) + " is not known", orElse(mend, "write system:authenticated or system:anonymous")
		}
	case name == "*":
		return `"*" is nobody`, "write system:authenticated for all who logged in, system:anonymous for the others"
	case strings.HasPrefix(name, "*@"):
		return quote(name) + " would be a group", "write " + quote(userPrefix+name) + " for every verified address of the domain"
	case strings.Contains(strings.TrimSuffix(name, everyTeam), "*") || name == everyTeam:
		return "a * in " + quote(name) + " stands for nothing", "write ORG:* for every group of an organisation, or name each group"
	}
	return "", ""
}

// checkRole judges the name of a role, as a subject and as what a g row grants.
func checkRole(name string) (what, mend string) {
	bare, isRole := strings.CutPrefix(name, rolePrefix)
	switch {
	case !isRole:
		return quote(name) + " is not a role", "write " + quote(rolePrefix+name)
	case bare == "":
		return `"role:" has no name`, "write role:NAME"
	case strings.Trim(bare, blanks) != bare:
		return quote(name) + " has a blank at an end of its name", "write " + quote(rolePrefix+strings.Trim(bare, blanks))
	case strings.ContainsAny(bare, "*,"):
		return quote(name) + " holds a * or a comma", "name one role"
	}
	return "", ""
}

// bySubject puts roles first, then groups, persons and at last everybody: the
// order in which a policy is read.
func bySubject(a, b string) int {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
}

const (
	rankRole = iota
	rankGroup
	rankUser
	rankSystem
)

func rank(subject string) int {
	switch {
	case strings.HasPrefix(subject, rolePrefix):
		return rankRole
	case strings.HasPrefix(subject, userPrefix):
		return rankUser
	case strings.HasPrefix(subject, systemPrefix):
		return rankSystem
	}
	return rankGroup
}
