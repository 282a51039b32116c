package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/target"
)

// LoggedRequest is a request that a policy has decided before, as an audit log tells
// of it.
type LoggedRequest struct {
	Time  time.Time
	User  string // tells people apart; empty for nobody
	Email string // taken as verified: the log does not say

	// Groups are the subjects other than roles under which the policy of then
	// knew the person; nil where the log does not say.
	Groups []string
	Roles  []string // role:NAME, as the policy of then gave them

	Upstream string
	Path     target.Path
	Method   string
	Effect   Effect // what was decided
	Rule     string // file:line that decided; empty where no row matched
	Policy   string // hash of the policy that decided; empty where the log does not say
}

func (o *LoggedRequest) signedIn() bool { return o.User != "" || o.Email != "" }

// identity describes whoever asked so that any policy can say what they are. Groups
// say it best: the roles of then came from the g rows of then. Where only roles
// are known they are taken as held, and byRoles says so.
func (o *LoggedRequest) identity() (identity Identity, byRoles bool) {
	signedIn := o.signedIn()
	switch {
	case slices.Contains(o.Groups, anonymous), !signedIn && len(o.Groups) == 0 && len(o.Roles) == 0:
		return Identity{Anonymous: true}, false
	case o.Groups != nil:
		return Identity{Email: o.address(), Groups: o.Groups}, false
	case signedIn: // a group that no issuer can send: signed in, and in no group
		return Identity{Email: o.Email, Groups: []string{authenticated}, Roles: o.Roles}, true
	default:
		return Identity{Roles: o.Roles}, true
	}
}

// address gives the e-mail address by which the policy of then knew the person. Of a
// domain alone it tells less than the address of the line.
func (o *LoggedRequest) address() string {
	address := o.Email
	for _, name := range o.Groups {
		email, isUser := strings.CutPrefix(name, userPrefix)
		if isUser && domainSubject(userPrefix+lowerASCII(address)) != name {
			address = email
		}
	}
	return address
}

// cachedDecider asks one snapshot about the people of a log. It remembers their roles:
// a log has many lines and few people. It belongs to one goroutine.
type cachedDecider struct {
	snapshot  *Snapshot
	anonymous Roles
	cache     map[string]Roles
	key       []byte
}

// maxCachedRoles bounds what a crowd remembers; then it forgets, and begins anew.
const maxCachedRoles = 1 << 16

func newCachedDecider(s *Snapshot) *cachedDecider {
	return &cachedDecider{snapshot: s, anonymous: s.Resolve(Identity{Anonymous: true}), cache: map[string]Roles{}}
}

// resolve reports, too, whether these people were not met before.
func (cd *cachedDecider) resolve(identity Identity) (roles Roles, miss bool) {
	if identity.Anonymous {
		return cd.anonymous, false
	}
	cd.key = identityKey(cd.key[:0], identity)
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

// identityKey writes down all that Resolve looks at.
func identityKey(key []byte, identity Identity) []byte {
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

// decide answers as the proxy does, which lets people of whom no row speaks go
// wherever anybody may, incognito. It gives the roles, too, that it came to.
func (cd *cachedDecider) decide(q Request, signedIn bool) (Decision, Roles) {
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
