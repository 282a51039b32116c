package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"github.com/example-org/authgate/integration/issuer"
	"github.com/example-org/authgate/integration/program"
)

// setForwardAuth adds the case of nginx that asks authgate, and those of oauth2-proxy, where the
// programs are there. Authgate, and oauth2-proxy in front of the upstream, are in it to compare with.
func (s *scene) setForwardAuth(ctx context.Context, upstream string, gate, tuned *contender, o options, progress io.Writer) error {
	c := &measuredCase{name: "forward-auth and other programs", load: s.plain(), contenders: []*contender{tuned}}
	nginx, err := s.startAskingNginx(ctx, upstream, gate.address, "/oauth2/auth", "nginx-authgate", progress)
	if err != nil {
		return err
	}
	if nginx != nil {
		nginx.also = gate.process
		c.contenders = append(c.contenders, nginx)
	}
	if o.oauth2Proxy != "" {
		if err := s.setOAuth2Proxy(ctx, upstream, o.oauth2Proxy, tuned, progress); err != nil {
			return err
		}
	}
	c.contenders = append(c.contenders, gate)
	s.cases = append(s.cases, c)
	return nil
}

// setOAuth2Proxy adds the case of oauth2-proxy, alone and asked by nginx, with a cookie of its own.
func (s *scene) setOAuth2Proxy(ctx context.Context, upstream, binary string, tuned *contender, progress io.Writer) error {
	address, err := s.freeAddress(ctx)
	if err != nil {
		return err
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	p := &contender{name: "oauth2-proxy", address: address}
	p.process, err = s.start(ctx, address, program.Command{Name: p.name, Path: binary, Args: []string{
		"--provider=oidc", "--oidc-issuer-url=" + s.issuer.URL(), "--client-id=" + issuer.ClientID, "--client-secret=" + issuer.ClientSecret,
		"--cookie-secret=" + base64.RawURLEncoding.EncodeToString(secret), "--cookie-secure=false", "--email-domain=*",
		"--http-address=" + address, "--upstream=http://" + upstream, "--redirect-url=http://" + address + "/oauth2/callback",
		"--skip-provider-button", "--scope=openid email profile groups", "--code-challenge-method=S256", "--set-xauthrequest",
		"--request-logging=false", "--auth-logging=false", "--standard-logging=false", "--silence-ping-logging",
	}})
	if err != nil {
		return err
	}
	cookie, err := signInToOAuth2Proxy(ctx, address)
	if err != nil {
		return fmt.Errorf("signing in to oauth2-proxy: %w\n%s", err, p.process.Tail(10))
	}
	c := &measuredCase{name: "oauth2-proxy", load: s.plain(), contenders: []*contender{tuned, p}}
	c.load.cookies, c.load.host = []string{cookie}, address
	nginx, err := s.startAskingNginx(ctx, upstream, address, "/oauth2/auth", "nginx-oauth2-proxy", progress)
	if err != nil {
		return err
	}
	if nginx != nil {
		nginx.also = p.process
		c.contenders = append(c.contenders, nginx)
	}
	s.cases = append(s.cases, c)
	return nil
}

// signInToOAuth2Proxy walks through its login, as a browser does.
func signInToOAuth2Proxy(ctx context.Context, address string) (cookie string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(address string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		res, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		return res, res.Body.Close()
	}
	start, err := get("http://" + address + "/oauth2/start?rd=/")
	if err != nil {
		return "", err
	}
	to, err := url.Parse(start.Header.Get("Location"))
	if err != nil || to.Query().Get("state") == "" {
		return "", errors.New("it leads nowhere, with status " + start.Status)
	}
	asked := &http.Request{URL: to}
	if _, err := get(issuer.CallbackURL(asked, "person-0")); err != nil {
		return "", err
	}
	var all []string
	for _, c := range jar.Cookies(&url.URL{Scheme: "http", Host: address, Path: "/"}) {
		if strings.HasPrefix(c.Name, "_oauth2_proxy") && !strings.Contains(c.Name, "csrf") {
			all = append(all, c.Name+"="+c.Value)
		}
	}
	if len(all) == 0 {
		return "", errors.New("the callback brings no session")
	}
	return strings.Join(all, "; "), nil
}
