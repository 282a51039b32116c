package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
)

// Users, groups and roles are names of one kind to casbin, so a group called
// role:admin would be that role (compare CVE-2022-29165 of Argo CD). These
// prefixes therefore belong to the policy alone: no issuer can send them.
const (
	RolePrefix    = "role:"
	UserPrefix    = "user:"
	SystemPrefix  = "system:"
	Anonymous     = "system:anonymous"
	Authenticated = "system:authenticated"
	TeamWildcard  = ":*" // ends a subject that stands for every group of an organisation
)

// Identity is somebody, as the issuer describes them, before the policy is asked.
//
// Whoever is not Anonymous or Unvouched holds system:authenticated, even without an e-mail
// address and without groups, and never system:anonymous. There is one exception
// for dry runs: a Who with Roles and nothing else is just these roles.
type Identity struct {
	Email     string   // a verified one only; compared without regard to ASCII case
	Groups    []string // as the issuer sends them; those with a reserved prefix are ignored
	Roles     []string // role:NAME, for dry runs; anything else is ignored
	Anonymous bool     // nobody: system:anonymous and nothing else, whatever the other fields say
	Untrusted bool     // a token that anybody might have got: everything but system:authenticated
}

// Roles is the set of subjects that somebody is, those that come through g rows
// included. It holds only names that the policy knows. The zero Roles is nobody.
//
// A set is good for the snapshot that resolved it; every other one denies.
type Roles struct {
	ids         *subjectIDs
	bits        subjectSet // those that p rows speak of: what the index looks at
	fingerprint uint64     // fingerprint of bits
	roles       []string   // all that begin with role:, sorted
	others      []string   // all the others, sorted
}

type StringSet map[string]struct{}

func (s StringSet) Has(name string) bool {
	_, ok := s[name]
	return ok
}

// newRoles makes a set of words in any order, which it does not keep.
func newRoles(ids *subjectIDs, words []setWord) Roles {
	set := asSet(words)
	r := Roles{ids: ids}
	r.roles, r.others = ids.sortedNames(set)
	r.bits = ids.onlyWithRows(set)
	r.fingerprint = r.bits.fingerprint()
	return r
}

