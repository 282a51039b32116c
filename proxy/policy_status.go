package proxy

import "time"

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
	s := &policyStatus{Hash: e.Hash(), AgeSeconds: now.Sub(e.loadedAt).Round(time.Millisecond).Seconds(), Demoted: e.Demoted()}
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

// Draining reports whether [Proxy.Drain] was called.
func (p *Proxy) Draining() bool { return p.draining.Load() }
