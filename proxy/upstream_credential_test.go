package proxy_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/proxy"
)

// accepting takes tokens by their text. Package identity tests real ones.
type accepting map[string]identity.Principal

func (a accepting) Verify(_ context.Context, raw string) (*identity.Token, error) {
	switch who, ok := a[raw]; {
	case ok:
		token := identity.NewToken(who, raw)
		token.IssuedAt = time.Now().Add(-time.Minute)
		return token, nil
	case raw == "the.login.mark":
		return nil, &identity.TokenRefusedError{Reason: "a browser login obtained it", FromLogin: true}
	case raw == "keys.are.away":
		return nil, &identity.UnreachableError{Request: "GET https://ci.example.com/keys", Reason: "connection refused"}
	default:
		return nil, &identity.TokenRefusedError{Reason: "it is of the issuer https://other.example.com"}
	}
}

func tokens() accepting {
	alice := people["alice"]
	alice.Issuer, alice.Expiry = "https://dex.example.com", time.Now().Add(time.Hour)
	return accepting{
		"alice.id.token": alice,
		"ci.job.token":   {Issuer: "https://ci.example.com", Subject: "repo:app", Groups: []string{"example-org:dev"}, Expiry: time.Now().Add(5 * time.Minute)},
		"any.body.token": {Issuer: "https://ci.example.com", Subject: "repo:evil", Expiry: time.Now().Add(5 * time.Minute), Untrusted: true},
	}
}

// ofAccount is a ServiceAccount whose token is known.
type ofAccount struct {
	mu      sync.Mutex
	token   string
	err     error
	refused []string
}

func (a *ofAccount) Token(context.Context) (string, error) { return a.token, a.err }

func (a *ofAccount) TokenRejected(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused = append(a.refused, token)
}

func shows(upstream string, credential config.Credential, accounts ...config.ServiceAccount) func(*proxy.Options) {
	return func(o *proxy.Options) {
		for i := range o.Config.Upstreams {
			if u := &o.Config.Upstreams[i]; u.Name == upstream {
				u.Identity.Credential, u.Identity.ServiceAccounts = credential, accounts
			}
		}
	}
}

func accepts(o *proxy.Options) { o.BearerVerifier = tokens() }

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

const listWorkflows = "https://argo-workflows.example.com/api/v1/workflows/argo"

func TestABearerTokenSaysWhoAsks(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, upstreamSaying(t), accepts)
	for name, test := range map[string]struct {
		headers []string
		method  string
		want    int
	}{
		"of the issuer":                 {bearer("alice.id.token"), "POST", 200},
		"without regard to case":        {[]string{"authorization", "bearer alice.id.token"}, "POST", 200},
		"for authgate alone":            {[]string{"Proxy-Authorization", "Bearer alice.id.token", "Authorization", "Basic eDp5"}, "POST", 200},
		"of a CLI of Argo CD":           {[]string{"token", "alice.id.token"}, "POST", 200},
		"of CI":                         {bearer("ci.job.token"), "GET", 200},
		"of CI, to do more":             {bearer("ci.job.token"), "POST", 403},
		"of an issuer for any user":     {bearer("any.body.token"), "GET", 403},
		"unknown":                       {bearer("made.up.token"), "GET", 401},
		"whose keys are away":           {bearer("keys.are.away"), "GET", 503},
		"of another scheme":             {[]string{"Authorization", "Basic YWxpY2UuaWQudG9rZW4="}, "GET", 401},
		"behind one that is refused":    {[]string{"Proxy-Authorization", "Bearer made.up.token", "Authorization", "Bearer alice.id.token"}, "GET", 401},
		"empty":                         {[]string{"Authorization", "Bearer"}, "GET", 401},
		"empty of a CLI":                {[]string{"token", ""}, "GET", 401},
		"with a session of a user":      {append(bearer("ci.job.token"), g.as("alice")...), "POST", 403},
		"refused, and with a session":   {append(bearer("made.up.token"), g.as("alice")...), "GET", 401},
		"from another site of no worry": {append(bearer("alice.id.token"), "Origin", "https://evil.example.com"), "POST", 200},
	} {
		res := g.do(test.method, app, test.headers)
		expect(t, name, res, test.want)
		switch test.want {
		case 401:
			if len(res.Cookies()) > 0 || res.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: %q", name, res.Header)
			}
		case 200:
			got := echoed(t, res).Header
			if got.Get("Token") != "" || got.Get("Proxy-Authorization") != "" || strings.Contains(got.Get("Authorization"), "token") {
				t.Errorf("%s: the upstream is shown what opens authgate: %q", name, got)
			}
			if name == "for authgate alone" && got.Get("Authorization") != "Basic eDp5" {
				t.Errorf("the client's own for the upstream is gone: %q", got)
			}
		}
	}
	refused := g.do("GET", app, bearer("made.up.token"))
	if text := body(t, refused); !strings.Contains(text, "https://other.example.com") || !strings.Contains(refused.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("it does not say why: %q %s", refused.Header, text)
	}
	welcome := "https://argo-cd.example.com/welcome" // system:authenticated
	expect(t, "a trusted user", g.do("GET", welcome, bearer("ci.job.token")), http.StatusOK)
	expect(t, "an untrusted user", g.do("GET", welcome, bearer("any.body.token")), http.StatusForbidden)

	info := body(t, g.do("GET", own+"/userinfo", bearer("ci.job.token")))
	if !strings.Contains(info, `"subject":"repo:app"`) || !strings.Contains(info, "role:viewer") || strings.Contains(info, "refreshed") {
		t.Errorf("userinfo: %s", info)
	}
	if log := g.log.String() + g.audit.String(); strings.Contains(log, "made.up") || strings.Contains(log, "job.token") {
		t.Error("a token is in the log")
	}
}

