package proxy

import "time"

// PingEvery makes HTTP/2 transports check sooner whether upstreams still respond. Call it before
// the first request.
func (p *Proxy) PingEvery(every, timeout time.Duration) {
	for _, u := range p.upstreams {
		for _, t := range u.Transports().Standard() {
			if t.HTTP2 != nil {
				t.HTTP2.SendPingTimeout, t.HTTP2.PingTimeout = every, timeout
			}
		}
	}
}
