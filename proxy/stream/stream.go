// Package stream keeps the streams that are open: responses and request bodies that may outlast
// the decision that allowed them. It has them reauthorized, and cuts those that must end.
package stream

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/example-org/authgate/audit"
)

// Opener is the request that opened a stream. Nothing that it returns from Info changes while
// the stream is open.
type Opener interface {
	Info() Info

	// Reauthorize decides the request again, under the current policy and with the current
	// groups of its session. It returns nil if the stream may continue, and else the audit
	// record of the cut.
	Reauthorize() *audit.Record

	// CutRecord is the audit record of a cut for another reason than the decision.
	CutRecord(reason string) *audit.Record
}

// Info is what the registry reads of a request.
type Info struct {
	Upstream  string
	StartedAt time.Time
	Addr      netip.Addr // of the client
	Owner     Owner
	Session   Session // with which the stream ends; zero: none

	Email, Method, Path string // for operators
}

// Owner is whose streams are counted together: a principal, or the address of an
// unauthenticated client.
type Owner struct {
	Issuer, Subject string
	Addr            netip.Addr
}

// Session identifies the session of a stream.
type Session struct {
	ID              string
	Issuer, Subject string
	IssuerSession   string // sid of the ID token; empty: the issuer sent none
}

// Kind says how long a stream may be open and how it can be ended.
type Kind int

// The kinds of streams.
const (
	Sized     Kind = iota // has an end: watched only for a client that does not read it
	OpenEnded             // of unknown length: most end soon, some are streams
	Upload                // a request's body that takes its time
	Events                // text/event-stream
	GRPC
	WebSocket
)

// String gives the word that operators read.
func (k Kind) String() string {
	words := [...]string{"response", "response", "upload", "event stream", "gRPC", "WebSocket"}
	return words[min(max(k, 0), WebSocket)]
}

// longLived reports whether streams of a kind are meant to stay open. These are counted and
// limited. The others are streams only while they last.
func (k Kind) longLived() bool { return k >= Events }

// Why streams are cut.
const (
	Denied    = "denied"     // the current policy does not allow it
	Expired   = "expired"    // its session has expired
	Stale     = "stale"      // its groups are too old, or its session store is unavailable
	SignedOut = "signed_out" // its session was ended
	Shutdown  = "shutdown"
	Stalled   = "stalled" // its client does not read
)

// Reasons are all of them.
var Reasons = []string{Denied, Expired, Stale, SignedOut, Shutdown, Stalled}

// CutError is the cause of a cancelled request to an upstream.
type CutError struct{ Reason string }

func (e *CutError) Error() string { return "the stream was cut: " + e.Reason }

// CloseTimeout is how long a stream that was cut may take to send its end to a client that may
// not read it.
const CloseTimeout = time.Second

// Stream is an open stream.
type Stream struct {
	opener Opener
	kind   Kind

	shard        int
	blockedSince atomic.Int64 // when the write began that the client has not read yet (Unix ns); 0: none is waiting

	now    func() time.Time
	cancel context.CancelCauseFunc // of the request to the upstream

	mu        sync.Mutex
	closed    bool   // its handler has returned: nothing may touch the connection any more
	reason    string // why it was cut; empty: it was not
	interrupt func() // ends a write that the client does not read; called at most once
}

// Kind says what kind of stream it is.
func (s *Stream) Kind() Kind { return s.kind }

// LongLived reports whether the stream is meant to stay open. It is false for nil.
func (s *Stream) LongLived() bool { return s != nil && s.kind.longLived() }

// Blocked reports whether a write waits for the client.
func (s *Stream) Blocked() bool { return s.blockedSince.Load() != 0 }

// MarkWriting records that a write to the client begins or has ended. The nil Stream, of a
// response that is not watched, ignores it.
func (s *Stream) MarkWriting(started bool) {
	switch {
	case s == nil:
	case started:
		s.blockedSince.Store(s.now().UnixNano())
	default:
		s.blockedSince.Store(0)
	}
}

// CutReason says why the stream was cut; empty: it was not.
func (s *Stream) CutReason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// SetInterrupt changes how a blocked write of the stream is ended. It reports false if the
// stream has already been cut.
func (s *Stream) SetInterrupt(interrupt func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupt = interrupt
	return s.reason == ""
}

// cut ends a stream, once, and records why.
func (s *Stream) cut(record *audit.Record, report func(*audit.Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.reason != "" {
		return
	}
	s.reason = record.Reason
	report(record)
	s.cancel(&CutError{record.Reason})
	s.interrupt()
}
