package doctor_test

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/server/doctor"
)

// issuer is a Dex as far as the doctor asks.
type issuer struct {
	called       string // empty: by its address
	scopes       string
	unregistered string // a callback
	secret       string
	date         time.Time
}

func (i issuer) start(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		if !i.date.IsZero() {
			w.Header().Set("Date", i.date.UTC().Format(http.TimeFormat))
		}
		called := i.called
		if called == "" {
			called = server.URL
		}
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"scopes_supported":[%s]}`, called, server.URL+"/auth", server.URL+"/token", i.scopes)
	})
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("redirect_uri") == i.unregistered {
			http.Error(w, "Unregistered redirect_uri", http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, "https://github.example.com/login", http.StatusFound)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if _, secret, _ := r.BasicAuth(); secret != i.secret {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
	})
	return server.URL
}

const (
	callback = "https://argo-cd.example.com/oauth2/callback"
	good     = `"openid","groups","offline_access"`
)

// want are the words of the one finding that is not ok; empty: all are.
func TestAnIssuerIsLookedAtAsALoginNeedsIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		there issuer
		ask   func(*doctor.Issuer)
		state doctor.State
		want  string
	}{
		"as it should be":   {issuer{scopes: good, secret: "s"}, nil, doctor.OK, ""},
		"a trailing slash":  {issuer{scopes: good, secret: "s", called: "https://dex.example.com/dex/"}, nil, doctor.Fail, "it names itself"},
		"no such callback":  {issuer{scopes: good, secret: "s", unregistered: callback}, nil, doctor.Fail, callback + " is not registered"},
		"another secret":    {issuer{scopes: good, secret: "other"}, nil, doctor.Fail, "rejects it"},
		"no offline_access": {issuer{scopes: `"openid","groups"`, secret: "s"}, nil, doctor.Warn, "does not offer the scope offline_access"},
		"another clock":     {issuer{scopes: good, secret: "s", date: time.Now().Add(-5 * time.Minute)}, nil, doctor.Fail, "apart"},
		"groups not asked for": {
			issuer{scopes: good, secret: "s"},
			func(i *doctor.Issuer) { i.Scopes = []string{"openid", "offline_access"} },
			doctor.Warn, "users have no groups",
		},
		"not there yet":     {issuer{}, func(i *doctor.Issuer) { i.URL = "http://127.0.0.1:1" }, doctor.Fail, "cannot be reached"},
		"secrets elsewhere": {issuer{scopes: good}, func(i *doctor.Issuer) { i.Secret = "" }, doctor.Skipped, "does not exist here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := doctor.Issuer{
				URL: test.there.start(t), ClientID: "authgate", Secret: "s", Scopes: []string{"openid", "groups", "offline_access"},
				ClockSkew: 30 * time.Second, Callbacks: []doctor.Callbacks{{callback}, {"https://argo-workflows.example.com/oauth2/callback"}}, Now: time.Now,
			}
			if test.ask != nil {
				test.ask(&i)
			}
			matched := test.want == ""
			for _, f := range doctor.Run(t.Context(), i.Checks()) {
				switch {
				case strings.Contains(f.Message, test.want) && f.State == test.state:
					matched = true
				case f.State == doctor.Fail || f.State == doctor.Warn:
					t.Errorf("besides: %+v", f)
				}
				if (f.State == doctor.Fail || f.State == doctor.Warn) && f.Hint == "" {
					t.Errorf("no way out: %+v", f)
				}
			}
			if !matched {
				t.Errorf("no %s with %q", test.state, test.want)
			}
		})
	}
}

func TestAnUpstreamIsLookedAtInItsOwnProtocol(t *testing.T) {
	t.Parallel()
	serve := func(settings string) *httptest.Server {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/v1/settings" {
				fmt.Fprint(w, settings)
			}
		}))
		t.Cleanup(server.Close)
		return server
	}
	plain, tls := serve(`{"oidcConfig":{"clientID":"authgate"}}`), serve("")
	plain.Start()
	tls.StartTLS()
	bundled, other := serve(`{"dexConfig":{}}`), serve(`{"oidcConfig":{"clientID":"argo-cd"}}`)
	bundled.Start()
	other.Start()
	for name, test := range map[string]struct {
		url    string
		argoCD bool
		state  doctor.State
		want   string
	}{
		"plain":             {plain.URL, false, doctor.OK, "answers as HTTP/1.1"},
		"takes our tokens":  {plain.URL, true, doctor.OK, "accepts tokens of the client authgate"},
		"only its own":      {bundled.URL, true, doctor.Fail, "has no oidc.config"},
		"of another client": {other.URL, true, doctor.Warn, "allowedAudiences"},
		"an unknown CA":     {tls.URL, false, doctor.Fail, "does not answer as TLS"},
		"TLS where is none": {strings.Replace(plain.URL, "http", "https", 1), false, doctor.Fail, "does not answer as TLS"},
		"h2c where is none": {strings.Replace(plain.URL, "http", "h2c", 1), false, doctor.Fail, "does not answer as h2c"},
		"no server":         {"http://127.0.0.1:1", false, doctor.Fail, "refused"},
		"a missing socket":  {"unix:/nowhere.sock", false, doctor.Fail, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, err := url.Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			u := doctor.Upstream{Name: "argocd", URL: at, ArgoCD: test.argoCD, ClientID: "authgate"}
			found := doctor.Run(t.Context(), []doctor.Check{u.Check()})
			last := found[len(found)-1]
			if last.State != test.state || !strings.Contains(last.Message, test.want) || last.Check != "upstream argocd" {
				t.Errorf("%+v", found)
			}
		})
	}
}

// behind is a load balancer that says of the login what authgate would.
func behind(t *testing.T, answer func(host string) (status int, location string)) doctor.LoadBalancer {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/oauth2/start" {
			http.NotFound(w, r)
			return
		}
		status, location := answer(r.Host)
		w.Header().Set("Location", location)
		w.WriteHeader(status)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return doctor.LoadBalancer{Callback: server.URL + "/oauth2/callback", RootCAs: roots}
}

func TestALoginThroughTheLoadBalancerShowsWhatItSends(t *testing.T) {
	t.Parallel()
	to := func(callback string) string {
		return "https://dex.example.com/auth?" + url.Values{"redirect_uri": {callback}}.Encode()
	}
	for name, test := range map[string]struct {
		answer func(host string) (int, string)
		state  doctor.State
		said   string
		hint   string
	}{
		"as it should be":   {func(host string) (int, string) { return 302, to("https://" + host + "/oauth2/callback") }, doctor.OK, "logins start there", ""},
		"not trusted":       {func(host string) (int, string) { return 302, to("http://" + host + "/oauth2/callback") }, doctor.Fail, "without TLS", "trustedProxies"},
		"another Host":      {func(string) (int, string) { return 302, to("https://10.0.0.7/oauth2/callback") }, doctor.Fail, "10.0.0.7", "Host"},
		"something else":    {func(string) (int, string) { return 200, "" }, doctor.Warn, "status 200", "to authgate"},
		"a redirect of its": {func(string) (int, string) { return 301, "https://www.example.com/" }, doctor.Warn, "status 301", "to authgate"},
		"nothing behind it": {func(string) (int, string) { return 503, "" }, doctor.Warn, "status 503", "not ready"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := doctor.Run(t.Context(), []doctor.Check{behind(t, test.answer).Check()})
			if len(found) != 1 || found[0].State != test.state || !strings.Contains(found[0].Message, test.said) || !strings.Contains(found[0].Hint, test.hint) {
				t.Errorf("%+v", found)
			}
		})
	}
	other := behind(t, func(string) (int, string) { return 302, "" })
	other.Callback = strings.Replace(other.Callback, "127.0.0.1", "localhost", 1) // whom its certificate does not name
	if found := doctor.Run(t.Context(), []doctor.Check{other.Check()}); found[0].State != doctor.Fail || !strings.Contains(found[0].Message, "certificate") {
		t.Errorf("another name: %+v", found)
	}
	if found := doctor.Run(t.Context(), []doctor.Check{doctor.LoadBalancer{Callback: "https://127.0.0.1:1/oauth2/callback"}.Check()}); found[0].State != doctor.Skipped {
		t.Errorf("no server there: %+v", found)
	}
}
