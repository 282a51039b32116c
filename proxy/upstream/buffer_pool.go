package upstream

import (
	"net/http"
	"sync"
)

// bufferPool lends the copy buffers of responses, which are otherwise most of what a forwarded
// request allocates. It is safe for concurrent use.
type bufferPool struct{ small, large sync.Pool }

const (
	smallBuffer = 32 << 10
	largeBuffer = 256 << 10 // fewer system calls
	largeBody   = 1 << 20   // of unknown length, that is worth a large buffer
)

// get lends a buffer for a body; -1: its length is unknown.
func (p *bufferPool) get(length int64) []byte {
	if length > smallBuffer {
		return p.getLarge()
	}
	if buffer, ok := p.small.Get().(*[smallBuffer]byte); ok {
		return buffer[:]
	}
	return make([]byte, smallBuffer)
}

func (p *bufferPool) getLarge() []byte {
	if buffer, ok := p.large.Get().(*[largeBuffer]byte); ok {
		return buffer[:]
	}
	return make([]byte, largeBuffer)
}

func (p *bufferPool) put(buffer []byte) {
	if len(buffer) == largeBuffer {
		p.large.Put((*[largeBuffer]byte)(buffer))
		return
	}
	p.small.Put((*[smallBuffer]byte)(buffer))
}

// headerPool lends the headers of requests to upstreams, which are otherwise a quarter of what a
// forwarded request allocates. It is safe for concurrent use.
type headerPool struct{ pool sync.Pool }

const (
	usualHeaders = 34 // of a browser, with those of load balancers and authgate
	maxHeaders   = 64 // a larger map is not kept
)

func (p *headerPool) get() http.Header {
	if h, ok := p.pool.Get().(http.Header); ok {
		return h
	}
	return make(http.Header, usualHeaders)
}

// put takes a header back that nothing refers to any more.
func (p *headerPool) put(h http.Header) {
	if len(h) <= maxHeaders {
		clear(h)
		p.pool.Put(h)
	}
}
