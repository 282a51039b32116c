package stream

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

const (
	reviewEvery  = time.Second
	stallTimeout = 60 * time.Second // such a client is gone, or wants the memory; package listen waits longer
)

// Review reviews every open stream when a new policy is published, and every second, because
// sessions end. Streams that are no longer allowed are cut; nothing else is disturbed. It
// returns when ctx is done.
//
// changed gives a channel that closes when the next policy is published.
func (r *Registry) Review(ctx context.Context, changed func() <-chan struct{}) {
	tick := time.NewTicker(reviewEvery)
	defer tick.Stop()
	var open []*Stream
	for {
		open = r.AppendOpen(open[:0])
		next := changed() // after the list: a stream of the previous policy must not miss this one
		for _, s := range open {
			r.review(s)
		}
		r.cutStalled(open)
		clear(open) // or they would not be freed
		select {
		case <-ctx.Done():
			return
		case <-next:
		case <-tick.C:
		}
	}
}

// Reauthorize reviews one stream now. It returns a [*CutError] if the stream was cut.
func (r *Registry) Reauthorize(s *Stream) error {
	r.review(s)
	if reason := s.CutReason(); reason != "" {
		return &CutError{reason}
	}
	return nil
}

// review cuts a stream whose client does not read, or whose request would be refused now.
func (r *Registry) review(s *Stream) {
	if since := s.blockedSince.Load(); since != 0 && r.Now().Sub(time.Unix(0, since)) > stallTimeout {
		s.cut(s.opener.CutRecord(Stalled), r.Report)
		return
	}
	if s.kind == Sized {
		return
	}
	if record := s.opener.Reauthorize(); record != nil {
		s.cut(record, r.Report)
	}
}

// Limits of the responses that the clients of one address do not read. Many clients may share
// an address; it is rare that this many of them stop reading at the same time.
const (
	stallSuspectAfter = 10 * time.Second
	maxStalled        = 100
)

// cutStalled cuts the oldest stalled streams of an address that has too many, before
// stallTimeout: each uses memory, and HTTP/2 makes it cheap to have many.
func (r *Registry) cutStalled(open []*Stream) {
	var stalled map[netip.Addr][]*Stream
	before := r.Now().Add(-stallSuspectAfter).UnixNano()
	for _, s := range open {
		if since := s.blockedSince.Load(); since != 0 && since < before {
			if stalled == nil {
				stalled = make(map[netip.Addr][]*Stream)
			}
			addr := s.opener.Info().Addr
			stalled[addr] = append(stalled[addr], s)
		}
	}
	for _, all := range stalled {
		slices.SortFunc(all, func(a, b *Stream) int {
			return a.opener.Info().StartedAt.Compare(b.opener.Info().StartedAt)
		})
		for _, s := range all[:max(0, len(all)-maxStalled)] {
			s.cut(s.opener.CutRecord(Stalled), r.Report)
		}
	}
}

// CutSessions cuts the streams of sessions that have ended.
func (r *Registry) CutSessions(ended func(Session) bool) {
	for _, s := range r.AppendOpen(nil) {
		if s.kind == Sized {
			continue
		}
		if of := s.opener.Info().Session; of.ID != "" && ended(of) {
			s.cut(s.opener.CutRecord(SignedOut), r.Report)
		}
	}
}

// CutAll ends all streams for a shutdown, spread over a period, so that their clients do not
// reconnect all at once. Responses that are not streams by nature may use the whole period to
// end by themselves. It returns when none is left, or ctx is done.
func (r *Registry) CutAll(ctx context.Context, period time.Duration) {
	start := time.Now()
	due := make(map[*Stream]time.Duration) // after start
	tick := time.NewTicker(max(min(period/100, 100*time.Millisecond), time.Millisecond))
	defer tick.Stop()
	for {
		now, left := time.Since(start), 0
		for _, s := range r.AppendOpen(nil) {
			if s.kind == Sized || s.kind == Upload {
				continue // it has an end
			}
			left++
			at, known := due[s]
			if !known {
				if at = period; period > 0 && (s.kind == Events || s.kind == WebSocket) {
					at = rand.N(period)
				}
				due[s] = at
			}
			if now >= at {
				s.cut(s.opener.CutRecord(Shutdown), r.Report)
			}
		}
		if left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
