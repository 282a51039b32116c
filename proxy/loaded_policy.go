package proxy

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/cache"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy/upstream"
	"github.com/example-org/authgate/session"
)

// state is all of the policies that a request reads. It is built whole, published
// once and, but for its memory of people, never written again.
type state struct {
	policy     *loadedPolicy
	shadow     *loadedPolicy // decided in addition, never enforced; nil without a candidate
	generation uint64        // counts policies in force, not candidates

	upstreams  int // how many there are
	anonymous  resolvedRoles
	rolesCache *rolesCache
	replaced   chan struct{} // closed by the next state
}

// age is for how many seconds the policy has been in force.
func (st *state) age(now time.Time) float64 {
	return max(0, now.Sub(st.policy.loadedAt).Round(time.Millisecond).Seconds())
}

// loadedPolicy is a policy as it was loaded, and what became of its files since.
type loadedPolicy struct {
	*policy.Snapshot
	loadedAt    time.Time
	anonymous   policy.Roles
	entrances   entrances
	reloadError *reloadError // nil: the files hold this very policy

	rules *sync.Map // *policy.Row → where it is, of each row that has decided
}

// reloadError says why the files hold something else than what is in force.
type reloadError struct {
	message string
	since   time.Time // the first of them
}

func (p *Proxy) newLoadedPolicy(s *policy.Snapshot) *loadedPolicy {
	return &loadedPolicy{
		Snapshot: s, loadedAt: p.now(), anonymous: s.Resolve(policy.Identity{Anonymous: true}),
		entrances: p.newEntrances(s), rules: new(sync.Map),
	}
}

// ruleOf is the row that decided, as file:line; empty: none did. It is written once for each row.
func (e *loadedPolicy) ruleOf(d policy.Decision) string {
	if d.Row == nil {
		return ""
	}
	if known, ok := e.rules.Load(d.Row); ok {
		return known.(string)
	}
	rule := d.Row.Where()
	e.rules.Store(d.Row, rule)
	return rule
}

// truncateFaults says why a policy is not taken, in what a line of a log can hold: a tool
// that spoils one column spoils it in each of many thousand rows.
func truncateFaults(cause error) string {
	const maxFaults, maxBytes, all = 10, 8 << 10, "`authgate config check` names all of it"
	text := cause.Error()
	if faults := strings.Split(text, "\n"); len(faults) > maxFaults {
		text = fmt.Sprintf("%s\nand %d more; %s", strings.Join(faults[:maxFaults], "\n"), len(faults)-maxFaults, all)
	}
	if len(text) > maxBytes {
		text = strings.ToValidUTF8(text[:maxBytes], "") + "…\n" + all
	}
	return text
}

// withReloadError is the same edition, after its files have changed for the worse.
func (e *loadedPolicy) withReloadError(reason string, now time.Time) *loadedPolicy {
	next := *e
	next.reloadError = &reloadError{reason, now}
	if e.reloadError != nil {
		next.reloadError.since = e.reloadError.since
	}
	return &next
}

// SetPolicy puts a policy in force for every request that begins from now on.
// Calls of this and of the three below must not overlap.
func (p *Proxy) SetPolicy(s *policy.Snapshot) {
	prev := p.state.Load()
	p.publish(&state{policy: p.newLoadedPolicy(s), shadow: prev.shadow, generation: prev.generation + 1})
	p.reportPolicy()
	if old := prev.policy.Hash(); old != s.Hash() {
		p.metrics.policyInfo.DeleteLabelValues(old)
	}
}

// SetShadow replaces the candidate, which is decided in addition to the policy in force
// and changes no answer.
func (p *Proxy) SetShadow(s *policy.Snapshot) {
	prev := p.state.Load()
	p.publish(&state{policy: prev.policy, shadow: p.newLoadedPolicy(s), generation: prev.generation})
	p.log.Info("candidate policy loaded; it is decided and logged, never enforced", "hash", s.Hash(), "rows", s.RowCount())
}

// RejectPolicy notes that a changed policy is not taken. The one in force stays.
func (p *Proxy) RejectPolicy(err error) {
	reason, next := truncateFaults(err), *p.state.Load()
	next.policy = next.policy.withReloadError(reason, p.now())
	p.publish(&next)
	p.metrics.reloads.WithLabelValues("error").Inc()
	p.audit.Write(audit.Record{
		Time: p.now(), Event: audit.Policy, Decision: audit.Refuse, Reason: reason,
		Policy: next.policy.Hash(), Generation: next.generation, Age: next.age(p.now()),
	})
	p.log.Error("policy not loaded; the last good one stays in force",
		"error", reason, "generation", next.generation, "hash", next.policy.Hash())
}

// RejectShadow notes that a changed candidate is not taken. The last one stays.
func (p *Proxy) RejectShadow(err error) {
	reason, next := truncateFaults(err), *p.state.Load()
	next.shadow = next.shadow.withReloadError(reason, p.now())
	p.publish(&next)
	p.metrics.reloads.WithLabelValues("error").Inc()
	p.log.Error("candidate policy not loaded; the last good one stays in use",
		"error", reason, "hash", next.shadow.Hash())
}

