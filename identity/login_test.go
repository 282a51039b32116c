package identity_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/example-org/authgate/identity"
)

func TestLoginSurvivesTheCookieBetweenItsHalves(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	l, there, err := rp.Begin(redirectURI, identity.BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var kept identity.Login
	if err := json.Unmarshal(must(json.Marshal(l)), &kept); err != nil {
		t.Fatal(err)
	}
	g, err := rp.Finish(t.Context(), kept, i.approve(t, there))
	p := g.Principal
	if err != nil || p.Subject == "" || p.Groups[0] != "example-org:argo" {
		t.Errorf("%+v, %v", p, err)
	}
	if said := fmt.Sprintf("%v %+v %#v %s %v", l, l, l, l, l.LogValue()); strings.Contains(said, l.State) || strings.Contains(said, l.Verifier) {
		t.Errorf("a login in a log says %s", said)
	}
}

func TestEachLoginHas256BitsOfItsOwnInEverySecret(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	seen := map[string]bool{}
	for range 20 {
		l, there, err := rp.Begin(redirectURI, identity.BeginOptions{})
		if err != nil {
			t.Fatal(err)
		}
		nonce, marked := strings.CutPrefix(l.Nonce, "authgate-login.")
		if !marked {
			t.Errorf("the nonce %q does not say whose it is", l.Nonce)
		}
		for _, secret := range []string{l.State, nonce, l.Verifier} {
			if raw, err := base64.RawURLEncoding.DecodeString(secret); err != nil || len(raw) != 32 || seen[secret] {
				t.Errorf("secret %q: %d bytes, %v, seen before: %v", secret, len(raw), err, seen[secret])
			}
			seen[secret] = true
		}
		q := must(url.Parse(there)).Query()
		if q.Get("state") != l.State || q.Get("nonce") != l.Nonce || strings.Contains(there, l.Verifier) {
			t.Errorf("authorization URL %s of %q %q", there, l.State, l.Nonce)
		}
	}
}

func TestScopesAreAskedForWithOpenidInAnyCase(t *testing.T) {
	t.Parallel()
	i := serve(t)
	for want, scopes := range map[string][]string{
		"openid":        nil,
		"openid groups": {"groups"},
		"groups openid": {"groups", "openid"},
	} {
		cfg := config(i.url)
		cfg.Scopes = scopes
		_, there, err := party(t, cfg).Begin(redirectURI, identity.BeginOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := must(url.Parse(there)).Query().Get("scope"); got != want {
			t.Errorf("scopes %q: asked for %q, want %q", scopes, got, want)
		}
	}
}

func TestBadRedirectURIBeginsNothing(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	for _, uri := range []string{"", "/oauth2/callback", "javascript:alert(1)", "https://", "https://u:p@x/cb", "https://x/cb#f", "https://x/%zz"} {
		if l, there, err := rp.Begin(uri, identity.BeginOptions{}); err == nil || there != "" || l != (identity.Login{}) {
			t.Errorf("%q: %q, %v", uri, there, err)
		}
	}
}

func TestAnswersThatBelongToNoLoginAreRefusedBeforeTheCodeIsSent(t *testing.T) {
	t.Parallel()
	type q = url.Values
	mismatch := func(err error) bool { return errors.Is(err, identity.ErrStateMismatch) }
	callback := func(words string) func(error) bool {
		return func(err error) bool {
			e, ok := errors.AsType[*identity.CallbackError](err)
			return ok && strings.Contains(e.Reason, words)
		}
	}
	refusedAs := func(code, description string) func(error) bool {
		return func(err error) bool {
			e, ok := errors.AsType[*identity.LoginRefusedError](err)
			return ok && e.Code == code && e.Description == description
		}
	}
	for name, row := range map[string]struct {
		bend func(l *identity.Login, answer q)
		iss  bool // the issuer promises RFC 9207
		want func(error) bool
	}{
		"state of another login":    {bend: func(_ *identity.Login, a q) { a.Set("state", "another") }, want: mismatch},
		"state missing":             {bend: func(_ *identity.Login, a q) { a.Del("state") }, want: mismatch},
		"state begins like ours":    {bend: func(l *identity.Login, a q) { a.Set("state", l.State[:20]) }, want: mismatch},
		"no login":                  {bend: func(l *identity.Login, _ q) { *l = identity.Login{} }, want: mismatch},
		"no login, no state":        {bend: func(l *identity.Login, a q) { *l = identity.Login{}; a.Del("state") }, want: mismatch},
		"login without a state":     {bend: func(l *identity.Login, a q) { l.State = ""; a.Set("state", "") }, want: mismatch},
		"login without a nonce":     {bend: func(l *identity.Login, _ q) { l.Nonce = "" }, want: mismatch},
		"login without a verifier":  {bend: func(l *identity.Login, _ q) { l.Verifier = "" }, want: mismatch},
		"two states":                {bend: func(_ *identity.Login, a q) { a.Add("state", "another") }, want: callback("state more than once")},
		"two codes":                 {bend: func(_ *identity.Login, a q) { a.Add("code", "another") }, want: callback("code more than once")},
		"neither code nor error":    {bend: func(_ *identity.Login, a q) { a.Del("code") }, want: callback("neither a code nor an error")},
		"iss of another issuer":     {bend: func(_ *identity.Login, a q) { a.Set("iss", "https://evil.example.com") }, want: callback(`it comes from the issuer "https://evil.example.com"`)},
		"iss empty":                 {bend: func(_ *identity.Login, a q) { a.Set("iss", "") }, want: callback(`it comes from the issuer ""`)},
		"iss promised, but missing": {bend: func(*identity.Login, q) {}, iss: true, want: callback("RFC 9207")},
		"error": {
			bend: func(_ *identity.Login, a q) {
				a.Set("error", "access_denied")
				a.Set("error_description", "Not in team")
			},
			want: refusedAs("access_denied", "Not in team"),
		},
		"error of another login": {bend: func(_ *identity.Login, a q) { a.Set("error", "access_denied"); a.Set("state", "x") }, want: mismatch},
		"error that would break a log": {
			bend: func(_ *identity.Login, a q) {
				a.Set("error", "access\ndenied")
				a.Set("error_description", "a\r\nb\x1b[31m\u202e"+strings.Repeat("x", 500))
			},
			want: refusedAs("unknown_error", "a  b [31m "+strings.Repeat("x", 190)+"…"),
		},
		"error that is empty": {bend: func(_ *identity.Login, a q) { a.Set("error", "") }, want: refusedAs("unknown_error", "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serve(t)
			if row.iss {
				i.document = func(d map[string]any) { d["authorization_response_iss_parameter_supported"] = true }
			}
			rp := party(t, config(i.url))
			l, answer := i.halfLogin(t, rp)
			state, code := l.State, answer.Get("code")
			row.bend(&l, answer)
			p, err := rp.Finish(t.Context(), l, answer)
			if err == nil || !row.want(err) {
				t.Errorf("%+v, %T: %v", p, err, err)
			}
			if err != nil && (strings.Contains(err.Error(), state) || strings.Contains(err.Error(), code)) {
				t.Errorf("the error holds a secret: %v", err)
			}
			if i.wasAsked("/token") != 0 {
				t.Error("the code was sent all the same")
			}
		})
	}
}

func TestAnswerThatNamesOurIssuerIsTaken(t *testing.T) {
	t.Parallel()
	i := serve(t)
	i.document = func(d map[string]any) { d["authorization_response_iss_parameter_supported"] = true }
	rp := party(t, config(i.url))
	l, answer := i.halfLogin(t, rp)
	answer.Set("iss", i.url)
	if _, err := rp.Finish(t.Context(), l, answer); err != nil {
		t.Error(err)
	}
}

func TestReplayedCallbackIsRefusedByTheIssuer(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	l, answer := i.halfLogin(t, rp)
	if _, err := rp.Finish(t.Context(), l, answer); err != nil {
		t.Fatal(err)
	}
	_, err := rp.Finish(t.Context(), l, answer)
	wantExchange(t, err, 400, "invalid_grant", "start again (it answered 400 invalid_grant)")
}

func wantExchange(t *testing.T, err error, status int, code, words string) {
	t.Helper()
	e, ok := errors.AsType[*identity.ExchangeError](err)
	if !ok || e.Status != status || e.Code != code || !strings.Contains(e.Error(), words) {
		t.Errorf("got:  %#v %v\nwant: %d %q ... %s ...", err, err, status, code, words)
	}
}

func TestWrongClientSecretSaysWhereToLook(t *testing.T) {
	t.Parallel()
	i := serve(t)
	for _, bend := range []func(*identity.Config){
		func(c *identity.Config) { c.ClientSecret = "wrongsecret" },
		func(c *identity.Config) { c.ClientSecret = "" },
	} {
		cfg := config(i.url)
		bend(&cfg)
		_, err := i.login(t, party(t, cfg))
		wantExchange(t, err, 401, "invalid_client", "the issuer refused the client id or secret: check issuer.clientID and issuer.clientSecret")
		if err != nil && strings.Contains(err.Error(), "wrongsecret") {
			t.Errorf("the error holds the secret: %v", err)
		}
	}
}

func TestTokenEndpointErrorsKeepNothingOfTheAnswer(t *testing.T) {
	t.Parallel()
	const secret = "SECRETWORD"
	reply := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			w.Write([]byte(body))
		}
	}
	for name, row := range map[string]struct {
		reply       http.HandlerFunc
		status      int
		code, words string
		unreachable string
	}{
		"invalid_client by 400": {reply: reply(400, "application/json", `{"error":"invalid_client","error_description":"`+secret+`"}`), status: 400, code: "invalid_client", words: "check issuer.clientID and issuer.clientSecret"},
		"invalid_grant":         {reply: reply(400, "application/json", `{"error":"invalid_grant","error_description":"`+secret+`"}`), status: 400, code: "invalid_grant", words: "did not accept the login code"},
		"another code":          {reply: reply(400, "application/json", `{"error":"unauthorized_client","error_uri":"https://x/`+secret+`"}`), status: 400, code: "unauthorized_client", words: "refused the login code (it answered 400 unauthorized_client)"},
		"code that is no code":  {reply: reply(400, "application/json", `{"error":"`+secret+` <b>"}`), status: 400, code: "unknown_error", words: "it answered 400 unknown_error"},
		"code that is long":     {reply: reply(400, "application/json", `{"error":"`+strings.Repeat(secret, 10)+`"}`), status: 400, code: "unknown_error", words: "it answered 400 unknown_error"},
		"HTML with 500":         {reply: reply(500, "text/html", `<h1>`+secret+`</h1>`), status: 500, words: "refused the login code (it answered 500)"},
		"text with 502":         {reply: reply(502, "text/plain", secret), status: 502, words: "it answered 502"},
		"error with 200":        {reply: reply(200, "application/json", `{"error":"server_error","access_token":"`+secret+`"}`), status: 200, code: "server_error", words: "it answered 200 server_error"},
		"HTML with 200":         {reply: reply(200, "text/html", secret), words: "could not be read"},
		"wrong types":           {reply: reply(200, "application/json", `{"access_token":["`+secret+`"],"expires_in":"`+secret+`"}`), words: "could not be read"},
		"no access token":       {reply: reply(200, "application/json", `{"refresh_token":"`+secret+`"}`), words: "could not be read"},
		"larger than is sane":   {reply: reply(200, "application/json", `{"access_token":"`+strings.Repeat(secret, 1<<18)+`"}`), words: "could not be read"},
		"redirect of the POST": {reply: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://u:p@evil.example.com/t?"+secret, http.StatusTemporaryRedirect)
		}, unreachable: "/dex/token: it redirects to https://evil.example.com/t, which is not followed, since that would send the client secret on; write"},
		"redirect to a GET": {reply: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/login?"+secret, http.StatusSeeOther)
		}, unreachable: "it redirects to http://127.0.0.1:"},
		"redirect without place": {reply: reply(302, "text/plain", secret), status: 302, words: "it answered 302"},
		"hangs up":               {reply: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, unreachable: "it closed the connection without an answer"},
		"speaks no HTTP": {reply: func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			must(c, err)
			c.Write([]byte(secret + "\r\n\r\n"))
			c.Close()
		}, unreachable: "what it answers is not HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serve(t)
			i.instead["/token"] = row.reply
			_, err := i.login(t, party(t, config(i.url)))
			if row.unreachable != "" {
				wantUnreachable(t, err, row.unreachable)
			} else {
				wantExchange(t, err, row.status, row.code, row.words)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(fmt.Sprintf("%v %+v", e, e), secret) {
					t.Errorf("the error repeats the answer: %v", e)
				}
			}
		})
	}
}

