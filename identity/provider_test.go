package identity_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/identity"
)

func TestNothingIsAskedBeforeRun(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := identity.New(config(i.url), discard)
	if err := rp.Ready(); !errors.Is(err, identity.ErrNotReady) {
		t.Errorf("Ready: %v", err)
	}
	if _, _, err := rp.Begin(redirectURI, identity.BeginOptions{}); !errors.Is(err, identity.ErrNotReady) {
		t.Errorf("Begin: %v", err)
	}
	if _, err := rp.Finish(t.Context(), identity.Login{}, nil); !errors.Is(err, identity.ErrNotReady) {
		t.Errorf("Finish: %v", err)
	}
	if rp.Up() || len(i.asked) != 0 {
		t.Errorf("up: %v, asked: %q", rp.Up(), i.asked)
	}
}

func TestIssuerMayStartAfterAuthgate(t *testing.T) {
	t.Parallel()
	rsaKeys[0]()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		i := newIssuer("https://dex.example.com/dex")
		const discovery = "/.well-known/openid-configuration"
		down := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) }
		i.instead[discovery] = down

		var log locked
		rp := identity.NewOver(config(i.url), slog.New(slog.NewTextHandler(&log, nil)), memory{i})
		var running sync.WaitGroup
		running.Go(func() { rp.Run(ctx) })

		<-time.After(10 * time.Minute)
		err := rp.Ready()
		if !errors.Is(err, identity.ErrNotReady) || !strings.Contains(err.Error(), "discovering issuer https://dex.example.com/dex: no usable answer of the issuer to GET https://dex.example.com/dex/.well-known/openid-configuration: it answered 503 Service Unavailable") {
			t.Errorf("Ready while the issuer is down: %v", err)
		}
		if n := i.wasAsked(discovery); n < 20 || n > 50 {
			t.Errorf("asked %d times in ten minutes", n)
		}

		i.bend(func(i *issuer) { delete(i.instead, discovery) })
		began := time.Now()
		<-rp.Discovered()
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("found only after %s", took)
		}
		synctest.Wait()
		if rp.Ready() != nil || !rp.Up() {
			t.Errorf("discovered: ready %v, up %v", rp.Ready(), rp.Up())
		}
		if _, err := i.login(t, rp); err != nil {
			t.Error(err)
		}

		i.bend(func(i *issuer) { i.instead[discovery] = down })
		<-time.After(time.Minute)
		if rp.Up() || rp.Ready() != nil {
			t.Errorf("outage later: up %v, ready %v", rp.Up(), rp.Ready())
		}
		i.bend(func(i *issuer) { delete(i.instead, discovery) })
		<-time.After(time.Minute)
		if !rp.Up() {
			t.Error("back again: not up")
		}
		keys := i.wasAsked("/keys")
		if _, err := i.login(t, rp); err != nil || i.wasAsked("/keys") != keys {
			t.Errorf("looking at the issuer made it forget its keys, or: %v", err)
		}

		stop()
		running.Wait()
		for _, words := range []string{"issuer is not usable", "issuer discovered", "issuer reachable again"} {
			if !strings.Contains(log.String(), words) {
				t.Errorf("the log does not say %q:\n%s", words, log.String())
			}
		}
	})
}

func TestIssuerThatStartsWithAuthgateIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	rsaKeys[0]()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("https://dex.example.com/dex")
		began := time.Now()
		refusals := 3
		i.instead["/.well-known/openid-configuration"] = func(w http.ResponseWriter, _ *http.Request) {
			if refusals--; refusals == 0 {
				delete(i.instead, "/.well-known/openid-configuration")
			}
			http.Error(w, "no", http.StatusBadGateway)
		}
		rp := identity.NewOver(config(i.url), discard, memory{i})
		ctx, stop := context.WithCancel(t.Context())
		go rp.Run(ctx)
		<-rp.Discovered()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("found only after %s", took)
		}
		stop()
		synctest.Wait()
	})
}

func TestMovedEndpointIsFollowedWithoutRestart(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	i.bend(func(i *issuer) {
		i.document = func(d map[string]any) { d["authorization_endpoint"] = i.url + "/authorize" }
	})
	rp.Look(t.Context())
	_, there, err := rp.Begin(redirectURI, identity.BeginOptions{})
	if err != nil || !strings.HasPrefix(there, i.url+"/authorize?") {
		t.Errorf("%s, %v", there, err)
	}
}

