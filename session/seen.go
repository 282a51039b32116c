package session

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
	"unsafe"
)

// What a process remembers of cookies: about 4,000 people with 20 groups. Beyond
// it sessions are opened anew, which costs some 30 µs.
const (
	seenSlots = 8192
	seenWays  = 4        // places where one cookie may stand
	seenBytes = 16 << 20 // a quarter of the memory that a small pod has
)

// seen remembers the sessions of cookies that were authentic, so that a browser's
// hundredth request costs no cryptography. Only what opened gets in: whoever is
// not signed in cannot grow it or push others out.
//
// It is for the keys of one moment: when they change, all that they opened goes
// with it. Reads take no lock and wait for nobody.
type seen struct {
	keys  *Keys
	seed  maphash.Seed // of this process: nobody can aim at a slot
	slots [seenSlots]atomic.Pointer[opened]
	bytes atomic.Int64
	hand  atomic.Uint64 // where the next slot is freed
}

// opened is what one browser's cookies held. The whole of them is compared: a hash
// alone would let one person be taken for another.
type opened struct {
	hash    uint64
	name    string
	pieces  pieces
	session Session
	life    atomic.Pointer[life]
	size    int64
	used    atomic.Bool // since the hand came by
}

func newSeen(keys *Keys) *seen { return &seen{keys: keys, seed: maphash.MakeSeed()} }

// hash is of the beginning, which holds a random nonce: no two cookies share it
// but by design, and then only one of them can have opened.
func (s *seen) hash(p *pieces) uint64 {
	const begins = 64
	return maphash.String(s.seed, p[0][:min(len(p[0]), begins)])
}

// find gives what cookies opened as before; nil: not remembered. The hash is
// looked at first, so that the time of a miss tells those who do not know the
// nonce nothing of a value that would have opened.
func (s *seen) find(name string, p *pieces) *opened {
	hash := s.hash(p)
	set := s.set(hash)
	for i := range set {
		if o := set[i].Load(); o != nil && o.hash == hash && o.pieces == *p && o.name == name {
			if !o.used.Load() {
				o.used.Store(true)
			}
			return o
		}
	}
	return nil
}

// remember keeps what cookies opened as. The strings are copied: they are parts of
// a request's whole header.
func (s *seen) remember(name string, p *pieces, session Session, l *life) *opened {
	o := &opened{hash: s.hash(p), name: strings.Clone(name), session: session}
	for i := range p {
		o.pieces[i] = strings.Clone(p[i])
	}
	o.life.Store(l)
	o.size = o.weigh()
	s.count(o, s.place(s.set(o.hash)).Swap(o))
	for range seenSlots {
		if s.bytes.Load() <= seenBytes {
			break
		}
		s.free(&s.slots[s.hand.Add(1)%seenSlots])
	}
	return o
}

func (s *seen) set(hash uint64) []atomic.Pointer[opened] {
	at := hash % (seenSlots / seenWays) * seenWays
	return s.slots[at : at+seenWays]
}

// place is a slot to write to: an empty one, or one that was not used since the
// last look, or the first.
func (s *seen) place(set []atomic.Pointer[opened]) *atomic.Pointer[opened] {
	for i := range set {
		if set[i].Load() == nil {
			return &set[i]
		}
	}
	for i := range set {
		if o := set[i].Load(); o == nil || !o.used.Swap(false) {
			return &set[i]
		}
	}
	return &set[0]
}

// free empties a slot that was not used since the hand came by the last time.
func (s *seen) free(slot *atomic.Pointer[opened]) {
	if o := slot.Load(); o != nil && !o.used.Swap(false) {
		s.forget(slot, o)
	}
}

// drop forgets a session, because it is over.
func (s *seen) drop(o *opened) {
	set := s.set(o.hash)
	for i := range set {
		s.forget(&set[i], o)
	}
}

func (s *seen) forget(slot *atomic.Pointer[opened], o *opened) {
	if slot.CompareAndSwap(o, nil) {
		s.count(nil, o)
	}
}

func (s *seen) count(in, out *opened) {
	if in != nil {
		s.bytes.Add(in.size)
	}
	if out != nil {
		s.bytes.Add(-out.size)
	}
}

func (o *opened) weigh() int64 {
	size := int(unsafe.Sizeof(*o)-unsafe.Sizeof(o.session)) + len(o.name)
	for _, piece := range o.pieces {
		size += len(piece)
	}
	return int64(size) + weigh(&o.session)
}

// weigh is about how much memory a session holds.
func weigh(s *Session) int64 {
	const slot = 16 // what the allocator rounds a string up by, about
	p := &s.Principal
	size := int(unsafe.Sizeof(*s)) + len(s.ID) + len(s.Refresh) + len(s.IDToken) + len(s.Access) + len(s.Session) +
		len(p.Issuer) + len(p.Subject) + len(p.Email) + len(p.Name) + len(p.Username)
	for _, group := range p.Groups {
		size += int(unsafe.Sizeof(group)) + len(group) + slot
	}
	return int64(size)
}
