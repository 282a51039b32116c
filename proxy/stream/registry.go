package stream

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/audit"
)

// Options configure a Registry.
type Options struct {
	Upstreams []string
	PerOwner  int // long-lived streams that one owner may have; 0: any number
	Now       func() time.Time

	// Report takes the audit record of each cut. The record of the request itself follows when
	// its handler has returned.
	Report func(*audit.Record)
}

// Registry has all open streams. It is safe for concurrent use. Every response of unknown
// length is registered, hence the shards.
type Registry struct {
	Options
	shards [32]struct {
		mu   sync.Mutex
		open map[*Stream]struct{}
		_    [40]byte // a cache line each
	}
	count map[string]*atomic.Int64 // :: upstream → long-lived streams; the map never changes

	mu          sync.Mutex
	openByOwner map[Owner]int // long-lived streams
}

// NewRegistry returns an empty one.
func NewRegistry(o Options) *Registry {
	r := &Registry{Options: o, count: make(map[string]*atomic.Int64), openByOwner: make(map[Owner]int)}
	for i := range r.shards {
		r.shards[i].open = make(map[*Stream]struct{})
	}
	for _, name := range o.Upstreams {
		r.count[name] = new(atomic.Int64)
	}
	return r
}

// LongLived counts the long-lived streams of an upstream.
func (r *Registry) LongLived(upstream string) int64 { return r.count[upstream].Load() }

// Open registers a stream. It returns nil if the owner has as many as one owner may have.
// cancel ends the request to the upstream; interrupt ends a blocked write to the client.
func (r *Registry) Open(by Opener, kind Kind, cancel context.CancelCauseFunc, interrupt func()) *Stream {
	if kind.longLived() {
		info := by.Info()
		if !r.acquire(info.Owner) {
			return nil
		}
		r.count[info.Upstream].Add(1)
	}
	s := &Stream{opener: by, kind: kind, now: r.Now, cancel: cancel, interrupt: interrupt, shard: rand.IntN(len(r.shards))}
	shard := &r.shards[s.shard]
	shard.mu.Lock()
	shard.open[s] = struct{}{}
	shard.mu.Unlock()
	return s
}

// Close removes a stream, and gives the reason why it was cut, if it was. After that only the
// handler touches the connection. It ignores nil.
func (r *Registry) Close(s *Stream) (cutReason string) {
	if s == nil {
		return ""
	}
	s.mu.Lock()
	s.closed = true
	cutReason = s.reason
	s.mu.Unlock()

	shard := &r.shards[s.shard]
	shard.mu.Lock()
	delete(shard.open, s)
	shard.mu.Unlock()
	if s.kind.longLived() {
		info := s.opener.Info()
		r.count[info.Upstream].Add(-1)
		r.release(info.Owner)
	}
	return cutReason
}

func (r *Registry) acquire(o Owner) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.PerOwner > 0 && r.openByOwner[o] >= r.PerOwner {
		return false
	}
	r.openByOwner[o]++
	return true
}

func (r *Registry) release(o Owner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.openByOwner[o]--; r.openByOwner[o] == 0 {
		delete(r.openByOwner, o)
	}
}

// Listed is an open long-lived stream, for operators.
type Listed struct {
	Info
	Kind Kind
}

// List gives the open long-lived streams, the oldest first.
func (r *Registry) List() []Listed {
	var listed []Listed
	for _, s := range r.AppendOpen(nil) {
		if s.kind.longLived() {
			listed = append(listed, Listed{s.opener.Info(), s.kind})
		}
	}
	slices.SortFunc(listed, func(a, b Listed) int { return a.StartedAt.Compare(b.StartedAt) })
	return listed
}

// AppendOpen appends the open streams. They are examined without any lock.
func (r *Registry) AppendOpen(to []*Stream) []*Stream {
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
