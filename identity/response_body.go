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

// ArgoCDDexHint gives both reasons for which Argo CD's own Dex only responds to
// argocd-server, and the address that works.
const ArgoCDDexHint = `if this is Argo CD's Dex: argocd-dex-server serves HTTPS with a certificate of its own ` +
	`on port 5556, ` +
	`unless dexserver.disable.tls is "true", and Argo CD's NetworkPolicy lets only argocd-server reach that port; ` +
	`write issuer.backchannelURL: http://argocd-server.argocd.svc:80/api/dex (docs/argo.md)`

// httpToTLSResponse is the response of a Go TLS server to plain http.
const httpToTLSResponse = "Client sent an HTTP request to an HTTPS server"

// LooksLikeArgoCDDex reports whether an address without a usable response is that of Argo
// CD's Dex, as far as can be seen. Status and body are 0 and empty if there was no HTTP
// response. Through argocd-server the reasons are others.
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

// maxBodyPrefix is enough of a response to recognise the program that sent it.
const maxBodyPrefix = 4 << 10

// describeResponse describes a response with another status than 200.
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

// bodyPrefix is the beginning of a discovery document, for errors.
type bodyPrefix struct{ read []byte }

type bodyPrefixKey struct{}

// withBodyPrefix keeps the beginning of the response to a request with ctx.
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
