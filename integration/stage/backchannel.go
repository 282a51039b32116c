package stage

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// Fault answers a token request in the place of Dex.
type Fault func(w http.ResponseWriter, r *http.Request)

// Backchannel is the way from authgate to Dex inside the cluster. What goes wrong on such
// ways goes wrong here, and what passes is known, so that it can be looked for
// where it must not be. It is safe for concurrent use.
type Backchannel struct {
	server *httptest.Server

	mu            sync.Mutex
	fault         Fault
	tokenRequests int // token requests
	secrets       []string
}

// newBackchannel leads to Dex at host:port. Where Dex is not there the line is dead, too.
func newBackchannel(dex string) *Backchannel {
	l := new(Backchannel)
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: dex}); r.Out.Host = r.In.Host },
		ModifyResponse: l.recordTokens,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	l.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := l.nextFault(r); fault != nil {
			fault(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	return l
}

func (l *Backchannel) nextFault(r *http.Request) Fault {
	if !strings.HasSuffix(r.URL.Path, "/token") {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokenRequests++
	return l.fault
}

// InjectFault has every token request from now on meet a fault; nil: none.
func (l *Backchannel) InjectFault(fault Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = fault
}

// CloseConnections breaks off whatever is on the way.
func (l *Backchannel) CloseConnections() { l.server.CloseClientConnections() }

// TokenRequests is how many token requests there have been.
func (l *Backchannel) TokenRequests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tokenRequests
}

// recordTokens notes the tokens of an answer.
func (l *Backchannel) recordTokens(res *http.Response) error {
	if !strings.HasSuffix(res.Request.URL.Path, "/token") {
		return nil
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	var tokens struct {
		ID      string `json:"id_token"`
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if json.Unmarshal(body, &tokens) != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, token := range []string{tokens.ID, tokens.Access, tokens.Refresh} {
		if token != "" {
			l.secrets = append(l.secrets, token)
		}
	}
	return nil
}

// Secrets are the tokens that have passed.
func (l *Backchannel) Secrets() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.secrets...)
}

func (l *Backchannel) close() {
	l.CloseConnections()
	l.server.Close()
}
