package proxy

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A stream is an answer that may outlast the decision behind it. Streams are
// kept in a registry while they are open, so that they can be judged again
// (reauthorize.go) and cut.
type stream struct {
	x    *exchange // who asked for what; nothing of it changes while the stream is open
	kind streamKind

	shard        int
	authorizedBy atomic.Pointer[state] // the last one that let it go on
	groupsReadAt atomic.Int64          // when the groups were read that it was judged by (Unix ns)
	blockedSince atomic.Int64          // when the write began that the client has not taken yet (Unix ns); 0: none is waiting

	now    func() time.Time
	cancel context.CancelCauseFunc // of the request to the upstream

	mu        sync.Mutex
	closed    bool   // its handler is done: nothing may touch the connection any more
	reason    string // why it was cut; empty: it was not
	interrupt func() // ends a write that the client does not take; called at most once
}

// streamKind says how long an answer may be open and how it can be ended.
type streamKind int

// The kinds of streams.
const (
	sized     streamKind = iota // has an end: watched only for a client that does not take it
	openEnded                   // of unknown length: most end soon, some are streams
	upload                      // a request's body that takes its time
	events                      // text/event-stream
	grpcCall
	webSocket
)

// longLived reports whether a stream is meant to stay open: these are counted and
// limited. The others are streams only as long as they happen to last.
func (k streamKind) longLived() bool { return k >= events }

// classifyResponse looks at a final response. small means that nothing of it needs to
// be watched: it fits into buffers.
func classifyResponse(res *http.Response) (kind streamKind, small bool) {
	const fitsBuffers = 64 << 10
	switch {
	case res.Body == http.NoBody || res.ContentLength >= 0 && res.ContentLength <= fitsBuffers && !mayHaveTrailers(res):
		return sized, true
	case isEventStream(res.Header.Get("Content-Type")):
		return events, false
	case res.ContentLength < 0:
		return openEnded, false
	default:
		return sized, false
	}
}

// mayHaveTrailers tells where a length does not say that nothing follows (RFC 9113, 8.1).
func mayHaveTrailers(res *http.Response) bool { return res.ProtoMajor == 2 }

func isEventStream(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}

// markWriting marks that a write to the client begins or has ended. It may be called
// on nil, for an answer that nobody watches.
func (s *stream) markWriting(started bool) {
	switch {
	case s == nil:
	case started:
		s.blockedSince.Store(s.now().UnixNano())
	default:
		s.blockedSince.Store(0)
	}
}

// cutReason says why the stream was cut; empty: it was not.
func (s *stream) cutReason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// setInterrupt changes how a stream's blocked write is ended, or reports that it
// has been cut already.
func (s *stream) setInterrupt(interrupt func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupt = interrupt
	return s.reason == ""
}

// streamOwner is whose streams are counted together: a principal, or what is known of
// nobody.
type streamOwner struct {
	issuer, subject string
	addr            netip.Addr
}

func (x *exchange) streamOwner() streamOwner {
	if x.signedIn() {
		return streamOwner{issuer: x.session.Principal.Issuer, subject: x.session.Principal.Subject}
	}
	return streamOwner{addr: x.client.Addr}
}

// streams are all that are open. It is safe for concurrent use. Every answer
// whose length is unknown comes by here, hence the shards.
type streams struct {
	shards [32]struct {
		mu   sync.Mutex
		open map[*stream]struct{}
		_    [40]byte // a cache line each
	}
	perOwner int                      // lasting streams that one holder may have; 0: any number
	count    map[string]*atomic.Int64 // :: upstream → lasting streams; the map never changes

	mu          sync.Mutex
	openByOwner map[streamOwner]int // lasting streams
}

func newStreams(upstreams []*upstream, perHolder int) *streams {
	s := &streams{perOwner: perHolder, count: make(map[string]*atomic.Int64), openByOwner: make(map[streamOwner]int)}
	for i := range s.shards {
		s.shards[i].open = make(map[*stream]struct{})
	}
	for _, u := range upstreams {
		s.count[u.name] = new(atomic.Int64)
	}
	return s
}

// trackStream enters the stream of an exchange. It reports false where its holder has
// as many as one may have.
func (p *Proxy) trackStream(x *exchange, kind streamKind, cancel context.CancelCauseFunc) bool {
	if kind.longLived() && !p.streams.acquire(x.streamOwner()) {
		return false
	}
	s := p.newStream(x, kind, cancel, func() {
		// A moment, so that a stream can end politely if its client takes it.
		_ = http.NewResponseController(x.w.ResponseWriter).SetWriteDeadline(time.Now().Add(closeTimeout))
	})
	x.stream, x.w.stream = s, s
	p.streams.register(s)
	return true
}

func (p *Proxy) newStream(x *exchange, kind streamKind, cancel context.CancelCauseFunc, interrupt func()) *stream {
	s := &stream{x: x, kind: kind, now: p.now, cancel: cancel, interrupt: interrupt, shard: rand.IntN(len(p.streams.shards))}
	s.authorizedBy.Store(x.state)
	s.groupsReadAt.Store(x.session.FetchedAt.UnixNano())
	return s
}

// untrackStream takes the stream of an exchange out again, if it has one. After it
// nothing but the handler touches the connection.
func (p *Proxy) untrackStream(x *exchange) {
	if x.stream != nil {
		p.untrack(x.stream)
	}
}

func (p *Proxy) untrack(s *stream) {
	s.mu.Lock()
	s.closed = true
	if s.reason != "" {
		s.x.reason = s.reason
	}
	s.mu.Unlock()
	p.streams.unregister(s)
}

func (r *streams) acquire(h streamOwner) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perOwner > 0 && r.openByOwner[h] >= r.perOwner {
		return false
	}
	r.openByOwner[h]++
	return true
}

func (r *streams) register(s *stream) {
	if s.kind.longLived() {
		r.count[s.x.route.name].Add(1)
	}
	shard := &r.shards[s.shard]
	shard.mu.Lock()
	shard.open[s] = struct{}{}
	shard.mu.Unlock()
}

func (r *streams) unregister(s *stream) {
	shard := &r.shards[s.shard]
	shard.mu.Lock()
	delete(shard.open, s)
	shard.mu.Unlock()
	if !s.kind.longLived() {
		return
	}
	r.count[s.x.route.name].Add(-1)
	h := s.x.streamOwner()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.openByOwner[h]--; r.openByOwner[h] == 0 {
		delete(r.openByOwner, h)
	}
}

// appendOpen appends all that are open: they are looked at without any lock.
func (r *streams) appendOpen(to []*stream) []*stream {
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.Lock()
		for s := range shard.open {
			to = append(to, s)
		}
		shard.mu.Unlock()
	}
	return to
}
