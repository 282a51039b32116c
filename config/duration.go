package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/example-org/authgate/text"
)

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

func (d Duration) checkPositive(at node) {
	if d <= 0 {
		at.addFault("must be longer than nothing", "write 30s, for instance, or leave the line out")
	}
}

func (d Duration) checkNotNegative(at node) {
	if d < 0 {
		at.addFault("must not be negative", "write 0s for none")
	}
}
