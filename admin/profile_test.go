package admin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/config"
)

func TestProfilesNeedTheTokenAndAreOffByDefault(t *testing.T) {
	t.Parallel()
	paths := []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/debug/pprof/symbol"}
	port := func(token string, profile bool) *adminPort {
		a := newAdminPort(config.StoreRedis, token)
		a.handler.Profile = profile
		a.Handler = a.handler.Port(prometheus.NewRegistry())
		return a
	}
	for _, path := range append(paths, "/debug/pprof/profile?seconds=60", "/debug/pprof/trace?seconds=60", "/debug/pprof/unknown") {
		for _, authorization := range []string{"", "Bearer", "Bearer " + adminToken + "x", "Basic " + adminToken} {
			w := port(adminToken, true).ask(http.MethodGet, path, authorization)
			if w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") || strings.Contains(w.Body.String(), "goroutine") {
				t.Errorf("%s with %q: %d %s", path, authorization, w.Code, w.Body)
			}
		}
		if w := port(adminToken, false).ask(http.MethodGet, path, "Bearer "+adminToken); w.Code != http.StatusNotFound {
			t.Errorf("%s, not configured: %d", path, w.Code)
		}
		if w := port("", true).ask(http.MethodGet, path, "Bearer "); w.Code != http.StatusNotFound {
			t.Errorf("%s, without a token: %d", path, w.Code)
		}
	}
	a := port(adminToken, true)
	for _, path := range paths {
		if w := a.ask(http.MethodGet, path, "Bearer "+adminToken); w.Code != http.StatusOK || w.Body.Len() == 0 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	if w := a.ask(http.MethodDelete, "/debug/pprof/heap", "Bearer "+adminToken); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %d", w.Code)
	}
	a.handler.SetToken("another-token-0123456789")
	if w := a.ask(http.MethodGet, "/debug/pprof/heap", "Bearer "+adminToken); w.Code != http.StatusUnauthorized {
		t.Errorf("the token before a rotation: %d", w.Code)
	}
	if strings.Contains(a.log.String(), adminToken) {
		t.Error("the log has the token")
	}
}
