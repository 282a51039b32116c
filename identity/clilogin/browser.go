package clilogin

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

	"github.com/example-org/authgate/text"
)

const callbackPath = "/callback"

// browserLogin logs in with the browser of this machine, which comes back to a port on
// loopback: RFC 8252, section 7.3.
func (c *Client) browserLogin(ctx context.Context, i *issuer) (_ cachedToken, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.cfg.Listen)
	if err != nil {
		return cachedToken{}, fmt.Errorf("waiting for the browser: %w; --listen names another port", err)
	}
	host, _, _ := net.SplitHostPort(c.cfg.Listen) // New has done it before
	host = net.JoinHostPort(host, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	server := &callbackServer{
		client: c, issuer: i, oauth: i.oauth, host: host, ctx: ctx, done: make(chan loginResult, 1),
		state: oauth2.GenerateVerifier(), nonce: oauth2.GenerateVerifier(), verifier: oauth2.GenerateVerifier(),
	}
	server.oauth.RedirectURL = "http://" + host + callbackPath
	authURL := server.oauth.AuthCodeURL(server.state, oidc.Nonce(server.nonce),
		oauth2.S256ChallengeOption(server.verifier))

	httpServer := &http.Server{
		Handler: server, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10,
	}
	httpServer.SetKeepAlivesEnabled(false)
	var serving sync.WaitGroup
	serving.Go(func() { _ = httpServer.Serve(listener) }) // ends by what follows
	defer serving.Wait()
	defer func() { // the page that tells the outcome is still on its way
		shutdownCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if httpServer.Shutdown(shutdownCtx) != nil {
			_ = httpServer.Close()
		}
	}()

	c.cfg.Printf("To log in, open this address in a browser on this machine:")
	c.cfg.Printf("  %s", authURL)
	if c.cfg.OpenURL != nil {
		if err := c.cfg.OpenURL(authURL); err != nil {
			c.cfg.Printf("the browser could not be opened for you: %v", err)
		}
	}
	select {
	case <-ctx.Done():
		return cachedToken{}, fmt.Errorf("waiting for the login in the browser: %w", context.Cause(ctx))
	case result := <-server.done:
		return result.token, result.err
	}
}

type loginResult struct {
	token cachedToken
	err   error
}

// callbackServer answers the browser that returns, once. Every program and every page on
// this machine can send something here: what does not belong to this login changes
// nothing.
type callbackServer struct {
	client *Client
	issuer *issuer
	oauth  oauth2.Config
	ctx    context.Context // of the login; a browser that closes its tab does not end it
	host   string

	state, nonce, verifier string

	mu   sync.Mutex
	used bool
	done chan loginResult
}

func (b *callbackServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Host != b.host { // DNS rebinding
		writePage(w, http.StatusMisdirectedRequest, "This is not the address of a login.", "")
		return
	}
	if r.URL.Path != callbackPath || r.Method != http.MethodGet {
		writePage(w, http.StatusNotFound, "There is nothing here.", "")
		return
	}
	query := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(b.state)) != 1 {
		writePage(w, http.StatusBadRequest, "This does not belong to the current login.",
			"Open the address that the terminal shows.")
		return
	}
	b.mu.Lock()
	alreadyUsed := b.used
	b.used = true
	b.mu.Unlock()
	if alreadyUsed {
		writePage(w, http.StatusConflict, "This login has already been answered.", "The terminal shows the result.")
		return
	}
	token, err := b.finish(query)
	if err != nil {
		writePage(w, http.StatusBadGateway, "You are not logged in.", err.Error())
	} else {
		writePage(w, http.StatusOK, "You are logged in.", "You can close this window and go back to the terminal.")
	}
	b.done <- loginResult{token, err}
}

// finish turns the query of the callback into what is kept.
func (b *callbackServer) finish(query url.Values) (cachedToken, error) {
	for _, name := range []string{"state", "iss", "error", "code"} { // RFC 6749, 3.1: at most once
		if len(query[name]) > 1 {
			return cachedToken{}, fmt.Errorf("the issuer's answer has the parameter %s more than once", name)
		}
	}
	// RFC 9207, 2.4, against mix-up: before any other parameter of the response is used.
	if query.Has("iss") && query.Get("iss") != b.client.cfg.Issuer || !query.Has("iss") && b.issuer.sendsIssParameter {
		return cachedToken{}, errors.New("the answer does not come from the issuer that this login went to (RFC 9207)")
	}
	if query.Has("error") {
		reason := text.ErrorCode(query.Get("error"))
		if description := text.Sanitize(query.Get("error_description")); description != "" {
			reason += " (" + description + ")"
		}
		if query.Get("error") == "invalid_scope" {
			reason += "; an audience's client has to trust this one (in Dex: trustedPeers)"
		}
		return cachedToken{}, errors.New("the issuer refused the login: " + reason)
	}
	if query.Get("code") == "" {
		return cachedToken{}, errors.New("the issuer's answer has neither a code nor an error")
	}
	ctx := oidc.ClientContext(b.ctx, b.client.http)
	tokens, err := b.oauth.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(b.verifier))
	if err != nil {
		return cachedToken{}, tokenEndpointError(ctx, "the login", err)
	}
	return b.client.verifyResponse(ctx, b.issuer, tokens, b.nonce)
}

var resultPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>authgate</title>
<h1>{{.Title}}</h1>
<p>{{.Detail}}</p>
</html>
`))

func writePage(w http.ResponseWriter, status int, title, detail string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the address holds the code
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = resultPage.Execute(w, struct{ Title, Detail string }{title, detail}) // the browser has gone
}