func TestAnUnusableIssuerNamesTheFaultAndTheFix(t *testing.T) {
	t.Parallel()
	announce := func(name string, value any) func(*issuer) {
		return func(i *issuer) { i.document = func(d map[string]any) { d[name] = value } }
	}
	reply := func(h http.HandlerFunc) func(*issuer) {
		return func(i *issuer) { i.instead["/.well-known/openid-configuration"] = h }
	}
	for name, row := range map[string]struct {
		bend func(*issuer)
		cfg  func(*identity.Config)
		want string // %s is the issuer
	}{
		"slash too much here":  {cfg: func(c *identity.Config) { c.URL += "/" }, want: "the issuer calls itself %s, the configuration says %s/: write issuer.url exactly as the issuer does, trailing slash included"},
		"slash too much there": {bend: func(i *issuer) { i.document = func(d map[string]any) { d["issuer"] = i.url + "/" } }, want: "the issuer calls itself %s/, the configuration says %s: write issuer.url exactly"},
		"another issuer":       {bend: announce("issuer", "https://other.example.com"), want: "the issuer calls itself https://other.example.com, the configuration says %s: one of them is wrong"},
		"no issuer":            {bend: announce("issuer", nil), want: "the issuer calls itself , the configuration says %s"},
		"not found":            {cfg: func(c *identity.Config) { c.URL += "/nowhere" }, want: "GET %s/nowhere/.well-known/openid-configuration: it answered 404 Not Found"},
		"not a page of ours":   {bend: reply(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<p>token=SECRETWORD")) }), want: "not JSON, beginning with: <p>token=[redacted]"},
		"endless":              {bend: reply(func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte(" "), 2<<20)) }), want: "larger than 1 MiB"},
		"error page":           {bend: reply(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken: token=SECRETWORD", 500) }), want: "it answered 500 Internal Server Error, beginning with: broken: token=[redacted]"},
		"redirect": {bend: reply(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://x.example.com/y?SECRETWORD", http.StatusMovedPermanently)
		}), want: "it redirects to https://x.example.com/y, which is not followed"},
		"wrong types":          {bend: announce("token_endpoint_auth_methods_supported", "SECRETWORD"), want: "members of the wrong type"},
		"no token endpoint":    {bend: announce("token_endpoint", ""), want: "its token_endpoint is missing in the discovery document"},
		"no keys":              {bend: announce("jwks_uri", nil), want: "its jwks_uri is missing"},
		"keys in a file":       {bend: announce("jwks_uri", "file:///etc/passwd"), want: `its jwks_uri "file:///etc/passwd" does not begin with https:// or http://`},
		"script to log in":     {bend: announce("authorization_endpoint", "javascript:alert(1)"), want: "its authorization_endpoint"},
		"private_key_jwt only": {bend: announce("token_endpoint_auth_methods_supported", []string{"private_key_jwt"}), want: "it wants clients to authenticate by private_key_jwt; only client_secret_basic and client_secret_post are supported"},
		"no server there":      {cfg: func(c *identity.Config) { c.URL = "http://127.0.0.1:1/dex" }, want: "GET http://127.0.0.1:1/dex/.well-known/openid-configuration: dial tcp 127.0.0.1:1: connect: connection refused"},
		"https asked of http":  {cfg: func(c *identity.Config) { c.URL = strings.Replace(c.URL, "http:", "https:", 1) }, want: "it does not speak TLS, although https was asked for"},
		"not a URL":            {cfg: func(c *identity.Config) { c.URL = "http://x:y/\x7f" }, want: "issuer.url is not a URL"},
		"no scheme":            {cfg: func(c *identity.Config) { c.URL = "dex.example.com" }, want: "issuer.url does not begin with https:// or http://"},
		"password in the URL":  {cfg: func(c *identity.Config) { c.URL = "https://u:SECRETWORD@dex.example.com" }, want: "issuer.url holds a user name or password"},
		"backchannel no URL":   {cfg: func(c *identity.Config) { c.BackchannelURL = "dex:5556" }, want: "issuer.backchannelURL does not begin with"},
		"backchannel down":     {cfg: func(c *identity.Config) { c.BackchannelURL = "http://127.0.0.1:1/back" }, want: "GET http://127.0.0.1:1/back/.well-known/openid-configuration: dial tcp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serve(t)
			if row.bend != nil {
				i.bend(row.bend)
			}
			cfg := config(i.url)
			if row.cfg != nil {
				row.cfg(&cfg)
			}
			rp := identity.New(cfg, discard)
			rp.Look(t.Context())
			err := rp.Ready()
			if want := strings.ReplaceAll(row.want, "%s", i.url); !errors.Is(err, identity.ErrNotReady) || !strings.Contains(err.Error(), want) {
				t.Errorf("got:  %v\nwant: ... %s ...", err, want)
			}
			if err != nil && strings.Contains(err.Error(), "SECRETWORD") {
				t.Errorf("the error repeats what it should not: %v", err)
			}
			if rp.Up() {
				t.Error("it counts as up")
			}
		})
	}
}

