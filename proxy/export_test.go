package proxy

import (
	"context"
	"net/http"

	"github.com/example-org/authgate/policy"
)

// Deciding takes a request as far as step 4 and gives that step alone.
func (p *Proxy) Deciding(w http.ResponseWriter, r *http.Request) (decide func() (allowed bool), ok bool) {
	x := p.begin(w, r)
	if !p.canonicalise(x) || !p.findHost(x) || !p.findUpstream(x) || !p.identify(x) {
		return nil, false
	}
	return func() bool { return p.decide(x) }, true
}

// Untaken counts the writes that wait for a client.
func (p *Proxy) Untaken() (n int) {
	for _, s := range p.streams.list(nil) {
		if s.since.Load() != 0 {
			n++
		}
	}
	return n
}

// Uploads counts those that are watched.
func (p *Proxy) Uploads() (n int) {
	for _, s := range p.streams.list(nil) {
		if s.kind == upload {
			n++
		}
	}
	return n
}

// ConfirmBy has somebody else than casbin confirm decisions.
func (p *Proxy) ConfirmBy(c func(*policy.Snapshot, context.Context, func(policy.Disagreement))) {
	p.confirming = c
}

// Alarm keeps a log from being flooded.
type Alarm = alarm

// Ring rings it.
var Ring = (*alarm).ring

// DropBelieved takes from a header what only a proxy may say.
var DropBelieved = dropBelieved

// SpendBy has something else remember which states were used.
func SpendBy(p *Proxy, s spender) { p.spent = s }
