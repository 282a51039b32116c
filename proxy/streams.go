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
// (streams_review.go) and cut.
type stream struct {
	x    *exchange // who asked for what; nothing of it changes while the stream is open
	kind streamKind

	shard  int
	judged atomic.Pointer[state] // the last one that let it go on
	read   atomic.Int64          // when the groups were read that it was judged by (Unix ns)
	since  atomic.Int64          // when the write began that the client has not taken yet (Unix ns); 0: none is waiting

	now    func() time.Time
	cancel context.CancelCauseFunc // of the request to the upstream

	mu        sync.Mutex
	over      bool   // its handler is done: nothing may touch the connection any more
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

// lasting reports whether a stream is meant to stay open: these are counted and
// limited. The others are streams only as long as they happen to last.
func (k streamKind) lasting() bool { return k >= events }

// kindOfAnswer looks at a final response. small means that nothing of it needs to
// be watched: it fits into buffers.
func kindOfAnswer(res *http.Response) (kind streamKind, small bool) {
	const fitsBuffers = 64 << 10
	switch {
	case res.Body == http.NoBody || res.ContentLength >= 0 && res.ContentLength <= fitsBuffers && !mayHaveTrailers(res):
		return sized, true
	case isEvents(res.Header.Get("Content-Type")):
		return events, false
	case res.ContentLength < 0:
		return openEnded, false
	default:
		return sized, false
	}
}

// mayHaveTrailers tells where a length does not say that nothing follows (RFC 9113, 8.1).
func mayHaveTrailers(res *http.Response) bool { return res.ProtoMajor == 2 }

func isEvents(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}

// writes marks that a write to the client begins or has ended. It may be called
// on nil, for an answer that nobody watches.
func (s *stream) writes(begins bool) {
	switch {
	case s == nil:
	case begins:
		s.since.Store(s.now().UnixNano())
	default:
		s.since.Store(0)
	}
}

// wasCut says why the stream was cut; empty: it was not.
func (s *stream) wasCut() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// interruptedBy changes how a stream's blocked write is ended, or reports that it
// has been cut already.
func (s *stream) interruptedBy(interrupt func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupt = interrupt
	return s.reason == ""
}

// holder is whose streams are counted together: a principal, or what is known of
// nobody.
type holder struct {
	issuer, subject string
	addr            netip.Addr
}

func (x *exchange) holder() holder {
	if x.signedIn() {
		return holder{issuer: x.session.Principal.Issuer, subject: x.session.Principal.Subject}
	}
	return holder{addr: x.client.addr}
}

// streams are all that are open. It is safe for concurrent use. Every answer
// whose length is unknown comes by here, hence the shards.
type streams struct {
	shards [32]struct {
		mu   sync.Mutex
		open map[*stream]struct{}
		_    [40]byte // a cache line each
	}
	perHolder int                      // lasting streams that one holder may have; 0: any number
	count     map[string]*atomic.Int64 // :: upstream → lasting streams; the map never changes

	mu   sync.Mutex
	held map[holder]int // lasting streams
}

func newStreams(upstreams []*upstream, perHolder int) *streams {
	s := &streams{perHolder: perHolder, count: make(map[string]*atomic.Int64), held: make(map[holder]int)}
	for i := range s.shards {
		s.shards[i].open = make(map[*stream]struct{})
	}
	for _, u := range upstreams {
		s.count[u.name] = new(atomic.Int64)
	}
	return s
}

// watch enters the stream of an exchange. It reports false where its holder has
// as many as one may have.
func (p *Proxy) watch(x *exchange, kind streamKind, cancel context.CancelCauseFunc) bool {
	if kind.lasting() && !p.streams.admit(x.holder()) {
		return false
	}
	s := p.newStream(x, kind, cancel, func() {
		// A moment, so that a stream can end politely if its client takes it.
		_ = http.NewResponseController(x.w.ResponseWriter).SetWriteDeadline(time.Now().Add(politeEnd))
	})
	x.stream, x.w.stream = s, s
	p.streams.enter(s)
	return true
}

func (p *Proxy) newStream(x *exchange, kind streamKind, cancel context.CancelCauseFunc, interrupt func()) *stream {
	s := &stream{x: x, kind: kind, now: p.now, cancel: cancel, interrupt: interrupt, shard: rand.IntN(len(p.streams.shards))}
	s.judged.Store(x.state)
	s.read.Store(x.session.Read.UnixNano())
	return s
}

// unwatch takes the stream of an exchange out again, if it has one. After it
// nothing but the handler touches the connection.
func (p *Proxy) unwatch(x *exchange) {
	if x.stream != nil {
		p.unwatchStream(x.stream)
	}
}

func (p *Proxy) unwatchStream(s *stream) {
	s.mu.Lock()
	s.over = true
	if s.reason != "" {
		s.x.reason = s.reason
	}
	s.mu.Unlock()
	p.streams.leave(s)
}

func (r *streams) admit(h holder) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perHolder > 0 && r.held[h] >= r.perHolder {
		return false
	}
	r.held[h]++
	return true
}

func (r *streams) enter(s *stream) {
	if s.kind.lasting() {
		r.count[s.x.route.name].Add(1)
	}
	shard := &r.shards[s.shard]
	shard.mu.Lock()
	shard.open[s] = struct{}{}
	shard.mu.Unlock()
}

func (r *streams) leave(s *stream) {
	shard := &r.shards[s.shard]
	shard.mu.Lock()
	delete(shard.open, s)
	shard.mu.Unlock()
	if !s.kind.lasting() {
		return
	}
	r.count[s.x.route.name].Add(-1)
	h := s.x.holder()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[h]--; r.held[h] == 0 {
		delete(r.held, h)
	}
}

// list appends all that are open: they are looked at without any lock.
func (r *streams) list(to []*stream) []*stream {
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
