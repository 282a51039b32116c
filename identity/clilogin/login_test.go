package clilogin_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/identity/clilogin"
)

func TestABrowserLoginIsThatOfANativeProgram(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var there *url.URL
	open := d.cfg.OpenURL
	d.cfg.OpenURL = func(address string) error {
		there = must(url.Parse(address))
		return open(address)
	}
	token := d.mustToken()
	q := there.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": clientID, "code_challenge_method": "S256", "scope": "groups offline_access openid",
	} {
		if q.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, q.Get(name), want)
		}
	}
	if back := must(url.Parse(q.Get("redirect_uri"))); back.Hostname() != "127.0.0.1" || back.Port() == "" || back.Scheme != "http" {
		t.Errorf("the browser comes back to %s", back)
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(q.Get(name)) < 43 {
			t.Errorf("%s is %q, want 256 bits of chance", name, q.Get(name))
		}
	}
	if !strings.Contains(d.heard(), there.String()) {
		t.Error("the address is not told")
	}
	if len(d.pages) != 1 || !strings.Contains(d.pages[0], "200 ") || !strings.Contains(d.pages[0], "You are logged in.") {
		t.Errorf("the browser shows %q", d.pages)
	}
	for _, secret := range []string{token.Raw, refreshTokenIn(t, d.file())} {
		if strings.Contains(d.heard(), secret) || strings.Contains(d.pages[0], secret) {
			t.Error("a token is told")
		}
	}
}

func TestWhatDoesNotBelongToALoginNeitherEndsNorSpoilsIt(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.cfg.OpenURL = func(there string) error {
		back := d.issuer.approve(there)
		u := must(url.Parse(back))
		with := func(change func(url.Values)) string {
			q := u.Query()
			change(q)
			other := *u
			other.RawQuery = q.Encode()
			return other.String()
		}
		for _, c := range []struct {
			name, address, host string
			status              int
		}{
			{"another login's state", with(func(q url.Values) { q.Set("state", "x") }), "", 400},
			{"no state", with(func(q url.Values) { q.Del("state") }), "", 400},
			{"an error without state", with(func(q url.Values) { q.Del("state"); q.Set("error", "access_denied") }), "", 400},
			{"another path", strings.Replace(back, "/callback", "/", 1), "", 404},
			{"a name that was rebound", back, "evil.example.com", 421},
		} {
			status, body, err := get(c.address, c.host)
			if err != nil || status != c.status || strings.Contains(body, u.Query().Get("code")) {
				t.Errorf("%s: %d %v: %s", c.name, status, err, body)
			}
		}
		return d.visit(back)
	}
	d.mustToken()
	d.asked(1, 0)
}

func TestABrowserMayAnswerOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.issuer.instead["/token"] = nil
	second := make(chan int, 1)
	d.cfg.OpenURL = func(there string) error {
		back := d.issuer.approve(there)
		d.issuer.bend(func() {
			d.issuer.tokens = func(map[string]any) { // the first one is on its way
				status, _, _ := get(back, "")
				second <- status
			}
		})
		return d.visit(back)
	}
	d.mustToken()
	if status := <-second; status != http.StatusConflict {
		t.Errorf("the second answer gets %d", status)
	}
}

func TestARefusedLoginIsToldInTheTerminalAndInTheBrowser(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(url.Values)
		want   string
	}{
		{"no", func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("error_description", "not\x1b[31m you")
		}, "the issuer refused the login: access_denied (not [31m you)"},
		{"an audience that does not trust", func(q url.Values) { q.Set("error", "invalid_scope") }, "trustedPeers"},
		{"an error that is none", func(q url.Values) { q.Set("error", "<script>") }, "unknown_error"},
		{"neither", func(q url.Values) { q.Del("code") }, "neither a code nor an error"},
		{"two codes", func(q url.Values) { q.Add("code", "x") }, "code more than once"},
		{"another issuer", func(q url.Values) { q.Set("iss", "https://evil.example.com") }, "RFC 9207"},
		{"a code that is not good", func(q url.Values) { q.Set("code", "x") }, "invalid_grant: the code is used up or too old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.cfg.OpenURL = func(there string) error {
				u := must(url.Parse(d.issuer.approve(there)))
				q := u.Query()
				c.change(q)
				u.RawQuery = q.Encode()
				return d.visit(u.String())
			}
			_, err := d.token()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
			if len(d.pages) != 1 || !strings.Contains(d.pages[0], "502 ") || strings.Contains(d.pages[0], "<script>") || !strings.Contains(d.pages[0], "You are not logged in.") {
				t.Errorf("the browser shows %q", d.pages)
			}
			if len(d.files()) != 0 {
				t.Error("something is kept")
			}
		})
	}
}

