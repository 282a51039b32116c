package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

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

func (t Timeouts) check(at yamlfile.Node) {
	t.ReadHeader.checkPositive(at.Key("readHeader"))
	if t.Idle <= 0 {
		// net/http reads 0 as never: an HTTP/2 client that says nothing after its
		// preface would then stay for ever.
		at.Key("idle").AddFault("must be greater than zero: without it a silent connection is never closed",
			"write 75s, or more than the idle timeout of the load balancer in front")
	}
	t.UpstreamDial.checkPositive(at.Key("upstreamDial"))
	t.UpstreamHeader.checkPositive(at.Key("upstreamHeader"))
	t.Body.checkPositive(at.Key("body"))
	t.ShutdownDelay.checkNotNegative(at.Key("shutdownDelay"))
	t.Shutdown.checkPositive(at.Key("shutdown"))
}

// Limits bound what one client can take, and all of them together.
type Limits struct {
	HeaderBytes         int   `yaml:"headerBytes"`
	BodyBytes           int64 `yaml:"bodyBytes"`           // 0: none
	Connections         int   `yaml:"connections"`         // of all clients; 0: none
	StreamsPerPrincipal int   `yaml:"streamsPerPrincipal"` // 0: none
}

func (l Limits) check(at yamlfile.Node) {
	const minHeaderBytes, maxHeaderBytes = 4096, 16 << 20
	if l.HeaderBytes < minHeaderBytes || l.HeaderBytes > maxHeaderBytes {
		at.Key("headerBytes").AddFault("must be from 4096 to 16777216", "write 65536, or leave the line out")
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
			at.Key(limit.key).AddFault("must not be negative", "write 0 for no limit")
		}
	}
}

// Duration is a time.Duration that is written as 30s, 15m or 1h30m.
type Duration time.Duration

// String is the short form: 12h, where time.Duration says 12h0m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes the form that a file is read in.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func parseDuration(s string) (Duration, problem) {
	d, err := time.ParseDuration(s)
	if err == nil && s != "0" {
		return Duration(d), problem{}
	}
	hint := "write a number with a unit, such as 30s, 15m or 12h"
	if days, isDays := strings.CutSuffix(s, "d"); isDays {
		if n, err := strconv.Atoi(days); err == nil && 0 < n && n < 10_000 {
			hint = "the largest unit is h; write " + strconv.Itoa(24*n) + "h"
		}
	}
	return 0, problem{text.Quote(s) + " is not a duration", hint}
}

func (d Duration) checkPositive(at yamlfile.Node) {
	if d <= 0 {
		at.AddFault("must be greater than zero", "write 30s, for instance, or leave the line out")
	}
}

func (d Duration) checkNotNegative(at yamlfile.Node) {
	if d < 0 {
		at.AddFault("must not be negative", "write 0s for none")
	}
}
