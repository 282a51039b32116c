package config_test

import (
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
)

func TestWhatWouldSurpriseBehindABalancerIsTold(t *testing.T) {
	t.Parallel()
	const behind = "trustedProxies: [10.0.0.0/16]\n"
	for _, c := range []struct {
		what, text string
		advice     []string // a word of each, in their order
	}{
		{"the defaults", "", nil},
		{"the defaults after a balancer", behind, nil},
		{"an idle timeout of the balancer's own", behind + "timeouts: {idle: 60s}\n", []string{"for 1m unless it is configured otherwise"}},
		{"one above it", behind + "timeouts: {idle: 61s}\n", nil},
		{"no room between", behind + "timeouts: {upstreamHeader: 70s}\n", []string{"make 1m15s together"}},
		{"just room between", behind + "timeouts: {upstreamHeader: 69s}\n", nil},
		{"both", behind + "timeouts: {idle: 50s, upstreamHeader: 45s}\n", []string{"make 50s together", "idle is 50s"}},
		{"nothing in front", "timeouts: {idle: 50s, upstreamHeader: 45s}\n", nil},
		{"a socket, and no proxy trusted", "listen: unix:/run/a.sock\n" + behind, []string{"add unix"}},
		{"a socket, and its peers trusted", "listen: unix:/run/a.sock\ntrustedProxies: [unix]\n", nil},
		{"no socket, and its peers trusted", "trustedProxies: [10.0.0.0/16, unix]\n", []string{"no client connects through one"}},
		{"records that are not written", "audit: {output: none, onFull: block}\n", []string{"no request is recorded"}},
		{"records of refusals alone", "audit: {exclude: [/healthz, \"/**\"]}\n", []string{"no allowed request is recorded"}},
		{"records but for a poller's", "audit: {onFull: block, exclude: [/healthz]}\n", nil},
		{"only an admin socket", "adminListen: unix:/run/a.sock\ntrustedProxies: [unix]\n", []string{"no client connects through one"}},
	} {
		parsed, err := config.Parse("authgate.yaml", []byte(c.text+string(read(t, "testdata/good-minimal.yaml"))))
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		got := parsed.Warnings()
		if len(got) != len(c.advice) {
			t.Errorf("%s: %q", c.what, got)
			continue
		}
		for i, word := range c.advice {
			if !strings.Contains(got[i], word) {
				t.Errorf("%s: %q does not say %q", c.what, got[i], word)
			}
		}
	}
}

func TestWhatWouldSurprisePeopleWhoAreSignedInIsTold(t *testing.T) {
	t.Parallel()
	const (
		session = "session: {keys: {file: k}, "
		head    = "issuer: {url: https://dex.example.com, clientID: a, clientSecret: {file: s}}\n"
		tail    = "\nupstreams: [{name: a, hosts: [a.example.com], url: http://a}]\n"
	)
	for _, c := range []struct {
		what, text string
		advice     []string
	}{
		{"the defaults", head + "session: {keys: {file: k}}", nil},
		{"no refresh token", "issuer: {url: https://dex.example.com, clientID: a, clientSecret: {file: s}, scopes: [openid, groups]}\nsession: {keys: {file: k}}", []string{"has no offline_access"}},
		{"groups read very often", head + session + "refreshEvery: 59s}", []string{"refreshEvery is 59s"}},
		{"groups never read again", head + session + "refreshEvery: 8h, lifetime: 8h}", []string{"never again"}},
		{"idle longer than it lasts", head + session + "idleTimeout: 12h}", []string{"no session lasts long enough"}},
		{"idle before a page is read", head + session + "idleTimeout: 59s}", []string{"is signed out"}},
		{"idle just shorter", head + session + "idleTimeout: 11h59m}", nil},
		{"redis that is not used", head + session + "redis: {url: {env: REDIS_URL}}}", []string{"session.redis is not used"}},
		{"a CA that is not used", head + session + "redis: {caFile: ca.crt}}", []string{"session.redis is not used"}},
		{"redis that is used", head + session + "store: redis, redis: {url: {env: REDIS_URL}, caFile: ca.crt}}", nil},
		{"sent from anywhere", head + session + "cookie: {sameSite: none}}", []string{"pages of any site"}},
		{"sent from nowhere else", head + session + "cookie: {sameSite: strict}}", []string{"follows a link from elsewhere"}},
		{"an admin token on loopback", "adminToken: {file: t}\n" + head + session + "}", nil},
		{"an admin token on a socket", "adminToken: {file: t}\nadminListen: unix:/run/a.sock\n" + head + session + "}", nil},
		{"an admin token on the network", "adminToken: {file: t}\nadminListen: \":9090\"\n" + head + session + "}", []string{"adminToken is set"}},
		{"the network without a token", "adminListen: \":9090\"\n" + head + session + "}", nil},
	} {
		parsed, err := config.Parse("authgate.yaml", []byte(c.text+tail))
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		got := parsed.Warnings()
		if len(got) != len(c.advice) {
			t.Errorf("%s: %q", c.what, got)
			continue
		}
		for i, word := range c.advice {
			if !strings.Contains(got[i], word) {
				t.Errorf("%s: %q does not say %q", c.what, got[i], word)
			}
		}
	}
}

