package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/target"
)

// Observed is a request that a policy has decided before, as an audit log tells
// of it.
type Observed struct {
	Time   time.Time
	Person string // tells people apart; empty for nobody
	Email  string // taken as verified: the log does not say

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

func (o *Observed) signedIn() bool { return o.Person != "" || o.Email != "" }

// who describes whoever asked so that any policy can say what they are. Groups
// say it best: the roles of then came from the g rows of then. Where only roles
// are known they are taken as held, and byRoles says so.
func (o *Observed) who() (who Who, byRoles bool) {
	signedIn := o.signedIn()
	switch {
	case slices.Contains(o.Groups, anonymous), !signedIn && len(o.Groups) == 0 && len(o.Roles) == 0:
		return Who{Anonymous: true}, false
	case o.Groups != nil:
		return Who{Email: o.address(), Groups: o.Groups}, false
	case signedIn: // a group that no issuer can send: signed in, and in no group
		return Who{Email: o.Email, Groups: []string{authenticated}, Roles: o.Roles}, true
	default:
		return Who{Roles: o.Roles}, true
	}
}

// address gives the e-mail address by which the policy of then knew the person. Of a
// domain alone it tells less than the address of the line.
func (o *Observed) address() string {
	address := o.Email
	for _, name := range o.Groups {
		email, isUser := strings.CutPrefix(name, userPrefix)
		if isUser && domainSubject(userPrefix+lowerASCII(address)) != name {
			address = email
		}
	}
	return address
}

// crowd asks one snapshot about the people of a log. It remembers their roles:
// a log has many lines and few people. It belongs to one goroutine.
type crowd struct {
	snapshot *Snapshot
	anybody  Roles
	met      map[string]Roles
	key      []byte
}

// maxMet bounds what a crowd remembers; then it forgets, and begins anew.
const maxMet = 1 << 16

func newCrowd(s *Snapshot) *crowd {
	return &crowd{snapshot: s, anybody: s.Resolve(Who{Anonymous: true}), met: map[string]Roles{}}
}

// resolve reports, too, whether these people were not met before.
func (c *crowd) resolve(who Who) (roles Roles, stranger bool) {
	if who.Anonymous {
		return c.anybody, false
	}
	c.key = whoKey(c.key[:0], who)
	if roles, met := c.met[string(c.key)]; met {
		return roles, false
	}
	if len(c.met) >= maxMet {
		clear(c.met)
	}
	roles = c.snapshot.Resolve(who)
	c.met[string(c.key)] = roles
	return roles, true
}

// whoKey writes down all that Resolve looks at.
func whoKey(key []byte, who Who) []byte {
	if who.Anonymous {
		return append(key, 'a')
	}
	key = append(append(key, 'e'), who.Email...)
	for _, name := range who.Groups {
		key = append(append(key, 0, 'g'), name...)
	}
	for _, name := range who.Roles {
		key = append(append(key, 0, 'r'), name...)
	}
	return key
}

// decide answers as the proxy does, which lets people of whom no row speaks go
// wherever anybody may, incognito. It gives the roles, too, that it came to.
func (c *crowd) decide(q Request, signedIn bool) (Decision, Roles) {
	d := c.snapshot.Decide(q)
	if !d.Silent() || !signedIn {
		return d, q.Roles
	}
	roles := q.Roles
	q.Roles = c.anybody
	if open := c.snapshot.Decide(q); open.Allowed() {
		return open, c.anybody
	}
	return d, roles
}
