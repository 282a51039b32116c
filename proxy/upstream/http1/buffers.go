package http1

import "sync"

const (
	readBufferSize   = 4 << 10
	headBufferSize   = 4 << 10
	maxReplayBytes   = 64 << 10 // of a request's body, which are kept to be sent again
	uploadBufferSize = maxReplayBytes + 1<<10
	longBufferSize   = 256 << 10 // fewer system calls for a body
	longBody         = 1 << 20   // that is long
)

// The pools lend buffers to exchanges, so that an idle connection has none.
var (
	readBuffers   = sync.Pool{New: func() any { return new([readBufferSize]byte) }}
	headBuffers   = sync.Pool{New: func() any { b := make([]byte, 0, headBufferSize); return &b }}
	uploadBuffers = sync.Pool{New: func() any { return new([uploadBufferSize]byte) }}
	longBuffers   = sync.Pool{New: func() any { return new([longBufferSize]byte) }}
)

func getReadBuffer() []byte { return readBuffers.Get().(*[readBufferSize]byte)[:] }

// putReadBuffer returns nil. A buffer that has grown is not kept.
func putReadBuffer(b []byte) []byte {
	if len(b) == readBufferSize {
		readBuffers.Put((*[readBufferSize]byte)(b))
	}
	return nil
}

func getUploadBuffer() []byte { return uploadBuffers.Get().(*[uploadBufferSize]byte)[:] }
func getLongBuffer() []byte   { return longBuffers.Get().(*[longBufferSize]byte)[:] }

func putUploadBuffer(b []byte) {
	if len(b) == longBufferSize {
		longBuffers.Put((*[longBufferSize]byte)(b))
		return
	}
	uploadBuffers.Put((*[uploadBufferSize]byte)(b))
}

func (x *exchange) freeHead() {
	if x.head != nil {
		if cap(*x.head) <= 4*headBufferSize {
			headBuffers.Put(x.head)
		}
		x.head = nil
	}
}