// Has reports whether somebody is a subject. casbin asks it by name, so that it
// notices where the bits say something else.
func (r Roles) Has(subject string) bool {
	names := r.others
	if strings.HasPrefix(subject, RolePrefix) {
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
func (s *Snapshot) Resolve(id Identity) Roles {
	var buf [16]setWord
	return newRoles(s.ids, s.appendSubjects(buf[:0], id))
}

// appendSubjects adds all subjects that somebody is, in any order.
func (s *Snapshot) appendSubjects(words []setWord, id Identity) []setWord {
	add := func(name string) { words = s.ids.appendClosure(words, name) }
	switch {
	case id.Anonymous:
		add(Anonymous)
		return words
	case id.Untrusted:
	case id.Email != "" || len(id.Groups) > 0 || len(id.Roles) == 0:
		add(Authenticated)
	}
	if user := UserSubject(id.Email); user != "" {
		add(user)
		add(s.domainWildcards[domainOf(user[len(UserPrefix):])])
	}
	for _, group := range id.Groups {
		if IsReserved(group) {
			continue
		}
		add(group)
		for i := range len(group) - 1 {
			if group[i] == ':' {
				add(s.orgWildcards[group[:i+1]])
			}
		}
	}
	for _, role := range id.Roles {
		if strings.HasPrefix(role, RolePrefix) {
			add(role)
		}
	}
	return words
}

// MentionsGroup reports whether any row is about a group: by its name, or as a team of
// ORG:*. What it does not name makes no difference to any decision.
func (s *Snapshot) MentionsGroup(group string) bool {
	if IsReserved(group) {
		return false
	}
	return s.ids.has(group) || slices.ContainsFunc(OrgWildcardsOf(group), s.ids.has)
}

// IdentityOf describes somebody who is one subject, with what it brings, and nothing
// else. ORG:* is a user in a team of ORG that no row names, and user:*@DOMAIN one with
// an address of DOMAIN that no row names.
func IdentityOf(subject string) Identity {
	switch {
	case subject == Anonymous:
		return Identity{Anonymous: true}
	case subject == Authenticated:
		return Identity{}
	case strings.HasPrefix(subject, RolePrefix):
		return Identity{Roles: []string{subject}}
	case strings.HasPrefix(subject, UserPrefix):
		return Identity{Email: subject[len(UserPrefix):]}
	default:
		return Identity{Groups: []string{subject}}
	}
}

// RolesOfSubject gives the roles of somebody who is one subject and nothing else.
func (s *Snapshot) RolesOfSubject(subject string) Roles { return s.Resolve(IdentityOf(subject)) }

// IsReserved reports whether a name begins as no group of an issuer may.
func IsReserved(name string) bool {
	return strings.HasPrefix(name, RolePrefix) || strings.HasPrefix(name, UserPrefix) || strings.HasPrefix(name, SystemPrefix)
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

// CheckSubject judges the first column of p rows and of g rows alike.
func CheckSubject(name string) (message, hint string) {
	for _, prefix := range []string{RolePrefix, UserPrefix, SystemPrefix} {
		if len(name) >= len(prefix) && name[:len(prefix)] != prefix && strings.EqualFold(name[:len(prefix)], prefix) {
			return text.Quote(name) + " begins like " + prefix + " in other letters", "write " + text.Quote(prefix+name[len(prefix):])
		}
	}
	switch {
	case strings.HasPrefix(name, RolePrefix):
		return checkRole(name)
	case strings.HasPrefix(name, UserPrefix):
		return checkUser(name)
	case strings.HasPrefix(name, SystemPrefix):
		known := []string{Authenticated, Anonymous}
		if hint := fault.DidYouMean(name, known); !slices.Contains(known, name) {
			return text.Quote(name) + " is not known", cmp.Or(hint, "write system:authenticated or system:anonymous")
		}
	case name == "*":
		return `"*" is nobody`, "write system:authenticated for all who logged in, system:anonymous for the others"
	case strings.HasPrefix(name, "*@"):
		return text.Quote(name) + " would be a group", "write " + text.Quote(UserPrefix+name) + " for every verified address of the domain"
	case strings.Contains(strings.TrimSuffix(name, TeamWildcard), "*") || name == TeamWildcard:
		return "a * in " + text.Quote(name) + " stands for nothing", "write ORG:* for every group of an organisation, or name each group"
	}
	return "", ""
}

// checkRole judges the name of a role, as a subject and as what a g row grants.
func checkRole(name string) (message, hint string) {
	short, isRole := strings.CutPrefix(name, RolePrefix)
	switch {
	case !isRole:
		return text.Quote(name) + " is not a role", "write " + text.Quote(RolePrefix+name)
	case short == "":
		return `"role:" has no name`, "write role:NAME"
	case strings.Trim(short, Whitespace) != short:
		return text.Quote(name) + " has a blank at an end of its name", "write " + text.Quote(RolePrefix+strings.Trim(short, Whitespace))
	case strings.ContainsAny(short, "*,"):
		return text.Quote(name) + " holds a * or a comma", "name one role"
	}
	return "", ""
}

// CompareSubjects puts roles first, then groups, persons and at last everybody: the
// order in which a policy is read.
func CompareSubjects(a, b string) int {
	return cmp.Or(cmp.Compare(SubjectKind(a), SubjectKind(b)), strings.Compare(a, b))
}

const (
	KindRole = iota
	KindGroup
	KindUser
	KindSystem
)

func SubjectKind(subject string) int {
	switch {
	case strings.HasPrefix(subject, RolePrefix):
		return KindRole
	case strings.HasPrefix(subject, UserPrefix):
		return KindUser
	case strings.HasPrefix(subject, SystemPrefix):
		return KindSystem
	}
	return KindGroup
}
