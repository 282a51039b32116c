package proxy

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/session"
)

// state is all of the policies that a request reads. It is built whole, published
// once and, but for its memory of people, never written again.
type state struct {
	policy     *edition
	shadow     *edition // decided beside it, never enforced; nil without a candidate
	generation uint64   // counts policies in force, not candidates

	upstreams int // how many there are
	anonymous standing
	people    *peopleMemory
	replaced  chan struct{} // closed by the next state
}

// age is for how many seconds the policy has been in force.
func (st *state) age(now time.Time) float64 {
	return max(0, now.Sub(st.policy.loaded).Round(time.Millisecond).Seconds())
}

// edition is a policy as it was loaded, and what became of its files since.
type edition struct {
	*policy.Snapshot
	loaded    time.Time
	anonymous policy.Roles
	refused   *refusedReload // nil: the files hold this very policy
}

// refusedReload says why the files hold something else than what is in force.
type refusedReload struct {
	why   string
	since time.Time // the first of them
}

func (p *Proxy) newEdition(s *policy.Snapshot) *edition {
	return &edition{Snapshot: s, loaded: p.now(), anonymous: s.Resolve(policy.Who{Anonymous: true})}
}

// brief says why a policy is not taken, in what a line of a log can hold: a tool
// that spoils one column spoils it in each of many thousand rows.
func brief(why error) string {
	const mostFaults, mostBytes, all = 10, 8 << 10, "`authgate config check` names all of it"
	text := why.Error()
	if faults := strings.Split(text, "\n"); len(faults) > mostFaults {
		text = fmt.Sprintf("%s\nand %d more; %s", strings.Join(faults[:mostFaults], "\n"), len(faults)-mostFaults, all)
	}
	if len(text) > mostBytes {
		text = strings.ToValidUTF8(text[:mostBytes], "") + "…\n" + all
	}
	return text
}

// keeping is the same edition, after its files have changed for the worse.
func (e *edition) keeping(why string, now time.Time) *edition {
	next := *e
	next.refused = &refusedReload{why, now}
	if e.refused != nil {
		next.refused.since = e.refused.since
	}
	return &next
}

// SetPolicy puts a policy in force for every request that begins from now on.
// Calls of this and of the three below must not overlap.
func (p *Proxy) SetPolicy(s *policy.Snapshot) {
	last := p.state.Load()
	p.publish(&state{policy: p.newEdition(s), shadow: last.shadow, generation: last.generation + 1})
	p.policyInForce()
	if old := last.policy.Hash(); old != s.Hash() {
		p.metrics.inForce.DeleteLabelValues(old)
	}
}

// SetShadow replaces the candidate, which is decided beside the policy in force
// and changes no answer.
func (p *Proxy) SetShadow(s *policy.Snapshot) {
	last := p.state.Load()
	p.publish(&state{policy: last.policy, shadow: p.newEdition(s), generation: last.generation})
	p.log.Info("candidate policy beside the one in force", "hash", s.Hash(), "rows", s.Rows())
}

// KeepPolicy notes that a changed policy is not taken. The one in force stays.
func (p *Proxy) KeepPolicy(err error) {
	why, next := brief(err), *p.state.Load()
	next.policy = next.policy.keeping(why, p.now())
	p.publish(&next)
	p.metrics.reloads.WithLabelValues("error").Inc()
	p.audit.Write(audit.Record{Time: p.now(), Event: audit.Policy, Decision: audit.Refuse, Reason: why, Policy: next.policy.Hash(), Generation: next.generation, Age: next.age(p.now())})
	p.log.Error("policy not loaded; the last good one stays in force",
		"error", why, "generation", next.generation, "hash", next.policy.Hash())
}

// KeepShadow notes that a changed candidate is not taken. The last one stays.
func (p *Proxy) KeepShadow(err error) {
	why, next := brief(err), *p.state.Load()
	next.shadow = next.shadow.keeping(why, p.now())
	p.publish(&next)
	p.metrics.reloads.WithLabelValues("error").Inc()
	p.log.Error("candidate policy not loaded; the last good one stays beside the policy in force",
		"error", why, "hash", next.shadow.Hash())
}

// publish makes a state the one that requests read.
func (p *Proxy) publish(next *state) {
	next.replaced, next.upstreams = make(chan struct{}), len(p.upstreams)
	if next.people == nil { // other policies: nobody is known to them yet
		next.people = newPeopleMemory()
		next.anonymous = next.resolve(policy.Who{Anonymous: true})
	}
	if last := p.state.Swap(next); last != nil {
		close(last.replaced)
	}
}

func (p *Proxy) policyInForce() {
	st := p.state.Load()
	p.metrics.reloads.WithLabelValues("ok").Inc()
	p.metrics.inForce.WithLabelValues(st.policy.Hash()).Set(1)
	p.audit.Write(audit.Record{Time: p.now(), Event: audit.Policy, Decision: audit.Allow, Policy: st.policy.Hash(), Generation: st.generation})
	p.log.Info("policy in force", "generation", st.generation, "hash", st.policy.Hash(), "rows", st.policy.Rows())
}

// standing is what somebody is to the policies of a state.
type standing struct {
	roles     policy.Roles
	candidate policy.Roles // those of the shadow: a snapshot knows only its own
	told      *telling     // nil: of nobody, nothing is told
}

func (st *state) resolve(who policy.Who) standing {
	s := standing{roles: st.policy.Resolve(who)}
	if st.shadow != nil {
		s.candidate = st.shadow.Resolve(who)
	}
	return s
}

// standingOf resolves a session once as long as the policies and its groups stay.
func (st *state) standingOf(s session.Session) standing {
	return st.people.of(s.ID, s.Read.UnixNano(), func() standing {
		who := policy.Who{Groups: s.Principal.Groups, Unvouched: s.Principal.Unvouched}
		if s.Principal.EmailVerified {
			who.Email = s.Principal.Email
		}
		known := st.resolve(who)
		known.told = &telling{who: s.Principal, named: st.policy.Names, to: make([]atomic.Pointer[identityHeaders], st.upstreams)}
		return known
	})
}

// maxPeople bounds how many sessions are remembered. Beyond it the memory starts
// afresh: what was forgotten is resolved again.
const maxPeople = 10_000

// remembered is somebody's standing by the groups that were read at a time.
type remembered struct {
	standing
	read int64 // Unix nanoseconds
}

// peopleMemory maps session ids to standings. Ids come out of sealed cookies, so
// that nobody grows it without signing in. It is safe for concurrent use.
type peopleMemory struct {
	known atomic.Pointer[sync.Map] // session id → *remembered
	count atomic.Int64
}

func newPeopleMemory() *peopleMemory {
	m := &peopleMemory{}
	m.clear()
	return m
}

func (m *peopleMemory) of(id string, read int64, resolve func() standing) standing {
	found, ok := m.known.Load().Load(id)
	if ok && found.(*remembered).read == read {
		return found.(*remembered).standing
	}
	if !ok && m.count.Add(1) > maxPeople {
		m.clear()
	}
	who := &remembered{resolve(), read}
	m.known.Load().Store(id, who)
	return who.standing
}

func (m *peopleMemory) clear() {
	m.known.Store(&sync.Map{})
	m.count.Store(0)
}