func TestHTTPSIssuerWithAnHTTPEndpointIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri"} {
		i := newIssuer("https://dex.example.com")
		i.document = func(d map[string]any) { d[name] = "http://dex.example.com/x" }
		rp := identity.NewOver(config(i.url), discard, memory{i})
		rp.Look(t.Context())
		if err := rp.Ready(); err == nil || !strings.Contains(err.Error(), "its "+name+` "http://dex.example.com/x" is http although the issuer is https`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The public address does not respond here, so whatever does not take the
// backchannel fails.
func TestBackchannelTakesDiscoveryKeysAndTokensAndNothingElse(t *testing.T) {
	t.Parallel()
	const front = "http://127.0.0.1:1/api/dex"
	for name, path := range map[string]string{"same path": "/api/dex", "another path": "/inside/", "no path": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(front)
			var hosts sync.Map
			back := httptest.NewServer(http.StripPrefix(strings.TrimSuffix(path, "/"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				hosts.Store(r.Host, true)
				r.URL.Path = "/api/dex" + r.URL.Path // what the issuer expects
				i.ServeHTTP(w, r)
			})))
			defer back.Close()
			cfg := config(front)
			cfg.BackchannelURL = back.URL + path
			rp := party(t, cfg)
			_, there, err := rp.Begin(redirectURI, identity.BeginOptions{})
			if err != nil || !strings.HasPrefix(there, front+"/auth?") {
				t.Errorf("the browser is sent to %s, %v", there, err)
			}
			p, err := i.login(t, rp)
			if err != nil || p.Issuer != front {
				t.Errorf("%+v, %v", p, err)
			}
			for _, path := range []string{"/.well-known/openid-configuration", "/keys", "/token"} {
				if i.wasAsked(path) == 0 {
					t.Errorf("%s was not asked", path)
				}
			}
			if _, ok := hosts.Load(must(url.Parse(back.URL)).Host); !ok {
				t.Error("the Host is not the backchannel's")
			}
		})
	}
}

func TestBackchannelTakesOnlyWhatIsBelowTheIssuer(t *testing.T) {
	t.Parallel()
	const front = "http://127.0.0.1:1/dex"
	for _, elsewhere := range []string{
		"http://127.0.0.1:1/dexter/keys", "http://127.0.0.1:1/keys", "http://127.0.0.1:2/dex/keys", "https://127.0.0.1:1/dex/keys", "http://127.0.0.1:1/DEX/keys",
	} {
		i := newIssuer(front)
		i.document = func(d map[string]any) { d["jwks_uri"] = elsewhere }
		back := httptest.NewServer(i)
		cfg := config(front)
		cfg.BackchannelURL = back.URL + "/dex"
		_, err := i.login(t, party(t, cfg))
		wantUnreachable(t, err, "GET "+elsewhere+": dial tcp")
		back.Close()
	}
}

func TestBackchannelOfAnHTTPSIssuerMayBeHTTP(t *testing.T) {
	t.Parallel()
	const front = "https://argo-cd.example.com/api/dex"
	i := newIssuer(front)
	back := httptest.NewServer(i)
	defer back.Close()
	cfg := config(front)
	cfg.BackchannelURL = back.URL + "/api/dex"
	for _, keys := range []string{front + "/keys", back.URL + "/api/dex/keys"} { // some issuers name what they were asked by
		i.bend(func(i *issuer) { i.document = func(d map[string]any) { d["jwks_uri"] = keys } })
		if _, err := i.login(t, party(t, cfg)); err != nil {
			t.Errorf("jwks_uri %s: %v", keys, err)
		}
	}
}

func TestBackchannelToAnotherIssuerIsNoticed(t *testing.T) {
	t.Parallel()
	i := serve(t)
	cfg := config("https://argo-cd.example.com/api/dex")
	cfg.BackchannelURL = i.url
	rp := identity.New(cfg, discard)
	rp.Look(t.Context())
	if err := rp.Ready(); err == nil || !strings.Contains(err.Error(), "the issuer calls itself "+i.url+", the configuration says https://argo-cd.example.com/api/dex: one of them is wrong, or issuer.backchannelURL leads to another issuer") {
		t.Error(err)
	}
}

func TestIssuerWithAnAuthorityOfItsOwnNeedsCAFile(t *testing.T) {
	t.Parallel()
	i := newIssuer("")
	srv := httptest.NewUnstartedServer(i)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	defer srv.Close()
	i.bend(func(i *issuer) { i.url = srv.URL + "/dex" })

	rp := identity.New(config(i.url), discard)
	rp.Look(t.Context())
	if err := rp.Ready(); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority; issuer.caFile names a further authority to trust") {
		t.Error(err)
	}
	cfg := config(i.url)
	cfg.RootCAs = x509.NewCertPool()
	cfg.RootCAs.AddCert(srv.Certificate())
	if _, err := i.login(t, party(t, cfg)); err != nil {
		t.Error(err)
	}
}

func TestManyLogInWhileTheIssuerIsLookedAt(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := i.login(t, rp); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() { rp.Look(t.Context()) })
	}
	all.Wait()
}

// locked is a buffer for a log that is read while it is written.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