func TestAnIDTokenIsGivenOutOnlyIfItIsOfTheIssuerForThisClientAndThisLogin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		claims func(map[string]any)
		tokens func(map[string]any)
		want   string
	}{
		{"another client", func(m map[string]any) { m["aud"] = "another" }, nil, "expected audience"},
		{"another issuer", func(m map[string]any) { m["iss"] = "https://evil.example.com" }, nil, "issued by a different provider"},
		{"asked for by another client", func(m map[string]any) { m["azp"] = "another" }, nil, "azp"},
		{"several clients and no party", func(m map[string]any) { m["aud"] = []string{clientID, "another"} }, nil, "azp"},
		{"another login", func(m map[string]any) { m["nonce"] = "x" }, nil, "nonce"},
		{"no nonce", func(m map[string]any) { delete(m, "nonce") }, nil, "nonce"},
		{"no subject", func(m map[string]any) { delete(m, "sub") }, nil, "no sub"},
		{"expired", func(m map[string]any) { m["exp"] = m["iat"].(int64) - 31 }, nil, "2026-03-01T09:59:29Z, and this machine's clock says 2026-03-01T10:00:00Z: do the clocks differ?"},
		{"no expiry", func(m map[string]any) { delete(m, "exp") }, nil, "expired"},
		{"another access token", func(m map[string]any) { m["at_hash"] = "x" }, nil, "at_hash"},
		{"none", nil, func(m map[string]any) { delete(m, "id_token") }, "sent no ID token"},
		{"not a token", nil, func(m map[string]any) { m["id_token"] = "s3cret" }, "malformed jwt"},
		{"a symmetric key", nil, func(m map[string]any) {
			m["id_token"] = sign([]byte(strings.Repeat("s3cret", 8)), jose.HS256, map[string]string{"iss": issuerURL})
		}, "ID token refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.issuer.claims, d.issuer.tokens = c.claims, c.tokens
			_, err := d.token()
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestClocksMayDifferALittle(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.issuer.claims = func(m map[string]any) { m["exp"] = m["iat"].(int64) - 29 }
	d.mustToken()
}

func TestATokenForAnAudienceIsForIt(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.cfg.Audiences = []string{"authgate"}
	if _, err := d.token(); err == nil || !strings.Contains(err.Error(), `that is not for "authgate"; in Dex, that client has to name "authgate-cli" in its trustedPeers`) {
		t.Errorf("the error is %v", err)
	}
	d.issuer.bend(func() {
		d.issuer.claims = func(m map[string]any) { m["aud"], m["azp"] = []string{"authgate", clientID}, clientID }
	})
	d.mustToken()
	if !strings.Contains(d.heard(), url.QueryEscape("audience:server:client_id:authgate")) {
		t.Errorf("the scope is not asked for:\n%s", d.heard())
	}
}

func TestAClientWithASecretShowsIt(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.issuer.secret = "s3cret"
	if _, err := d.token(); err == nil || !strings.Contains(err.Error(), "must be public") {
		t.Errorf("without it: %v", err)
	}
	d.mustToken(func(c *clilogin.Config) { c.ClientSecret = "s3cret" })
	_, err := clilogin.New(clilogin.Config{Issuer: issuerURL, ClientID: clientID, ClientSecret: "s3cret", Device: true})
	if err == nil || !strings.Contains(err.Error(), "public client") {
		t.Errorf("by code: %v", err)
	}
}

func TestALoginByCodeWaitsForThePerson(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.issuer.pending = 3
		began := time.Now()
		d.mustToken(func(c *clilogin.Config) { c.Device = true })
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("it took %s, want four polls of 5 s", took)
		}
		for _, want := range []string{"WDJB-MJHT", issuerURL + "/device", issuerURL + "/device?user_code=WDJB-MJHT"} {
			if !strings.Contains(d.heard(), want) {
				t.Errorf("%s is not told:\n%s", want, d.heard())
			}
		}
		d.pass(2 * time.Hour)
		d.mustToken(func(c *clilogin.Config) { c.Device = true })
		d.asked(0, 1)
	})
}

func TestALoginByCodeThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	refuse := func(status int, code string) func(*issuer) {
		return func(i *issuer) {
			i.instead["/token"] = func(w http.ResponseWriter, _ *http.Request) { answer(w, status, map[string]string{"error": code}) }
		}
	}
	for _, c := range []struct {
		name string
		bend func(*issuer)
		want string
	}{
		{"not offered", func(i *issuer) { i.document = func(m map[string]any) { delete(m, "device_authorization_endpoint") } }, "leave --device out"},
		{"offered in clear", func(i *issuer) {
			i.document = func(m map[string]any) { m["device_authorization_endpoint"] = "http://dex.example.com/" }
		}, "is http although the issuer is https"},
		{"no code", func(i *issuer) {
			i.instead["/device/code"] = func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, map[string]string{}) }
		}, "lacks device_code"},
		{"a file to open", func(i *issuer) {
			i.instead["/device/code"] = func(w http.ResponseWriter, _ *http.Request) {
				answer(w, 200, map[string]string{"device_code": "x", "user_code": "x", "verification_uri": "file:///x"})
			}
		}, "lacks device_code"},
		{"refused", refuse(401, "access_denied"), "the login was rejected"},
		{"too late", refuse(400, "expired_token"), "not entered in time"},
		{"never", refuse(400, "authorization_pending"), "not entered in time"},
		{"no answer", func(i *issuer) {
			i.instead["/token"] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		}, "no usable answer of the issuer to POST " + issuerURL + "/token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				c.bend(d.issuer)
				_, err := d.token(func(c *clilogin.Config) { c.Device = true })
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("the error is %v, want %q in it", err, c.want)
				}
			})
		})
	}
}

func TestAnIssuerThatIsNoneSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const discovery = "/.well-known/openid-configuration"
	for _, c := range []struct {
		name string
		bend func(*issuer)
		want string
	}{
		{"not there", func(i *issuer) {
			i.instead[discovery] = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "s3cret", 404) }
		}, "GET " + issuerURL + discovery + ": it answered 404 Not Found"},
		{"something else", func(i *issuer) {
			i.instead[discovery] = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>s3cret")) }
		}, "is this the address of an issuer?"},
		{"another name", func(i *issuer) { i.document = func(m map[string]any) { m["issuer"] = issuerURL + "/" } }, `it calls itself "` + issuerURL + `/"; write that`},
		{"in clear", func(i *issuer) {
			i.document = func(m map[string]any) { m["token_endpoint"] = "http://dex.example.com/token" }
		}, "is http although the issuer is https"},
		{"a file to open", func(i *issuer) {
			i.document = func(m map[string]any) { m["authorization_endpoint"] = "file:///bin/sh" }
		}, "does not begin with https:// or http://"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.cfg.OpenURL = func(there string) error { t.Errorf("the browser is to open %s", there); return nil }
			c.bend(d.issuer)
			_, err := d.token()
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestAnUnfinishedLoginTimesOut(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	patience := errors.New("no patience")
	ctx, cancel := context.WithCancelCause(t.Context())
	d.cfg.OpenURL = func(string) error {
		cancel(patience)
		return errors.New("no such program")
	}
	if _, err := must(clilogin.New(d.cfg)).Token(ctx); !errors.Is(err, patience) {
		t.Errorf("the error is %v", err)
	}
	if !strings.Contains(d.heard(), "the browser could not be opened for you: no such program") {
		t.Errorf("said is:\n%s", d.heard())
	}
}

func TestWhatCannotBeUsedIsRefusedBeforeAnythingIsAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  clilogin.Config
		want string
	}{
		{clilogin.Config{Issuer: "dex.example.com", ClientID: "a"}, "does not begin with https://"},
		{clilogin.Config{Issuer: "https://u:s3cret@dex.example.com", ClientID: "a"}, "holds a user name or password"},
		{clilogin.Config{Issuer: issuerURL}, "no client ID"},
		{clilogin.Config{Issuer: issuerURL, ClientID: "a", Scopes: []string{"a b"}}, `"a b" is not a scope`},
		{clilogin.Config{Issuer: issuerURL, ClientID: "a", Audiences: []string{""}}, "is not a scope"},
		{clilogin.Config{Issuer: issuerURL, ClientID: "a", Listen: "0.0.0.0:8000"}, "is not a loopback address"},
		{clilogin.Config{Issuer: issuerURL, ClientID: "a", Listen: ":8000"}, "is not a loopback address"},
		{clilogin.Config{Issuer: issuerURL, ClientID: "a", Listen: "example.com:8000"}, "is not a loopback address"},
		{clilogin.Config{Issuer: issuerURL, ClientID: "a", Listen: "127.0.0.1"}, "is not a loopback address"},
	} {
		if _, err := clilogin.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("the error is %v, want %q in it", err, c.want)
		}
	}
	for _, listen := range []string{"localhost:0", "[::1]:0", "127.0.0.1:8000"} {
		if _, err := clilogin.New(clilogin.Config{Issuer: issuerURL, ClientID: "a", Listen: listen}); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
}