func TestTokensThatSayLessThanOneWouldThinkAreTold(t *testing.T) {
	t.Parallel()
	const (
		actions = "issuer: https://token.actions.githubusercontent.com, audience: authgate"
		owner   = "repository_owner_id: [\"65\"]"
		other   = "issuer: https://ci.example.com, audience: authgate"
	)
	for _, c := range []struct {
		what, bearer string
		advice       []string
	}{
		{"all that is advised", actions + `, require: {` + owner + `, event_name: [push]}, groups: ["ci:{repository}:{ref}"]`, nil},
		{"nothing about the owner", actions, []string{"no condition on the owner"}},
		{"something else than the owner", actions + `, require: {event_name: [push]}`, []string{"no condition on the owner"}},
		{"the owner's name", actions + `, require: {repository_owner: [example-org]}`, []string{"requires a name and no id"}},
		{"the issuer of one enterprise", "issuer: https://token.actions.githubusercontent.com/example, audience: a, require: {enterprise: [example]}", nil},
		{"an issuer of one's own", other + `, require: {project_id: ["1"]}`, nil},
		{"an issuer of one's own, no condition", other, []string{"has no require"}},
		{"GitLab for every user", "issuer: https://gitlab.com, audience: a, require: {ref: [main]}", []string{"no condition on the owner"}},
		{"a pattern", other + `, require: {sub: ["repo:example-org/*"]}`, []string{"no patterns"}},
		{"http", `issuer: "http://127.0.0.1:1", audience: a, require: {sub: [a]}`, []string{"is http"}},
		{"sub in a group", actions + `, require: {` + owner + `}, groups: ["ci:{sub}"]`, []string{"no one form"}},
		{"sub required", actions + `, require: {` + owner + `, sub: [a]}`, []string{"no one form"}},
		{"sub at GitHub Enterprise", `issuer: https://ghe.example.com/_services/token, audience: a, require: {sub: [a]}`, []string{"no one form"}},
		{"sub at ghe.com", `issuer: https://token.actions.example.ghe.com, audience: a, require: {sub: [a]}`, []string{"no one form"}},
		{"sub elsewhere", other + `, require: {sub: [a]}, groups: ["ci:{sub}"]`, nil},
		{"a ref by any actor", actions + `, require: {` + owner + `}, groups: ["ci:{ref}"]`, []string{"pull_request_target"}},
		{"a ref and an environment", actions + `, require: {` + owner + `}, groups: ["ci:{ref}:{environment}"]`, nil},
		{"a group that the token begins", other + `, require: {a: [b]}, groups: ["{sub}"]`, []string{"begins with what the token says"}},
		{"a person for a holder", other + `, require: {a: [b]}, subjectClaim: actor`, []string{"may mistake a job for the user"}},
		{"two of one issuer with one word", other + `, require: {a: [b]}, groups: ["ci:{x}"]}, {issuer: https://ci.example.com, audience: b, require: {a: [b]}, groups: ["ci:{x}"]`, nil},
		{"two issuers with one word", other + `, require: {a: [b]}, groups: ["ci:{x}"]}, {issuer: https://x.example.com, audience: b, require: {a: [b]}, groups: ["ci:{y}"]`, []string{"cannot tell the two apart"}},
		{"a further audience of the issuer itself", "issuer: https://dex.example.com/dex, audience: argo-cd-cli", nil},
	} {
		parsed, err := config.Parse("authgate.yaml", []byte("bearer: [{"+c.bearer+"}]\n"+string(read(t, "testdata/good-minimal.yaml"))))
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		got := parsed.Warnings()
		if len(got) != len(c.advice) {
			t.Errorf("%s: %q", c.what, got)
			continue
		}
		for i, word := range c.advice {
			if !strings.Contains(got[i], word) || !strings.HasPrefix(got[i], "bearer[") {
				t.Errorf("%s: %q does not say %q", c.what, got[i], word)
			}
		}
	}
}

func TestASecretSaysWhichFileItIsIn(t *testing.T) {
	t.Parallel()
	c, err := config.Load("testdata/good-sessions.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		secret config.Secret
		want   string
	}{{c.Session.Keys, "testdata/session-keys"}, {c.AdminToken, "testdata/admin-token"}, {c.Session.Redis.URL, ""}, {c.Issuer.ClientID, ""}, {config.Secret{}, ""}} {
		if got := s.secret.File(); got != s.want {
			t.Errorf("file %q, want %q", got, s.want)
		}
	}
}

func TestAddressesOfEachFormAreRead(t *testing.T) {
	t.Parallel()
	c, err := config.Load("testdata/good-sockets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c.TrustedProxies[0] != config.UnixPeers() || c.TrustedProxies[1].String() != "10.0.0.0/16" {
		t.Errorf("trusted: %v", c.TrustedProxies)
	}
	if !c.TLS.Enabled() || c.TLS.KeyFile != "testdata/tls.key" {
		t.Errorf("TLS: %+v", c.TLS)
	}
	for i, want := range []struct{ scheme, host, path string }{
		{"unix", "", "/" + strings.Repeat("x", 106)},
		{"h2c", "b:8443", ""},
		{"unix", "", "/run/a b%2F?#.sock"},
		{"h2c", "[::1]", ""},
		{"https", "e", ""},
	} {
		if u := c.Upstreams[i].URL; u.Scheme != want.scheme || u.Host != want.host || u.Path != want.path {
			t.Errorf("upstream %d: %+v, want %+v", i, u, want)
		}
	}
}

func TestCallbacksOfAWildcardHostAreTold(t *testing.T) {
	t.Parallel()
	text := strings.Replace(string(read(t, "testdata/good-minimal.yaml")), `hosts: ["*"]`, `hosts: ["*.apps.example.com"]`, 1)
	parsed, err := config.Parse("authgate.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.Warnings(); len(got) != 1 || !strings.Contains(got[0], `"*.apps.example.com"`) || !strings.Contains(got[0], "https://HOST/oauth2/callback") {
		t.Errorf("%q", got)
	}
}
