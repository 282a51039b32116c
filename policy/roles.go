package policy

import (
	"slices"
)

// Identity is a user as the issuer describes them, before the policy is asked.
//
// A user who is not Anonymous or Untrusted holds system:authenticated, even without an e-mail
// address and without groups, and never system:anonymous. There is one exception
// for dry runs: an Identity with Roles and nothing else is just these roles.
type Identity struct {
	Email     string   // a verified one only; compared without regard to ASCII case
	Groups    []string // as the issuer sends them; those with a reserved prefix are ignored
	Roles     []string // role:NAME, for dry runs; anything else is ignored
	Anonymous bool     // system:anonymous and nothing else, whatever the other fields say
	Untrusted bool     // a token that anyone could have obtained: everything but system:authenticated
}

// Roles is the set of subjects that a user is, those that come through g rows
// included. It holds only names that the policy knows. The zero Roles is empty.
//
// A set is good for the snapshot that resolved it; every other one denies.
type Roles struct{ set *roleSet }

// roleSet is what a user was resolved to. It never changes, so that requests share it.
type roleSet struct {
	ids         *subjectIDs
	bits        subjectSet // those that p rows name: what the index looks at
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
	r := roleSet{ids: ids}
	r.roles, r.others = ids.sortedNames(set)
	r.bits = ids.onlyWithRows(set)
	r.fingerprint = r.bits.fingerprint()
	return Roles{&r}
}

// areOf reports whether a snapshot that numbers subjects in this way resolved the set.
func (r Roles) areOf(ids *subjectIDs) bool { return r.set != nil && r.set.ids == ids }

// Has reports whether the user is a subject. casbin asks it by name, so that it
// notices where the bits say something else.
func (r Roles) Has(subject string) bool {
	names := r.Subjects()
	if ParseSubject(subject).Kind == KindRole {
		names = r.Names()
	}
	_, found := slices.BinarySearch(names, subject)
	return found
}

// Names gives the roles in the set, sorted: what begins with role:. The caller
// must not change them.
func (r Roles) Names() []string {
	if r.set == nil {
		return nil
	}
	return r.set.roles
}

// Subjects gives what else than roles the user is to the policy, sorted: groups,
// ORG:*, user:EMAIL, user:*@DOMAIN and system:NAME, as far as its rows name them. With it an
// audit can be held to another policy, where roles alone cannot tell what a
// changed g row does. The caller must not change them.
func (r Roles) Subjects() []string {
	if r.set == nil {
		return nil
	}
	return r.set.others
}

// Resolve finds all subjects that a user is. It costs about a microsecond a
// group: callers keep the result with the session until the snapshot is replaced.
func (s *Snapshot) Resolve(id Identity) Roles {
	var buf [16]setWord
	return newRoles(s.ids, s.appendSubjects(buf[:0], id))
}

// appendSubjects adds all subjects that a user is, in any order.
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
		if ParseSubject(group).Kind != KindGroup {
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
		if ParseSubject(role).Kind == KindRole {
			add(role)
		}
	}
	return words
}

// MentionsGroup reports whether any row is about a group: by its name, or as a team of
// ORG:*. What it does not name makes no difference to any decision.
func (s *Snapshot) MentionsGroup(group string) bool {
	if ParseSubject(group).Kind != KindGroup {
		return false
	}
	return s.ids.has(group) || slices.ContainsFunc(OrgWildcardsOf(group), s.ids.has)
}

// IdentityOf describes a user who is one subject, with what it brings, and nothing
// else. ORG:* is a user in a team of ORG that no row names, and user:*@DOMAIN one with
// an address of DOMAIN that no row names.
func IdentityOf(subject string) Identity {
	switch {
	case subject == Anonymous:
		return Identity{Anonymous: true}
	case subject == Authenticated:
		return Identity{}
	case ParseSubject(subject).Kind == KindRole:
		return Identity{Roles: []string{subject}}
	case ParseSubject(subject).Kind == KindUser:
		return Identity{Email: subject[len(UserPrefix):]}
	default:
		return Identity{Groups: []string{subject}}
	}
}

// RolesOfSubject gives the roles of a user who is one subject and nothing else.
func (s *Snapshot) RolesOfSubject(subject string) Roles { return s.Resolve(IdentityOf(subject)) }
