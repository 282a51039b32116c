package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy"
)

// What a login obtained is no API token of a dashboard, with any user's session.
func TestATokenOfALoginIsNeverPassedOnAsTheDashboardsOwn(t *testing.T) {
	t.Parallel()
	taken := tokens()
	for _, raw := range []string{"first.id.token", "first.access.token"} {
		taken[raw] = taken["alice.id.token"]
	}
	g, issuer := keptGate(t, echoServer(t), passing, func(o *proxy.Options) { o.BearerVerifier = taken },
		shows("reports", config.CredentialIDToken), showingOnly("reports"))
	issuer.first = identity.TokenSet{IDToken: "first.id.token", AccessToken: "opaque-access-token"}
	alice := g.signIn("alice")
	expect(t, "that shows the token", g.do("GET", "https://argo-cd.example.com/reports/", alice), http.StatusOK)
	for name, value := range map[string]string{
		"ID token":            "Bearer first.id.token",
		"in another spelling": "bEARER   first.id.token",
		"behind a tab":        "Bearer\tfirst.id.token",
		"with the mark":       "Bearer the.login.mark",
	} {
		res := g.do("GET", app, alice, []string{"Authorization", value})
		expect(t, name, res, http.StatusUnauthorized)
		if text := body(t, res); !strings.Contains(text, `"reason":"login_token"`) {
			t.Errorf("%s: %s", name, text)
		}
	}
	twice := []string{"Authorization", "Basic eDp5", "Authorization", "Bearer first.id.token"}
	expect(t, "behind another", g.do("GET", app, alice, twice), http.StatusBadRequest)
	got := echoed(t, g.do("GET", app, alice, bearer("glsa_of_the_dashboard")))
	if got.Header.Get("Authorization") != "Bearer glsa_of_the_dashboard" {
		t.Errorf("the dashboard's own: %q", got.Header)
	}
}

// An access token that is no JWT is told by the session that it came with.
func TestTheSessionsOwnAccessTokenIsNotPassedOn(t *testing.T) {
	t.Parallel()
	g, issuer := keptGate(t, echoServer(t), passing, shows("reports", config.CredentialAccessToken), showingOnly("reports"))
	issuer.first = identity.TokenSet{IDToken: "first.id.token", AccessToken: "opaque-access-token"}
	alice := g.signIn("alice")
	res := g.do("GET", app, alice, bearer("opaque-access-token"))
	expect(t, "the access token of the session", res, http.StatusUnauthorized)
	if text := body(t, res); !strings.Contains(text, `"reason":"login_token"`) {
		t.Error(text)
	}
}

// showingOnly takes passAuthorization from an upstream that is shown a credential.
func showingOnly(name string) func(*proxy.Options) {
	return func(o *proxy.Options) {
		for i := range o.Config.Upstreams {
			if u := &o.Config.Upstreams[i]; u.Name == name {
				u.PassAuthorization = false
			}
		}
	}
}
