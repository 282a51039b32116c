package identity_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/example-org/authgate/identity"
)

func TestPlainHTTPToArgoCDsDexNamesBothCauses(t *testing.T) {
	t.Parallel()
	dex := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(dex.Close)
	for name, back := range map[string]string{
		"plain http to TLS":   strings.Replace(dex.URL, "https:", "http:", 1) + "/api/dex",
		"its own certificate": dex.URL + "/api/dex",
		"refused":             "http://127.0.0.1:1/api/dex",
	} {
		cfg := config("https://argo-cd.example.com/api/dex")
		cfg.BackchannelURL = back
		rp := identity.New(cfg, discard)
		rp.Look(t.Context())
		err := rp.Ready()
		if err == nil || !strings.Contains(err.Error(), "dexserver.disable.tls") || !strings.Contains(err.Error(), "NetworkPolicy") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "plain http to TLS" && !strings.Contains(err.Error(), "it answered 400 Bad Request, beginning with: Client sent an HTTP request to an HTTPS server.") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatLooksLikeArgoCDsDex(t *testing.T) {
	t.Parallel()
	for address, row := range map[string]struct {
		status int
		answer string
		want   bool
	}{
		"http://argocd-dex-server.argocd.svc:5556/api/dex/x": {0, "", true},
		"http://DEX.example.com/x":                           {400, "", true},
		"http://10.0.0.7:5556/x":                             {0, "", true},
		"http://10.0.0.7/api/dex/x":                          {0, "", true},
		"http://10.0.0.7:8443/":                              {400, "Client sent an HTTP request to an HTTPS server.\n", true},
		"http://dex.example.com/x":                           {503, "", false},
		"http://argocd-server.argocd.svc:80/api/dex/x":       {0, "", false},
		"https://accounts.example.com/x":                     {0, "", false},
	} {
		at, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := identity.LooksLikeArgoCDDex(at, row.status, row.answer); got != row.want {
			t.Errorf("%s %d %q: %v", address, row.status, row.answer, got)
		}
	}
}
