package config_test

import (
	"testing"
	"time"

	"github.com/example-org/authgate/config"
)

func TestUpstreamsHaveTimeoutsOfTheirOwn(t *testing.T) {
	t.Parallel()
	const head = `
issuer: {url: https://dex.example.com, clientID: a, clientSecret: {env: S}}
session: {keys: {env: K}}
timeouts: {upstreamDial: 3s, upstreamHeader: 7s}
upstreams: [{name: a, hosts: [a.example.com], url: "http://a"`
	for written, want := range map[string][3]time.Duration{
		"}]":                                 {3 * time.Second, 7 * time.Second, 4 * time.Second},
		", timeouts: {}}]":                   {3 * time.Second, 7 * time.Second, 4 * time.Second},
		", timeouts: null}]":                 {3 * time.Second, 7 * time.Second, 4 * time.Second},
		", timeouts: {upstreamHeader: 0s}}]": {3 * time.Second, 0, 4 * time.Second},
		", timeouts: {upstreamDial: 1s, upstreamHeader: 2m, idle: 40ms}}]": {time.Second, 2 * time.Minute, 40 * time.Millisecond},
	} {
		c, err := config.Parse("authgate.yaml", []byte(head+written))
		if err != nil {
			t.Errorf("%s: %v", written, err)
			continue
		}
		u := c.Upstreams[0].Timeouts
		if got := [3]time.Duration{u.Dial(c.Timeouts), u.Header(c.Timeouts), time.Duration(u.Idle)}; got != want {
			t.Errorf("%s: %v, want %v", written, got, want)
		}
	}
}
