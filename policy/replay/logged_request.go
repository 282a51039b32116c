package replay

import (
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// LoggedRequest is a request that a policy has decided before, as an audit log tells
// of it.
type LoggedRequest struct {
	Time  time.Time
	User  string // tells users apart; empty if anonymous
	Email string // taken as verified: the log does not say

	// Groups are the subjects other than roles under which the policy at that time
	// knew the person; nil where the log does not say.
	Groups []string
	Roles  []string // role:NAME, as the policy at that time gave them

	Upstream string
	Path     target.Path
	Method   string
	Effect   policy.Effect // what was decided
	Rule     string        // file:line that decided; empty where no row matched
	Policy   string        // hash of the policy that decided; empty where the log does not say
}

func (o *LoggedRequest) SignedIn() bool { return o.User != "" || o.Email != "" }

// Identity describes the user so that any policy can say what they are. Groups
// say it best: the roles at that time came from the g rows at that time. Where only roles
// are known they are taken as held, and byRoles says so.
func (o *LoggedRequest) Identity() (identity policy.Identity, byRoles bool) {
	signedIn := o.SignedIn()
	switch {
	case slices.Contains(o.Groups, policy.Anonymous), !signedIn && len(o.Groups) == 0 && len(o.Roles) == 0:
		return policy.Identity{Anonymous: true}, false
	case o.Groups != nil:
		return policy.Identity{Email: o.address(), Groups: o.Groups}, false
	case signedIn: // a group that no issuer can send: signed in, and in no group
		return policy.Identity{Email: o.Email, Groups: []string{policy.Authenticated}, Roles: o.Roles}, true
	default:
		return policy.Identity{Roles: o.Roles}, true
	}
}

// address gives the e-mail address by which the policy at that time knew the user. Of a
// domain alone it tells less than the address of the line.
func (o *LoggedRequest) address() string {
	address := o.Email
	for _, name := range o.Groups {
		email, isUser := strings.CutPrefix(name, policy.UserPrefix)
		if isUser && policy.DomainSubject(policy.UserSubject(address)) != name {
			address = email
		}
	}
	return address
}

// CachedDecider asks one snapshot about the people of a log. It remembers their roles:
// a log has many lines and few people. It belongs to one goroutine.
type CachedDecider struct {
	snapshot  *policy.Snapshot
	anonymous policy.Roles
	cache     map[string]policy.Roles
	key       []byte
}

// maxCachedRoles bounds what the cache of roles holds; then it starts again.
const maxCachedRoles = 1 << 16

func NewCachedDecider(s *policy.Snapshot) *CachedDecider {
	return &CachedDecider{
		snapshot: s, anonymous: s.Resolve(policy.Identity{Anonymous: true}),
		cache: map[string]policy.Roles{},
	}
}

// Resolve reports, too, whether these people were not met before.
func (cd *CachedDecider) Resolve(identity policy.Identity) (roles policy.Roles, miss bool) {
	if identity.Anonymous {
		return cd.anonymous, false
	}
	cd.key = IdentityKey(cd.key[:0], identity)
	if roles, cached := cd.cache[string(cd.key)]; cached {
		return roles, false
	}
	if len(cd.cache) >= maxCachedRoles {
		clear(cd.cache)
	}
	roles = cd.snapshot.Resolve(identity)
	cd.cache[string(cd.key)] = roles
	return roles, true
}

// IdentityKey writes down all that Resolve looks at.
func IdentityKey(key []byte, identity policy.Identity) []byte {
	if identity.Anonymous {
		return append(key, 'a')
	}
	key = append(append(key, 'e'), identity.Email...)
	for _, name := range identity.Groups {
		key = append(append(key, 0, 'g'), name...)
	}
	for _, name := range identity.Roles {
		key = append(append(key, 0, 'r'), name...)
	}
	return key
}

// Decide answers as the proxy does, which lets people of whom no row speaks go
// wherever anonymous requests may, as anonymous. It also gives the roles.
func (cd *CachedDecider) Decide(q policy.Request, signedIn bool) (policy.Decision, policy.Roles) {
	d := cd.snapshot.Decide(q)
	if !d.NoMatch() || !signedIn {
		return d, q.Roles
	}
	roles := q.Roles
	q.Roles = cd.anonymous
	if anonymousDecision := cd.snapshot.Decide(q); anonymousDecision.Allowed() {
		return anonymousDecision, cd.anonymous
	}
	return d, roles
}
