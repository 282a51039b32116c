package terminal

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/example-org/authgate/redact"
)

const callbackPath = "/callback"

// byBrowser logs in with the browser of this machine, which comes back to a port on
// loopback: RFC 8252, section 7.3.
func (c *Client) byBrowser(ctx context.Context, i *issuer) (_ record, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.cfg.Listen)
	if err != nil {
		return record{}, fmt.Errorf("waiting for the browser: %w; --listen names another port", err)
	}
	host, _, _ := net.SplitHostPort(c.cfg.Listen) // New has done it before
	host = net.JoinHostPort(host, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	way := &wayBack{
		client: c, issuer: i, oauth: i.oauth, host: host, ctx: ctx, done: make(chan outcome, 1),
		state: oauth2.GenerateVerifier(), nonce: oauth2.GenerateVerifier(), verifier: oauth2.GenerateVerifier(),
	}
	way.oauth.RedirectURL = "http://" + host + callbackPath
	there := way.oauth.AuthCodeURL(way.state, oidc.Nonce(way.nonce), oauth2.S256ChallengeOption(way.verifier))

	server := &http.Server{
		Handler: way, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 2 * attemptTimeout, MaxHeaderBytes: 64 << 10,
	}
	server.SetKeepAlivesEnabled(false)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // ends by what follows
	defer serving.Wait()
	defer func() { // the page that tells the outcome is still on its way
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(patience) != nil {
			_ = server.Close()
		}
	}()

	c.cfg.Say("To log in, open this address in a browser on this machine:")
	c.cfg.Say("  %s", there)
	if c.cfg.Open != nil {
		if err := c.cfg.Open(there); err != nil {
			c.cfg.Say("the browser could not be opened for you: %v", err)
		}
	}
	select {
	case <-ctx.Done():
		return record{}, fmt.Errorf("waiting for the login in the browser: %w", context.Cause(ctx))
	case o := <-way.done:
		return o.record, o.err
	}
}

type outcome struct {
	record record
	err    error
}

// wayBack answers the browser that returns, once. Every program and every page on
// this machine can send something here: what does not belong to this login changes
// nothing.
type wayBack struct {
	client *Client
	issuer *issuer
	oauth  oauth2.Config
	ctx    context.Context // of the login; a browser that closes its tab does not end it
	host   string

	state, nonce, verifier string

	mu    sync.Mutex
	spent bool
	done  chan outcome
}

func (b *wayBack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Host != b.host { // DNS rebinding
		tell(w, http.StatusMisdirectedRequest, "This is not the address of a login.", "")
		return
	}
	if r.URL.Path != callbackPath || r.Method != http.MethodGet {
		tell(w, http.StatusNotFound, "There is nothing here.", "")
		return
	}
	query := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(b.state)) != 1 {
		tell(w, http.StatusBadRequest, "This does not belong to the login that is under way.", "Open the address that the terminal shows.")
		return
	}
	b.mu.Lock()
	again := b.spent
	b.spent = true
	b.mu.Unlock()
	if again {
		tell(w, http.StatusConflict, "This login has been answered already.", "The terminal says how it went.")
		return
	}
	got, err := b.finish(query)
	if err != nil {
		tell(w, http.StatusBadGateway, "You are not logged in.", err.Error())
	} else {
		tell(w, http.StatusOK, "You are logged in.", "You can close this window and go back to the terminal.")
	}
	b.done <- outcome{got, err}
}

// finish turns the query of the callback into what is kept.
func (b *wayBack) finish(query url.Values) (record, error) {
	for _, name := range []string{"state", "iss", "error", "code"} { // RFC 6749, 3.1: at most once
		if len(query[name]) > 1 {
			return record{}, fmt.Errorf("the issuer's answer has the parameter %s more than once", name)
		}
	}
	// RFC 9207, 2.4, against mix-up: before anything else of the answer is believed.
	if query.Has("iss") && query.Get("iss") != b.client.cfg.Issuer || !query.Has("iss") && b.issuer.namesItself {
		return record{}, errors.New("the answer does not come from the issuer that this login went to (RFC 9207)")
	}
	if query.Has("error") {
		said := redact.ErrorCode(query.Get("error"))
		if words := redact.Line(query.Get("error_description")); words != "" {
			said += " (" + words + ")"
		}
		if query.Get("error") == "invalid_scope" {
			said += "; an audience's client has to trust this one (in Dex: trustedPeers)"
		}
		return record{}, errors.New("the issuer refused the login: " + said)
	}
	if query.Get("code") == "" {
		return record{}, errors.New("the issuer's answer has neither a code nor an error")
	}
	ctx := oidc.ClientContext(b.ctx, b.client.http)
	tokens, err := b.oauth.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(b.verifier))
	if err != nil {
		return record{}, answerError(ctx, "the login", err)
	}
	return b.client.accept(ctx, b.issuer, tokens, b.nonce)
}

var answerPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>authgate</title>
<h1>{{.Title}}</h1>
<p>{{.Detail}}</p>
</html>
`))

func tell(w http.ResponseWriter, status int, title, detail string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the address holds the code
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = answerPage.Execute(w, struct{ Title, Detail string }{title, detail}) // the browser has gone
}