func TestArgoCDIsShownThePersonsOwnTokenAndNoOther(t *testing.T) {
	t.Parallel()
	g, issuer := keptGate(t, upstreamSaying(t), accepts, shows("argocd", config.CredentialIDToken))
	issuer.first = identity.TokenSet{IDToken: "first.id.token", AccessToken: "first.access.token"}
	alice := g.signIn("alice")
	got := echoed(t, g.do("GET", app, []string{"Cookie", alice[1] + "; argocd.token=stale; argocd.token-1=x; theme=dark"})).Header
	if got.Get("Authorization") != "Bearer first.id.token" || got.Get("Cookie") != "theme=dark; argocd.token=first.id.token" {
		t.Errorf("%q, %q", got.Get("Authorization"), got.Get("Cookie"))
	}
	got = echoed(t, g.do("GET", app, bearer("alice.id.token"))).Header
	if got.Get("Authorization") != "Bearer alice.id.token" || got.Get("Cookie") != "argocd.token=alice.id.token" {
		t.Errorf("with a token: %q", got)
	}
	other := g.do("GET", app, bearer("ci.job.token"))
	expect(t, "a token of another issuer", other, http.StatusForbidden)
	if text := body(t, other); !strings.Contains(text, "no_credential") {
		t.Error(text)
	}
	anonymous := echoed(t, g.do("POST", "https://argo-cd.example.com/api/dex/token", bearer("of.the.client"))).Header
	if anonymous.Get("Authorization") != "Bearer of.the.client" || anonymous.Get("Cookie") != "" {
		t.Errorf("an anonymous request carries a credential of a user: %q", anonymous)
	}
	// A token that has ended is renewed before the request goes on.
	issuer.says(nil, "example-org:argo")
	issuer.clock.forward(61 * time.Minute)
	if got := echoed(t, g.do("GET", app, alice)).Header.Get("Authorization"); got != "Bearer eyJ.not.shown" {
		t.Errorf("after an hour: %q", got)
	}
	for _, kept := range []string{g.log.String(), g.audit.String()} {
		if strings.Contains(kept, "id.token") || strings.Contains(kept, "eyJ") {
			t.Error("a token is written down")
		}
	}
}

func TestWorkflowsAreShownTheAccountOfTheFirstRole(t *testing.T) {
	t.Parallel()
	admin, viewer := &ofAccount{token: "admin-account"}, &ofAccount{token: "viewer-account"}
	asAdmin := config.ServiceAccount{Role: "role:admin", Namespace: "argo", Name: "argo-admin"}
	asViewer := config.ServiceAccount{Role: "role:viewer", TokenFile: "/token"}
	g := newGateTo(t, upstreamSaying(t), accepts, shows("workflows", config.CredentialServiceAccount, asAdmin, asViewer), func(o *proxy.Options) {
		o.ServiceAccounts = proxy.TokenSources{asAdmin: admin, asViewer: viewer}
		o.Policy = load(t, rules+"p, role:viewer, workflows, /**, GET, allow\np, user:bob@example.com, workflows, /**, GET, allow\n"+
			"p, user:carol@example.com, workflows, /**, GET, allow\np, system:authenticated, workflows, /free, GET, allow\n")
	})
	for who, want := range map[string]string{"alice": "Bearer admin-account", "bob": "Bearer viewer-account"} {
		got := echoed(t, g.do("GET", listWorkflows, []string{"Cookie", g.as(who)[1] + "; authorization=Bearer+own"})).Header
		if got.Get("Authorization") != want || got.Get("Cookie") != "" {
			t.Errorf("%s: %q", who, got)
		}
	}
	if got := echoed(t, g.do("GET", listWorkflows, bearer("ci.job.token"))).Header.Get("Authorization"); got != "Bearer viewer-account" {
		t.Errorf("CI: %q", got)
	}
	none := g.do("GET", "https://argo-workflows.example.com/free", g.as("carol"))
	expect(t, "a user without a role", none, http.StatusForbidden)
	if text := body(t, none); !strings.Contains(text, "no_credential") || !strings.Contains(text, "identity.serviceAccounts") {
		t.Error(text)
	}
	admin.err = missingRole{}
	failed := g.do("GET", listWorkflows, g.as("alice"), browser)
	expect(t, "no token", failed, http.StatusBadGateway)
	if page := body(t, failed); !strings.Contains(page, "role:admin") || !strings.Contains(page, "create on serviceaccounts/token") {
		t.Errorf("the page does not name what is missing:\n%s", page)
	}
	all := g.records()
	if r := all[len(all)-1]; r.Reason != "no_account_token" || r.Decision != "refuse" {
		t.Errorf("%+v", r)
	}
}