// publish makes a state the one that requests read.
func (p *Proxy) publish(next *state) {
	next.replaced, next.upstreams = make(chan struct{}), len(p.upstreams)
	if next.rolesCache == nil { // other policies: no roles are resolved yet
		next.rolesCache = newRolesCache()
		next.anonymous = next.resolve(policy.Identity{Anonymous: true})
	}
	if prev := p.state.Swap(next); prev != nil {
		close(prev.replaced)
	}
}

func (p *Proxy) reportPolicy() {
	st := p.state.Load()
	p.metrics.reloads.WithLabelValues("ok").Inc()
	p.metrics.policyInfo.WithLabelValues(st.policy.Hash()).Set(1)
	p.audit.Write(audit.Record{
		Time: p.now(), Event: audit.Policy, Decision: audit.Allow, Policy: st.policy.Hash(),
		Generation: st.generation,
	})
	p.log.Info("policy in force", "generation", st.generation, "hash", st.policy.Hash(), "rows", st.policy.RowCount())
}

// resolvedRoles are the roles of a user in the policies of a state.
type resolvedRoles struct {
	roles       policy.Roles
	shadowRoles policy.Roles          // those of the shadow: a snapshot knows only its own
	userHeaders *upstream.UserHeaders // nil: for an unauthenticated client, which has none
}

func (st *state) resolve(ident policy.Identity) resolvedRoles {
	s := resolvedRoles{roles: st.policy.Resolve(ident)}
	if st.shadow != nil {
		s.shadowRoles = st.shadow.Resolve(ident)
	}
	return s
}

// resolveRoles resolves a session once as long as the policies and its groups stay.
func (st *state) resolveRoles(s *session.Session) resolvedRoles {
	return st.rolesCache.get(s.ID, s.FetchedAt.UnixNano(), func() resolvedRoles {
		ident := policy.Identity{Groups: s.Principal.Groups, Untrusted: s.Principal.Untrusted}
		if s.Principal.EmailVerified {
			ident.Email = s.Principal.Email
		}
		resolved := st.resolve(ident)
		resolved.userHeaders = upstream.NewUserHeaders(s.Principal, st.policy.MentionsGroup, st.upstreams)
		return resolved
	})
}

// maxCachedUsers bounds how many sessions are remembered. What was forgotten is resolved again.
const maxCachedUsers = 16_384

// rolesCache maps session ids to resolved roles. Ids come from encrypted cookies and verified
// tokens, so only signed-in users add to it. It is safe for concurrent use.
type rolesCache struct {
	entries *cache.Clock[string, userRoles]
}

// userRoles are the roles of a user by the groups that were read at a time.
type userRoles struct {
	resolvedRoles
	groupsReadAt int64 // Unix nanoseconds
}

func newRolesCache() *rolesCache {
	return &rolesCache{cache.NewClock[string, userRoles](4*maxCachedUsers, maxCachedUsers)}
}

func (m *rolesCache) get(id string, read int64, resolve func() resolvedRoles) resolvedRoles {
	if entry := m.entries.Get(id, id); entry != nil && entry.Value.groupsReadAt == read {
		return entry.Value.resolvedRoles
	}
	return m.entries.Put(id, id, userRoles{resolve(), read}, 1).Value.resolvedRoles
}

// policyStatus describes a loaded policy on the admin port.
type policyStatus struct {
	Hash        string             `json:"hash"`
	Generation  uint64             `json:"generation,omitempty"` // of the policy in force
	AgeSeconds  float64            `json:"age_seconds"`
	Demoted     bool               `json:"demoted"`           // casbin decides, because the index was wrong
	ReloadError *reloadErrorStatus `json:"refused,omitempty"` // the files have another policy
}

type reloadErrorStatus struct {
	Error string    `json:"error"` // of the last attempt
	Since time.Time `json:"since"` // the first attempt
}

func (e *loadedPolicy) status(now time.Time) *policyStatus {
	s := &policyStatus{
		Hash: e.Hash(), AgeSeconds: now.Sub(e.loadedAt).Round(time.Millisecond).Seconds(),
		Demoted: e.Demoted(),
	}
	if e.reloadError != nil {
		s.ReloadError = &reloadErrorStatus{e.reloadError.message, e.reloadError.since.UTC()}
	}
	return s
}

// PolicyStatus describes the policy in force and the shadow policy (nil: none), to be written
// as JSON.
func (p *Proxy) PolicyStatus() (inForce, shadow any) {
	st, now := p.state.Load(), p.now()
	current := st.policy.status(now)
	current.Generation = st.generation
	if st.shadow != nil {
		shadow = st.shadow.status(now)
	}
	return current, shadow
}

// PolicyInForce is a policy that requests are decided by, or a candidate that is only logged.
type PolicyInForce struct {
	*policy.Snapshot
	Generation uint64 // counts policies in force since the start; 0: a candidate
	LoadedAt   time.Time
}

// Policies gives the policy in force, and the candidate (nil: none).
func (p *Proxy) Policies() (current PolicyInForce, shadow *PolicyInForce) {
	st := p.state.Load()
	if st.shadow != nil {
		shadow = &PolicyInForce{Snapshot: st.shadow.Snapshot, LoadedAt: st.shadow.loadedAt}
	}
	return PolicyInForce{st.policy.Snapshot, st.generation, st.policy.loadedAt}, shadow
}

// Draining reports whether [Proxy.Drain] was called.
func (p *Proxy) Draining() bool { return p.draining.Load() }
