package client_test

import (
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"

	"github.com/example-org/authgate/proxy/client"
)

// FuzzSplitHost: whatever counts as a host is read by net/url as that very host,
// and reading it once more changes nothing.
func FuzzSplitHost(f *testing.F) {
	for _, seed := range []string{
		"argo-cd.example.com", "A.B.:080", "[::1]:443", "[::1", "a..b", "a:b:c", "u@h",
		"a%2fb", "[fe80::1%25x]", "::1", "[::FFFF:1.2.3.4]:65535",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, raw string, secure bool) {
		scheme := map[bool]string{true: "https", false: "http"}[secure]
		name, host := client.SplitHost(raw, scheme)
		if (name == "") != (host == "") {
			t.Fatalf("%q: name %q, host %q", raw, name, host)
		}
		if name == "" {
			return
		}
		u, err := url.Parse(scheme + "://" + host + "/")
		if err != nil || u.Hostname() != name || u.User != nil || u.Host != host {
			t.Errorf("%q became %q, which net/url reads as %+v, %v", raw, host, u, err)
		}
		if sameName, same := client.SplitHost(host, scheme); sameName != name || same != host {
			t.Errorf("%q became %q, and that %q", raw, host, same)
		}
		if origin := client.CanonicalOrigin(scheme + "://" + raw); origin != scheme+"://"+host {
			t.Errorf("%q: origin %q", raw, origin)
		}
	})
}

func TestAddressIsTheCanonicalTextOfAddr(t *testing.T) {
	t.Parallel()
	reader := &client.Reader{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Log: slog.New(slog.DiscardHandler)}
	for _, peer := range []string{"10.0.0.1:80", "192.0.2.1:1", "[2001:DB8::1]:1", "[::ffff:192.0.2.1]:1", "[fe80::1%eth0]:1", "@", ""} {
		for _, forwarded := range []string{"", "192.0.2.7", "2001:DB8::7", "2001:0db8::7", "::ffff:192.0.2.7", "192.0.2.7:80", "[2001:db8::7]:80", " 192.0.2.7 ", "x"} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = peer
			r.Header.Set("X-Forwarded-For", forwarded)
			c, want := reader.Read(r), ""
			if c.Addr.IsValid() {
				want = c.Addr.String()
			}
			if got := c.Address(); got != want {
				t.Errorf("%q for %q: %q, want %q", peer, forwarded, got, want)
			}
		}
	}
}

// FuzzForwardedFor: what a client writes on the left of what the balancer wrote
// never changes the address.
func FuzzForwardedFor(f *testing.F) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	reader := &client.Reader{TrustedProxies: trusted}
	peer := netip.MustParseAddr("10.0.0.1")
	for _, seed := range []string{"", "1.2.3.4", "garbage,", "[::1]:80", "10.0.0.2, ", ",,,", "\x00"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, first, left string) {
		for _, lines := range [][]string{{first, left + ",203.0.113.7"}, {first, left, "203.0.113.7:55, 10.2.2.2"}} {
			if got := client.ForwardedFor(reader, lines, peer); got != netip.MustParseAddr("203.0.113.7") {
				t.Errorf("%q: %v", lines, got)
			}
		}
		if got := client.ForwardedFor(reader, []string{first, left}, peer); !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("%q, %q: %v", first, left, got)
		}
	})
}
