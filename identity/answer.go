package identity

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/example-org/authgate/redact"
)

// ArgoCDDexHint names both reasons for which Argo CD's own Dex answers nobody but
// argocd-server, and the address that works.
const ArgoCDDexHint = `if this is Argo CD's Dex: argocd-dex-server serves HTTPS with a certificate of its own on port 5556, ` +
	`unless dexserver.disable.tls is "true", and Argo CD's NetworkPolicy lets only argocd-server reach that port; ` +
	`write issuer.backchannelURL: http://argocd-server.argocd.svc:80/api/dex (docs/argo.md)`

// plainToTLS is what a TLS server of Go answers to plain http.
const plainToTLS = "Client sent an HTTP request to an HTTPS server"

// LooksLikeArgoCDDex reports whether an address that gave no usable answer is that of
// Argo CD's Dex by all that can be seen: status and answer are 0 and empty where there
// was no answer of HTTP. Through argocd-server the reasons are others.
func LooksLikeArgoCDDex(at *url.URL, status int, answer string) bool {
	host := strings.ToLower(at.Hostname())
	switch {
	case strings.Contains(answer, plainToTLS):
		return true
	case status != 0 && status != http.StatusBadRequest, strings.HasPrefix(host, "argocd-server"):
		return false
	}
	return strings.Contains(host, "dex") || at.Port() == "5556" || strings.HasPrefix(at.Path, "/api/dex/")
}

func argoCDDex(at *url.URL, status int, answer string) string {
	if !LooksLikeArgoCDDex(at, status, answer) {
		return ""
	}
	return "; " + ArgoCDDexHint
}

// maxBeginning is enough of an answer to say which program gave it.
const maxBeginning = 4 << 10

// unusable says of an answer with another status than 200 what it is.
func (c *channel) unusable(at *url.URL, resp *http.Response) string {
	defer resp.Body.Close() // only read
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBeginning))
	why := fmt.Sprintf("it answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)) + beginningOf(body)
	if c.login {
		why += argoCDDex(at, resp.StatusCode, string(body))
	}
	return why
}

func beginningOf(body []byte) string {
	if text := redact.Answer(body); text != "" {
		return ", beginning with: " + text
	}
	return ""
}

// beginning is that of a discovery document, for when it turns out to be none.
type beginning struct{ read []byte }

type beginningKey struct{}

// recording has the channel keep the beginning of what is answered under ctx.
func recording(ctx context.Context) (context.Context, *beginning) {
	b := &beginning{}
	return context.WithValue(ctx, beginningKey{}, b), b
}

func (b *beginning) said() string { return beginningOf(b.read) }

// recorded is a body whose beginning is kept.
type recorded struct {
	io.ReadCloser
	beginning *beginning
}

func (r *recorded) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	kept := min(n, maxBeginning-len(r.beginning.read))
	r.beginning.read = append(r.beginning.read, p[:kept]...)
	return n, err
}
