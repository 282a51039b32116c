package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/session"
)

// state is all of the policy that a request reads. It is built whole, published
// once and, but for its memory of roles, never written again.
type state struct {
	policy     *policy.Snapshot
	generation uint64
	loaded     time.Time
	anonymous  policy.Roles
	roles      roleMemory
}

// SetPolicy puts a policy in force for every request that begins from now on.
// Calls must not overlap.
func (p *Proxy) SetPolicy(s *policy.Snapshot) {
	next := &state{policy: s, generation: 1, loaded: p.now()}
	next.anonymous = s.Resolve(policy.Who{Anonymous: true})
	next.roles.clear()
	if last := p.state.Load(); last != nil {
		next.generation = last.generation + 1
	}
	p.state.Store(next)
	p.metrics.reloads.WithLabelValues("ok").Inc()
	p.audit.Write(audit.Record{Time: p.now(), Event: audit.Policy, Decision: audit.Allow, Policy: s.Hash()})
	p.log.Info("policy in force", "generation", next.generation, "hash", s.Hash(), "rows", s.Rows())
}

// KeepPolicy notes that a changed policy did not load. The one in force stays.
func (p *Proxy) KeepPolicy(why error) {
	st := p.state.Load()
	p.metrics.reloads.WithLabelValues("error").Inc()
	p.audit.Write(audit.Record{Time: p.now(), Event: audit.Policy, Decision: audit.Refuse, Reason: why.Error(), Policy: st.policy.Hash()})
	p.log.Error("policy not loaded; the last good one stays in force",
		"error", why, "generation", st.generation, "hash", st.policy.Hash())
}

// rolesOf resolves the roles of a session once per policy generation.
func (st *state) rolesOf(s session.Session) policy.Roles {
	return st.roles.of(s.ID, func() policy.Roles {
		who := policy.Who{Groups: s.Principal.Groups}
		if s.Principal.EmailVerified {
			who.Email = s.Principal.Email
		}
		return st.policy.Resolve(who)
	})
}

// maxRoleMemory bounds how many sessions a generation remembers. Beyond it the
// memory starts afresh: what was forgotten is resolved again.
const maxRoleMemory = 10_000

// roleMemory maps session ids to roles. Ids come out of sealed cookies, so that
// nobody grows it without signing in. It is safe for concurrent use.
type roleMemory struct {
	known atomic.Pointer[sync.Map] // session id → policy.Roles
	count atomic.Int64
}

func (m *roleMemory) of(id string, resolve func() policy.Roles) policy.Roles {
	if roles, ok := m.known.Load().Load(id); ok {
		return roles.(policy.Roles)
	}
	if m.count.Add(1) > maxRoleMemory {
		m.clear()
	}
	roles := resolve()
	m.known.Load().Store(id, roles)
	return roles
}

func (m *roleMemory) clear() {
	m.known.Store(&sync.Map{})
	m.count.Store(0)
}
