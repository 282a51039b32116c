package browser_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	"github.com/example-org/authgate/integration/browser"
	"github.com/example-org/authgate/integration/wait"
)

// certificate writes one that no CA has signed, and gives the lines of authgate.yaml for it.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"*.localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}}
	for name, block := range files {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("tls: {certFile: %s/cert.pem, keyFile: %s/key.pem}\n", dir, dir)
}

func sessionCookie(t *testing.T, tab *browser.Tab, address string) *network.Cookie {
	t.Helper()
	for _, c := range tab.Cookies(address) {
		if strings.HasSuffix(c.Name, "authgate") {
			return c
		}
	}
	t.Fatalf("the browser has no session for %s", address)
	return nil
}

func TestBrowserKeepsTheSessionInASecureHostCookie(t *testing.T) {
	t.Parallel()
	s := newSite(t, "issuer:", certificate(t)+"issuer:")
	s.scheme = "https"
	tab := chromium.Profile(t)
	tab.Open(s.at("other", "/app"))
	tab.Await("#dashboard")
	c := sessionCookie(t, tab, s.at("other", "/"))
	if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HTTPOnly || c.Path != "/" || strings.HasPrefix(c.Domain, ".") || c.SameSite != network.CookieSameSiteLax {
		t.Errorf("the cookie is %+v", c)
	}
	if visible := browser.Script[string](tab, "document.cookie"); visible != "" {
		t.Errorf("scripts read %s", visible)
	}
	if len(tab.Cookies(s.at("keeps", "/"))) > 0 {
		t.Error("the cookie is sent to another host")
	}
}

func TestOnPlainHTTPTheCookieIsOfItsHostAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	tab := chromium.Profile(t)
	tab.Open(s.at("other", "/app"))
	tab.Await("#dashboard")
	if c := sessionCookie(t, tab, s.at("other", "/")); c.Secure || !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || strings.HasPrefix(c.Domain, ".") {
		t.Errorf("the cookie is %+v", c)
	}
	if len(tab.Cookies(s.at("keeps", "/"))) > 0 {
		t.Error("the cookie is sent to another host")
	}
}

// A page of another site may not act as the user who visits it.
func TestPagesOfOtherSitesDoNotGetTheSession(t *testing.T) {
	t.Parallel()
	for sameSite, change := range map[string]string{"lax": "session: {", "strict": "session: {cookie: {sameSite: strict}, "} {
		t.Run(sameSite, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "session: {", change)
			s.ask(true)
			tab := chromium.Profile(t)
			tab.Open(s.at("other", "/app"))
			tab.Click("#signin")
			tab.Await("#dashboard")

			evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprintf(w, `<!doctype html><title>evil</title><iframe src="%[1]s/framed"></iframe><img src="%[1]s/image" alt="">
					<form method="post" action="%[1]s/posted"><button>win</button></form>
					<script>fetch("%[1]s/fetched", {credentials: "include", mode: "no-cors"}).catch(() => {}).then(() => document.title = "done")</script>`,
					s.at("other", ""))
			}))
			t.Cleanup(evil.Close)
			tab.Open(strings.Replace(evil.URL, "127.0.0.1", "evil.localhost", 1))
			wait.For(t, time.Minute, "the requests of the page", func() bool { return browser.Script[string](tab, "document.title") == "done" })
			tab.Click("button")
			arrive(t, tab, s.at("other", "/"))
			if reached := s.reached(); strings.Contains(reached, "/framed") || strings.Contains(reached, "/image") || strings.Contains(reached, "/fetched") || strings.Contains(reached, "/posted") {
				t.Errorf("the dashboard got requests of the other site:\n%s", reached)
			}
			tab.Open(s.at("other", "/framed"))
			tab.Await("#dashboard")
			if !strings.Contains(s.reached(), "/framed") { // or the test sees nothing
				t.Errorf("the dashboard got %s", s.reached())
			}
			_ = tab.Complaints() // of the other site
		})
	}
}

func TestNoOtherSiteFramesAPageOfAuthgate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	frames := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>frames</title><iframe src="%s"></iframe>`, s.at("other", "/oauth2/nope"))
	}))
	t.Cleanup(frames.Close)
	tab := chromium.Profile(t)
	tab.Open(frames.URL)
	wait.For(t, time.Minute, "the refusal of the frame", func() bool {
		return strings.Contains(strings.Join(tab.Complaints(), "\n"), "frame-ancestors")
	})
}
