package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy"
)

// carriers are all the ways in which a token is brought along, and what refuses.
func (g *gate) carriers(token string) map[string]*http.Response {
	g.t.Helper()
	return map[string]*http.Response{
		"Authorization":       g.do("DELETE", "https://argo-workflows.example.com/anything", bearer(token)),
		"Proxy-Authorization": g.do("GET", app, []string{"Proxy-Authorization", "bearer " + token, "Authorization", "Basic eDp5"}),
		"token":               g.do("GET", app, []string{"token", token}),
		"with a session":      g.do("GET", app, bearer(token), g.as("alice")),
		"a WebSocket":         g.do("GET", app, bearer(token), handshake),
		"forward-auth":        g.ask(byParts("GET", app), bearer(token)),
		"userinfo":            g.do("GET", own+"/userinfo", bearer(token)),
	}
}

func TestATokenThatADashboardSeesOpensNothing(t *testing.T) {
	t.Parallel()
	taken := tokens() // by issuer, audience and signature they are all good
	for _, raw := range []string{"first.id.token", "first.access.token"} {
		taken[raw] = taken["alice.id.token"]
	}
	g, issuer := keptGate(t, upstreamSaying(t), shows("argocd", config.CredentialIDToken), shows("reports", config.CredentialAccessToken),
		func(o *proxy.Options) { o.BearerVerifier = taken })
	issuer.first = identity.TokenSet{IDToken: "first.id.token", AccessToken: "first.access.token"}
	alice := g.signIn("alice")
	for _, page := range []string{app, "https://argo-cd.example.com/reports/"} {
		if got := echoed(t, g.do("GET", page, alice)).Header.Get("Authorization"); !strings.HasPrefix(got, "Bearer first.") {
			t.Fatalf("%s is shown %q", page, got)
		}
	}
	for _, token := range []string{"first.id.token", "first.access.token", "the.login.mark"} {
		for how, res := range g.carriers(token) {
			expect(t, token+" in "+how, res, http.StatusUnauthorized)
			challenge := res.Header.Get("WWW-Authenticate")
			if text := body(t, res); !strings.Contains(text, `"reason":"login_token"`) ||
				!strings.Contains(challenge, `error="invalid_token", error_description="The token was not accepted: a browser login`) {
				t.Errorf("%s in %s: %s, %s", token, how, challenge, text)
			}
		}
	}
	call := g.do("POST", "https://argo-cd.example.com/application.ApplicationService/List", bearer("first.id.token"), []string{"Content-Type", "application/grpc-web+proto"})
	if call.Header.Get("Grpc-Status") != "16" {
		t.Errorf("gRPC-web: %q", call.Header)
	}
	all := g.records()
	if r := all[len(all)-1]; r.Reason != "login_token" || r.Subject != "" {
		t.Errorf("%+v", r)
	}
	expect(t, "a token that no login obtained", g.do("GET", app, bearer("alice.id.token")), http.StatusOK)
	expect(t, "a token of CI", g.do("GET", app+"?x", bearer("ci.job.token")), http.StatusForbidden) // which the upstream cannot be shown
}

func TestARevokedUsersTokenIsRefused(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, upstreamSaying(t), accepts)
	expect(t, "before", g.do("GET", app, bearer("alice.id.token")), http.StatusOK)
	g.believes(map[string]identity.Logout{"alice": {Issuer: dex, Subject: "sub-alice"}})
	expect(t, "a back-channel logout", g.tell(formType, "logout_token=alice"), http.StatusOK)
	for how, res := range g.carriers("alice.id.token") {
		expect(t, how, res, http.StatusUnauthorized)
		if text := body(t, res); !strings.Contains(text, `"reason":"token_revoked"`) {
			t.Errorf("%s: %s", how, text)
		}
	}
	expect(t, "a token of CI", g.do("GET", app, bearer("ci.job.token")), http.StatusOK)
}
