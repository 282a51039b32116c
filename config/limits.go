package config

// Timeouts bound what a slow or absent peer can hold.
type Timeouts struct {
	ReadHeader     Duration `yaml:"readHeader"`
	Idle           Duration `yaml:"idle"`
	UpstreamDial   Duration `yaml:"upstreamDial"`
	UpstreamHeader Duration `yaml:"upstreamHeader"`
	Body           Duration `yaml:"body"` // without a byte of a request's body
	ShutdownDelay  Duration `yaml:"shutdownDelay"`
	Shutdown       Duration `yaml:"shutdown"`
}

func (t Timeouts) check(at node) {
	t.ReadHeader.checkPositive(at.key("readHeader"))
	if t.Idle <= 0 {
		// net/http reads 0 as never: an HTTP/2 client that says nothing after its
		// preface would then stay for ever.
		at.key("idle").addFault("must be longer than nothing: without it a silent connection is never closed",
			"write 75s, or more than the idle timeout of the load balancer in front")
	}
	t.UpstreamDial.checkPositive(at.key("upstreamDial"))
	t.UpstreamHeader.checkPositive(at.key("upstreamHeader"))
	t.Body.checkPositive(at.key("body"))
	t.ShutdownDelay.checkNotNegative(at.key("shutdownDelay"))
	t.Shutdown.checkPositive(at.key("shutdown"))
}

// Limits bound what one client can take, and all of them together.
type Limits struct {
	HeaderBytes         int   `yaml:"headerBytes"`
	BodyBytes           int64 `yaml:"bodyBytes"`           // 0: none
	Connections         int   `yaml:"connections"`         // of all clients; 0: none
	StreamsPerPrincipal int   `yaml:"streamsPerPrincipal"` // 0: none
}

func (l Limits) check(at node) {
	const minHeaderBytes, maxHeaderBytes = 4096, 16 << 20
	if l.HeaderBytes < minHeaderBytes || l.HeaderBytes > maxHeaderBytes {
		at.key("headerBytes").addFault("must be from 4096 to 16777216", "write 65536, or leave the line out")
	}
	for _, limit := range []struct {
		key   string
		value int64
	}{
		{"bodyBytes", l.BodyBytes},
		{"connections", int64(l.Connections)},
		{"streamsPerPrincipal", int64(l.StreamsPerPrincipal)},
	} {
		if limit.value < 0 {
			at.key(limit.key).addFault("must not be negative", "write 0 for no limit")
		}
	}
}
