package identity

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/example-org/authgate/text"
)

// ArgoCDDexHint names both reasons for which Argo CD's own Dex answers nobody but
// argocd-server, and the address that works.
const ArgoCDDexHint = `if this is Argo CD's Dex: argocd-dex-server serves HTTPS with a certificate of its own on port 5556, ` +
	`unless dexserver.disable.tls is "true", and Argo CD's NetworkPolicy lets only argocd-server reach that port; ` +
	`write issuer.backchannelURL: http://argocd-server.argocd.svc:80/api/dex (docs/argo.md)`

// httpToTLSResponse is what a TLS server of Go answers to plain http.
const httpToTLSResponse = "Client sent an HTTP request to an HTTPS server"

// LooksLikeArgoCDDex reports whether an address that gave no usable answer is that of
// Argo CD's Dex by all that can be seen: status and answer are 0 and empty where there
// was no answer of HTTP. Through argocd-server the reasons are others.
func LooksLikeArgoCDDex(at *url.URL, status int, body string) bool {
	host := strings.ToLower(at.Hostname())
	switch {
	case strings.Contains(body, httpToTLSResponse):
		return true
	case status != 0 && status != http.StatusBadRequest, strings.HasPrefix(host, "argocd-server"):
		return false
	}
	return strings.Contains(host, "dex") || at.Port() == "5556" || strings.HasPrefix(at.Path, "/api/dex/")
}

func argoCDDexHint(at *url.URL, status int, body string) string {
	if !LooksLikeArgoCDDex(at, status, body) {
		return ""
	}
	return "; " + ArgoCDDexHint
}

// maxBodyPrefix is enough of an answer to say which program gave it.
const maxBodyPrefix = 4 << 10

// describeResponse says of an answer with another status than 200 what it is.
func (c *backchannelTransport) describeResponse(at *url.URL, resp *http.Response) string {
	defer resp.Body.Close() // only read
	if c.standalone {
		return fmt.Sprintf("it answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBodyPrefix))
	why := fmt.Sprintf("it answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)) + describeBody(body)
	if c.loginIssuer {
		why += argoCDDexHint(at, resp.StatusCode, string(body))
	}
	return why
}

func describeBody(body []byte) string {
	if text := text.RedactBody(body); text != "" {
		return ", beginning with: " + text
	}
	return ""
}

// bodyPrefix is that of a discovery document, for when it turns out to be none.
type bodyPrefix struct{ read []byte }

type bodyPrefixKey struct{}

// withBodyPrefix has the channel keep the beginning of what is answered under ctx.
func withBodyPrefix(ctx context.Context) (context.Context, *bodyPrefix) {
	b := &bodyPrefix{}
	return context.WithValue(ctx, bodyPrefixKey{}, b), b
}

func (b *bodyPrefix) describe() string { return describeBody(b.read) }

// bodyPrefixReader is a body whose beginning is kept.
type bodyPrefixReader struct {
	io.ReadCloser
	prefix *bodyPrefix
}

func (r *bodyPrefixReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	count := min(n, maxBodyPrefix-len(r.prefix.read))
	r.prefix.read = append(r.prefix.read, p[:count]...)
	return n, err
}