func TestSilentIssuerEndsTheLoginAfterTenSeconds(t *testing.T) {
	t.Parallel()
	rsaKeys[0]() // made outside the bubble
	for name, quiet := range map[string]quiet{
		"POST https://dex.example.com/dex/token":      {path: "/token"},
		"POST https://dex.example.com/dex/token half": {path: "/token", begins: true},
		"GET https://dex.example.com/dex/keys":        {path: "/keys"},
		"GET https://dex.example.com/dex/keys half":   {path: "/keys", begins: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer("https://dex.example.com/dex")
				quiet.RoundTripper = memory{i}
				rp := identity.NewOver(config(i.url), discard, quiet)
				rp.Look(t.Context())
				began := time.Now()
				_, err := i.login(t, rp)
				wantUnreachable(t, err, strings.TrimSuffix(name, " half")+": no answer in time")
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("it does not tell that the time was up: %v", err)
				}
				if took := time.Since(began); took != 10*time.Second {
					t.Errorf("the login took %s", took)
				}
				<-time.After(time.Minute) // what go-oidc left behind ends by itself
			})
		})
	}
}

func TestSilentIssuerDoesNotHoldDiscoveryUp(t *testing.T) {
	t.Parallel()
	for _, begins := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			i := newIssuer("https://dex.example.com/dex")
			rp := identity.NewOver(config(i.url), discard, quiet{memory{i}, "/openid-configuration", begins})
			began := time.Now()
			rp.Look(t.Context())
			if err := rp.Ready(); err == nil || !strings.Contains(err.Error(), "GET https://dex.example.com/dex/.well-known/openid-configuration: no answer in time") {
				t.Error(err)
			}
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("the attempt took %s", took)
			}
		})
	}
}

