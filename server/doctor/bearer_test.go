package doctor_test

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/example-org/authgate/server/doctor"
)

// ofMachines starts an issuer over TLS that has keys and no endpoints, and gives a
// pool that trusts it.
func ofMachines(t *testing.T, called, keys string) (string, *x509.CertPool) {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, server.URL+called, server.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		if keys == "" {
			http.Error(w, "no", http.StatusForbidden)
		}
		fmt.Fprint(w, keys)
	})
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return server.URL, pool
}

func TestAFurtherIssuerIsLookedAtForWhatTokensAreVerifiedBy(t *testing.T) {
	t.Parallel()
	const good = `{"keys":[{"kty":"RSA"}]}`
	for name, test := range map[string]struct {
		called, keys string
		ask          func(*doctor.BearerIssuer)
		state        doctor.State
		said, hint   string
	}{
		"as it should be": {"", good, nil, doctor.OK, "answers; keys: 1", ""},
		"an unknown CA": {
			"", good, func(b *doctor.BearerIssuer) { b.RootCAs = x509.NewCertPool() },
			doctor.Fail, "certificate", "in caFile",
		},
		"the system's CAs": {
			"", good, func(b *doctor.BearerIssuer) { b.RootCAs = nil },
			doctor.Fail, "certificate", "in caFile",
		},
		"CAs elsewhere": {
			"", good, func(b *doctor.BearerIssuer) { b.Missing = "bearer[0].caFile" },
			doctor.Skipped, "bearer[0].caFile does not exist here", "",
		},
		"another name":      {"/", good, nil, doctor.Fail, "it names itself", "exactly"},
		"keys with a guard": {"", "", nil, doctor.Fail, "its jwks_uri answers 403", "without a credential"},
		"no keys":           {"", `{"keys":[]}`, nil, doctor.Fail, "no keys in JWKS form", "without keys"},
		"no JWKS":           {"", "<html>", nil, doctor.Fail, "no keys in JWKS form", "without keys"},
		"not there yet": {
			"", good, func(b *doctor.BearerIssuer) { b.URL = "https://127.0.0.1:1" },
			doctor.Fail, "cannot be reached", "before the deployment",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, pool := ofMachines(t, test.called, test.keys)
			b := doctor.BearerIssuer{URL: address, RootCAs: pool}
			if test.ask != nil {
				test.ask(&b)
			}
			found := doctor.Run(t.Context(), []doctor.Check{b.Check()})
			if len(found) != 1 || found[0].State != test.state ||
				!strings.Contains(found[0].Message, test.said) || !strings.Contains(found[0].Hint, test.hint) {
				t.Errorf("%+v", found)
			}
		})
	}
}