type missingRole struct{}

func (missingRole) Error() string { return "403 of the API server" }
func (missingRole) Hint() string {
	return "The Role that allows create on serviceaccounts/token is missing."
}

func TestARefusedServiceAccountTokenIsRequestedAgain(t *testing.T) {
	t.Parallel()
	admin := &ofAccount{token: "admin-account"}
	as := config.ServiceAccount{Role: "role:admin", Namespace: "argo", Name: "argo-admin"}
	behind := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	g := newGateTo(t, serving(t, behind), shows("workflows", config.CredentialServiceAccount, as), func(o *proxy.Options) { o.ServiceAccounts = proxy.TokenSources{as: admin} })
	expect(t, "as the upstream said", g.do("GET", listWorkflows, g.as("alice")), http.StatusUnauthorized)
	if len(admin.refused) != 1 || admin.refused[0] != "admin-account" {
		t.Errorf("%q", admin.refused)
	}
	handshake := strings.Replace(g.handshake("/api/v1/workflows/argo", "alice"), "argo-cd.example.com", "argo-workflows.example.com", -1)
	expect(t, "a WebSocket's", g.raw(handshake), http.StatusUnauthorized)
	if len(admin.refused) != 2 || admin.refused[1] != "admin-account" {
		t.Errorf("after a handshake: %q", admin.refused)
	}
}

func TestADashboardsOwnLoginLeadsToAuthgatesAndBack(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, upstreamSaying(t))
	for address, want := range map[string]string{
		"argo-cd.example.com/auth/login?return_url=https%3A%2F%2Fargo-cd.example.com%2Fapplications%3Fview%3Dtiles": "/oauth2/start?rd=%2Fapplications%3Fview%3Dtiles",
		"argo-cd.example.com/login?return_url=https%3A%2F%2Fargo-cd.example.com%3A443%2Fapplications":               "/oauth2/start?rd=%2Fapplications",
		"argo-cd.example.com/login?return_url=%2Fapplications":                                                      "/oauth2/start?rd=%2Fapplications",
		"argo-cd.example.com/login?return_url=https%3A%2F%2Fevil.example.com%2Fx":                                   "/oauth2/start?rd=%2F",
		"argo-cd.example.com/login?return_url=%2F%2Fevil.example.com%2Fx":                                           "/oauth2/start?rd=%2F",
		"argo-cd.example.com/login":                        "/oauth2/start?rd=%2F",
		"argo-cd.example.com/auth/callback?code=x&state=y": "/oauth2/start?rd=%2F",
		"argo-cd.example.com/auth/logout":                  "/oauth2/sign_out",
		"argo-workflows.example.com/login?redirect=https%3A%2F%2Fargo-workflows.example.com%2Fworkflows%2Fargo":       "/oauth2/start?rd=%2Fworkflows%2Fargo",
		"argo-workflows.example.com/oauth2/redirect?redirect=https%3A%2F%2Fargo-workflows.example.com%2Fworkflows%2F": "/oauth2/start?rd=%2Fworkflows%2F",
	} {
		res := g.do("GET", "https://"+address, browser)
		expect(t, address, res, http.StatusFound)
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("%s leads to %s, want %s", address, got, want)
		}
	}
	denied := g.do("GET", "https://argo-cd.example.com/login?has_sso_error=true", browser)
	expect(t, "whom Dex does not let in", denied, http.StatusForbidden)
	if page := body(t, denied); !strings.Contains(page, "did not let you sign in") || !strings.Contains(page, "/oauth2/start?rd=%2F") {
		t.Errorf("%s", page)
	}
	expect(t, "no endpoint of Argo CD's", g.do("GET", "https://argo-cd.example.com/oauth2/redirect", browser), http.StatusNotFound)
	expect(t, "a path below", g.do("GET", "https://argo-cd.example.com/login/x", g.as("alice")), http.StatusOK)
	expect(t, "another upstream", g.do("GET", "https://argo-cd.example.com/reports/login", g.as("alice")), http.StatusOK)
}

func TestADashboardThatRefusesEveryUserCausesNoLoop(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, upstreamSaying(t))
	browserOf := g.tab(func(string) bool { return false })
	browserOf.follow(own + "/start?rd=/") // signed in
	for range 5 {
		res, logins := browserOf.follow("https://argo-cd.example.com/auth/login?return_url=%2Fapplications")
		if res.StatusCode == http.StatusBadGateway {
			if page := body(t, res); !strings.Contains(page, "argocd rejected your credentials") || logins != 0 {
				t.Errorf("after %d logins: %s", logins, page)
			}
			if !strings.Contains(g.log.String(), "allowedAudiences") {
				t.Errorf("the log does not say how to fix it:\n%s", g.log)
			}
			return
		}
	}
	t.Error("the loop goes on")
}
