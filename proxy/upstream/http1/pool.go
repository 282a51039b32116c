package http1

import (
	"slices"
	"sync"
	"time"
)

// pool keeps idle connections. No goroutine waits on them: a timer looks at them while there are
// any, and each is checked before it is used.
type pool struct {
	mu        sync.Mutex
	idle      map[hostKey][]*conn // the last was used last
	waiting   map[hostKey][]chan *conn
	closeIdle bool        // since the last request
	timer     *time.Timer // nil: there are no idle connections
}

// maxSweepInterval is how long a connection may remain that the server has closed.
const maxSweepInterval = time.Second

// get removes the connection that was used last, and closes those that cannot be used. It
// returns nil if there is none.
func (p *pool) get(key hostKey, timeout time.Duration) *conn {
	for {
		p.mu.Lock()
		p.closeIdle = false
		idle := p.idle[key]
		if len(idle) == 0 {
			p.mu.Unlock()
			return nil
		}
		c := idle[len(idle)-1]
		idle[len(idle)-1] = nil
		p.idle[key] = idle[:len(idle)-1]
		p.mu.Unlock()
		if !c.hasExpired(timeout) && !c.isStale() {
			return c
		}
		_ = c.Close()
	}
}

// await gives a channel that gets the next connection that becomes idle, at most one.
func (p *pool) await(key hostKey) chan *conn {
	w := make(chan *conn, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = make(map[hostKey][]chan *conn)
	}
	p.waiting[key] = append(p.waiting[key], w)
	return w
}

// leave ends await. It returns a connection that has come meanwhile, or nil.
func (p *pool) leave(key hostKey, w chan *conn) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := p.waiting[key]
	if i := slices.Index(waiting, w); i >= 0 {
		if p.waiting[key] = slices.Delete(waiting, i, i+1); len(p.waiting[key]) == 0 {
			delete(p.waiting, key)
		}
		return nil
	}
	select {
	case c := <-w:
		return c
	default:
		return nil
	}
}

func (c *conn) hasExpired(timeout time.Duration) bool {
	return timeout > 0 && time.Since(c.idleSince) >= timeout
}

// put gives a connection to a request that waits, or keeps it for the next one. It reports false
// if there are enough.
func (p *pool) put(c *conn, most int, timeout time.Duration) bool {
	c.idleSince = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if waiting := p.waiting[c.key]; len(waiting) > 0 {
		waiting[0] <- c
		if p.waiting[c.key] = slices.Delete(waiting, 0, 1); len(p.waiting[c.key]) == 0 {
			delete(p.waiting, c.key)
		}
		return true
	}
	idle := p.idle[c.key]
	if p.closeIdle || len(idle) >= most {
		return false
	}
	if p.idle == nil {
		p.idle = make(map[hostKey][]*conn)
	}
	p.idle[c.key] = append(idle, c)
	if p.timer == nil {
		interval := maxSweepInterval
		if timeout > 0 {
			interval = min(interval, max(timeout/4, time.Millisecond))
		}
		p.timer = time.AfterFunc(interval, func() { p.sweep(interval, timeout) })
	}
	return true
}

// sweep closes the connections that have been idle for too long, or that the server has closed.
func (p *pool) sweep(interval, timeout time.Duration) {
	var unusable []*conn
	p.mu.Lock()
	for key, idle := range p.idle {
		kept := idle[:0]
		for _, c := range idle {
			if c.hasExpired(timeout) || c.isStale() {
				unusable = append(unusable, c)
			} else {
				kept = append(kept, c)
			}
		}
		clear(idle[len(kept):])
		if p.idle[key] = kept; len(kept) == 0 {
			delete(p.idle, key)
		}
	}
	if len(p.idle) > 0 {
		p.timer.Reset(interval)
	} else {
		p.timer = nil
	}
	p.mu.Unlock()
	closeConns(unusable)
}

// drop closes the idle connections to a host.
func (p *pool) drop(key hostKey) {
	p.mu.Lock()
	idle := p.idle[key]
	delete(p.idle, key)
	p.mu.Unlock()
	closeConns(idle)
}

// closeAll closes all idle connections, and those that become idle before the next request.
func (p *pool) closeAll() {
	p.mu.Lock()
	all := p.idle
	p.idle, p.closeIdle = nil, true
	if p.timer != nil && p.timer.Stop() {
		p.timer = nil
	}
	p.mu.Unlock()
	for _, idle := range all {
		closeConns(idle)
	}
}

func closeConns(all []*conn) {
	for _, c := range all {
		_ = c.Close()
	}
}
