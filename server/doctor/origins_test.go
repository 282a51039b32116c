package doctor_test

import (
	"net/netip"
	"net/url"
	"slices"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/server/doctor"
)

func TestTheDoctorAsksForTheCallbacksThatServeMaySend(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		listen  string
		tls     bool
		trusted bool
		origins []string
		want    []string
	}{
		"plain":             {listen: ":8080", want: []string{"http://a.example.com:8080/oauth2/callback", "http://a.example.com/oauth2/callback"}},
		"plain, port 80":    {listen: ":80", want: []string{"http://a.example.com/oauth2/callback"}},
		"TLS, port 443":     {listen: ":443", tls: true, want: []string{"https://a.example.com/oauth2/callback"}},
		"TLS, another port": {listen: "127.0.0.1:8443", tls: true, want: []string{"https://a.example.com/oauth2/callback", "https://a.example.com:8443/oauth2/callback"}},
		"behind a proxy":    {listen: ":8080", trusted: true, want: []string{"https://a.example.com/oauth2/callback", "http://a.example.com:8080/oauth2/callback", "http://a.example.com/oauth2/callback"}},
		"given":             {listen: ":8080", trusted: true, origins: []string{"https://A.example.com:8443/"}, want: []string{"https://a.example.com:8443/oauth2/callback"}},
		"never sent":        {listen: ":8080", origins: []string{"https://a.example.com"}, want: []string{"http://a.example.com/oauth2/callback"}},
	} {
		c := &config.Config{Listen: row.listen, PathPrefix: "/oauth2", Upstreams: []config.Upstream{{Name: "a", Hosts: []string{"a.example.com"}}}}
		if row.tls {
			c.TLS.CertFile, c.TLS.KeyFile = "c", "k"
		}
		if row.trusted {
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}
		var origins []*url.URL
		for _, origin := range row.origins {
			u, err := url.Parse(origin)
			if err != nil {
				t.Fatal(err)
			}
			origins = append(origins, u)
		}
		if sets, _ := doctor.CallbackCandidates(c, origins); len(sets) != 1 || !slices.Equal([]string(sets[0]), row.want) {
			t.Errorf("%s: %q", name, sets)
		}
	}
}
