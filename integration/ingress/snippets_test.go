package ingress_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/example-org/authgate/integration/visitor"
)

// TestOtherIngressesTakeWhatAuthgateTells holds all snippets, those that no test runs too,
// to what authgate answers and understands. Traefik is not run: its module (v3.7.13)
// refers by a path to one that its zip lacks (dynamic/ext), calls CheckSecret and
// RequireAuthStale of a fork of go-http-auth, and imports some 180 DNS providers; the
// module proxy in use does not serve that fork, nor 14 modules of the providers.
func TestOtherIngressesTakeWhatAuthgateTells(t *testing.T) {
	t.Parallel()
	d := open(t)
	alice := d.signedIn("alice")
	cookies, err := alice.Cookies(d.ArgoCD)
	if err != nil {
		t.Fatal(err)
	}
	var cookie []string
	for _, c := range cookies {
		cookie = append(cookie, c.Name+"="+c.Value)
	}
	host := strings.TrimPrefix(d.ArgoCD, "http://")
	for name, headers := range map[string][]string{
		"ingress-nginx": {
			"X-Original-URL", d.ArgoCD + "/applications?a=b", "X-Original-Method", "GET", "X-Sent-From", "nginx-ingress-controller",
			"X-Auth-Request-Redirect", "/applications?a=b", "X-Real-IP", "203.0.113.9", "X-Forwarded-For", "203.0.113.9",
		},
		"Traefik": {
			"X-Forwarded-Method", "GET", "X-Forwarded-Proto", "http", "X-Forwarded-Host", host, "X-Forwarded-Uri", "/applications?a=b",
			"X-Forwarded-For", "203.0.113.9",
		},
		"Traefik's WebSocket": {
			"X-Forwarded-Method", "GET", "X-Forwarded-Proto", "ws", "X-Forwarded-Host", host, "X-Forwarded-Uri", "/terminal",
			"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version", "13", "Origin", d.ArgoCD, "X-Forwarded-For", "203.0.113.9",
		},
		"Caddy": {
			"X-Forwarded-Method", "GET", "X-Forwarded-Proto", "http", "X-Forwarded-Host", host, "X-Forwarded-Uri", "/applications?a=b",
			"X-Forwarded-For", "203.0.113.9", "Via", "1.1 Caddy",
		},
	} {
		a, err := visitor.Curl(t.Context(), http.MethodGet, d.authgate+"/oauth2/auth", append(headers, "Cookie", strings.Join(cookie, "; "))...)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != http.StatusAccepted {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		for _, headers := range headersIn(t) {
			for _, header := range headers {
				if a.Header.Get(header) == "" {
					t.Errorf("%s: the documentation takes %s, which authgate does not send: %v", name, header, a.Header)
				}
			}
			if !slices.Contains(headers, "X-Auth-Request-User") || len(headers) < 4 {
				t.Errorf("the documentation takes only %q", headers)
			}
		}
	}
	records, err := d.Files.ReadAudit()
	if err != nil {
		t.Fatal(err)
	}
	if last := records[len(records)-1]; last["remote"] != "203.0.113.9" {
		t.Errorf("audited as %v", last)
	}
}

// headersIn lists the headers that the snippets take from authgate's answer.
func headersIn(t *testing.T) map[string][]string {
	t.Helper()
	headers := map[string][]string{}
	var middleware struct {
		Spec struct {
			ForwardAuth struct {
				Address             string   `json:"address"`
				TrustForwardHeader  *bool    `json:"trustForwardHeader"`
				AuthResponseHeaders []string `json:"authResponseHeaders"`
			} `json:"forwardAuth"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(shown(t, "traefik.yaml")), &middleware); err != nil {
		t.Fatal(err)
	}
	f := middleware.Spec.ForwardAuth
	if trusts := f.TrustForwardHeader; trusts == nil || *trusts || !strings.HasSuffix(f.Address, "/oauth2/auth") {
		t.Errorf("traefik.yaml: %+v", f)
	}
	headers["Traefik"] = f.AuthResponseHeaders

	for document := range strings.SplitSeq(shown(t, "ingress-nginx.yaml"), "\n---\n") {
		var ingress struct {
			Metadata struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(document), &ingress); err != nil {
			t.Fatal(err)
		}
		if list := ingress.Metadata.Annotations["nginx.ingress.kubernetes.io/auth-response-headers"]; list != "" {
			headers["ingress-nginx"] = strings.Split(list, ",")
		}
	}
	for line := range strings.Lines(shown(t, "Caddyfile")) {
		if list, found := strings.CutPrefix(strings.TrimSpace(line), "copy_headers "); found {
			headers["Caddy"] = strings.Fields(list)
		}
	}
	if len(headers) != 3 {
		t.Fatalf("header lists found: %v", headers)
	}
	return headers
}