// quiet is an issuer that never answers below one path, or begins to and stops.
type quiet struct {
	http.RoundTripper
	path   string
	begins bool
}

func (q quiet) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case !strings.HasSuffix(r.URL.Path, q.path):
		return q.RoundTripper.RoundTrip(r)
	case q.begins:
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: half{r.Context()}, Request: r}, nil
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// half is the body of an answer that stops.
type half struct{ ctx context.Context }

func (h half) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

func (half) Close() error { return nil }

func TestBrowserThatLeftEndsItsLogin(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	l, there, err := rp.Begin(redirectURI, identity.BeginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := rp.Finish(ctx, l, i.approve(t, there)); !errors.Is(err, context.Canceled) {
		t.Errorf("it does not say that the request has ended: %v", err)
	}
}

func TestTheAuthorizationRequestHasTheParametersOfTheConfiguration(t *testing.T) {
	t.Parallel()
	i := serve(t)
	cfg := config(i.url)
	cfg.AuthParams = map[string]string{"prompt": "select_account", "connector_id": "git hub&x=y"}
	rp := party(t, cfg)
	for prompt, want := range map[string]string{"": "select_account", "login": "login"} {
		_, there, err := rp.Begin(redirectURI, identity.BeginOptions{Prompt: prompt})
		if err != nil {
			t.Fatal(err)
		}
		q := must(url.Parse(there)).Query()
		if len(q["prompt"]) != 1 || q.Get("prompt") != want || q.Get("connector_id") != "git hub&x=y" {
			t.Errorf("prompt %q: %s", prompt, there)
		}
	}
	cfg.AuthParams = map[string]string{"Prompt": "consent"}
	_, there, err := party(t, cfg).Begin(redirectURI, identity.BeginOptions{Prompt: "login"})
	if q := must(url.Parse(there)).Query(); err != nil || q.Has("Prompt") || q.Get("prompt") != "login" {
		t.Errorf("%s, %v", there, err)
	}
}

func TestAStateThatCannotBeMadeBeginsNothing(t *testing.T) {
	t.Parallel()
	i := serve(t)
	rp := party(t, config(i.url))
	none := errors.New("no keys")
	_, there, err := rp.Begin(redirectURI, identity.BeginOptions{State: func(identity.Login) (string, error) { return "", none }})
	if !errors.Is(err, none) || there != "" {
		t.Errorf("%q, %v", there, err)
	}
	l, there, err := rp.Begin(redirectURI, identity.BeginOptions{State: func(l identity.Login) (string, error) {
		if l.State != "" || l.Nonce == "" || l.Verifier == "" || l.RedirectURI != redirectURI {
			t.Errorf("half a login: %+v", l)
		}
		return "sealed+state/=", nil
	}})
	if err != nil || l.State != "sealed+state/=" || must(url.Parse(there)).Query().Get("state") != l.State {
		t.Errorf("%s, %v", there, err)
	}
}
