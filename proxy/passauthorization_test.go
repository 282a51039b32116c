package proxy_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy"
)

func passing(o *proxy.Options) {
	dashboards(func(u *config.Upstream) { u.PassAuthorization = true })(o)
	o.BearerVerifier = tokens()
}

// The dashboard's own API token, or its basic auth, with a session.
func TestAuthorizationOfTheDashboardIsPassedOnWithASession(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, echoServer(t), passing)
	for _, value := range []string{"Basic YWRtaW46YWRtaW4=", "Bearer glsa_of_the_dashboard", "Digest x=y", "Bearer", ""} {
		own := []string{"Authorization", value}
		got := echoed(t, g.do("GET", app, g.as("alice"), own))
		if values := got.Header["Authorization"]; len(values) != 1 || values[0] != value || got.Header.Get("X-Forwarded-User") != "sub-alice" {
			t.Errorf("%q arrived as %q of %q", value, values, got.Header.Get("X-Forwarded-User"))
		}
		if strings.Contains(strings.Join(got.Header["Cookie"], ""), "__Host-authgate") {
			t.Errorf("%q: the session's cookie went on", value)
		}
		expect(t, "without a session "+value, g.do("GET", app, own), http.StatusUnauthorized)
		expect(t, "with one that is none", g.do("GET", app, own, []string{"Cookie", "__Host-authgate=x"}), http.StatusUnauthorized)
		expect(t, "of another site", g.do("POST", app, g.as("alice"), own, []string{"Sec-Fetch-Site", "cross-site"}), http.StatusForbidden)
		expect(t, "who may not", g.do("DELETE", app, g.as("bob"), own, sameSite), http.StatusForbidden)
		expect(t, "an upstream that did not ask for it", g.do("GET", "https://argo-workflows.example.com/", g.as("alice"), own), http.StatusUnauthorized)
		expect(t, "an ingress", g.ask(forms["nginx"]("GET", app), g.as("alice"), own), http.StatusAccepted)
		expect(t, "an ingress, without a session", g.ask(forms["nginx"]("GET", app), own), http.StatusUnauthorized)
	}
	got := echoed(t, g.do("GET", "https://argo-cd.example.com/api/dex/keys", []string{"Authorization", "Basic x"}))
	if got.Header.Get("Authorization") != "Basic x" {
		t.Errorf("a public path: %q", got.Header)
	}
}

func TestAuthorizationThatAuthgateTakesGoesNowhere(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, echoServer(t), passing)
	got := echoed(t, g.do("GET", app, g.as("bob"), bearer("alice.id.token")))
	if got.Header["Authorization"] != nil || got.Header.Get("X-Forwarded-User") != "sub-alice" {
		t.Errorf("%q", got.Header)
	}
	got = echoed(t, g.do("GET", app, g.as("bob"), []string{"Proxy-Authorization", "Bearer alice.id.token", "Authorization", "Basic x"}))
	if got.Header.Get("Authorization") != "Basic x" || got.Header["Proxy-Authorization"] != nil || got.Header.Get("X-Forwarded-User") != "sub-alice" {
		t.Errorf("%q", got.Header)
	}
	expect(t, "what cannot be verified", g.do("GET", app, g.as("alice"), bearer("keys.are.away")), http.StatusServiceUnavailable)
	expect(t, "a wrong one for authgate", g.do("GET", app, g.as("alice"), []string{"Proxy-Authorization", "Bearer x", "Authorization", "Basic x"}), http.StatusUnauthorized)

	ended := newGateTo(t, echoServer(t), passing, func(o *proxy.Options) {
		o.BearerVerifier = refusing{&identity.TokenRefusedError{Reason: "it has expired", KnownIssuer: true}}
	})
	expect(t, "one of authgate's that has ended", ended.do("GET", app, ended.as("alice"), bearer("x")), http.StatusUnauthorized)
}

// refusing takes no token, for a reason.
type refusing struct{ why error }

func (r refusing) Verify(context.Context, string) (*identity.Token, error) {
	return nil, r.why
}
