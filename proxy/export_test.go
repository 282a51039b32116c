package proxy

import (
	"context"
	"net/http"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy/stream"
)

// Deciding takes a request as far as step 4 and gives that step alone.
func (p *Proxy) Deciding(w http.ResponseWriter, r *http.Request) (decide func() (allowed bool), ok bool) {
	x := p.begin(w, r)
	at, f := p.canonicalise(x)
	if f != nil {
		return nil, false
	}
	to, f := p.findHost(at)
	if f != nil || p.findUpstream(to) != nil {
		return nil, false
	}
	c, f := p.authenticate(to)
	if f != nil {
		return nil, false
	}
	return func() bool {
		_, f := p.decide(c)
		return f == nil
	}, true
}

// Stalled counts the writes that wait for a client.
func (p *Proxy) Stalled() (n int) {
	for _, s := range p.streams.AppendOpen(nil) {
		if s.Blocked() {
			n++
		}
	}
	return n
}

// Uploads counts those that are watched.
func (p *Proxy) Uploads() (n int) {
	for _, s := range p.streams.AppendOpen(nil) {
		if s.Kind() == stream.Upload {
			n++
		}
	}
	return n
}

// SetCrossCheck has another engine than casbin confirm decisions.
func (p *Proxy) SetCrossCheck(c func(*policy.Snapshot, context.Context, func(policy.Disagreement))) {
	p.crossCheck = c
}

// LogLimiter keeps a log from being flooded.
type LogLimiter = logLimiter

// AllowLog rings it.
var AllowLog = (*logLimiter).allow
