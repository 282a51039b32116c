// Package visitor is a user at a browser, without the browser: it keeps cookies, follows
// redirects, sends the headers of browsers (Accept, Sec-Fetch-*, Origin), resolves every
// name under .localhost to this machine, and presses the button on the fake GitHub page.
//
// It does not run scripts and does not know SameSite. A [Visitor] is one user and is not
// safe for concurrent use.
package visitor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// maxHops is where browsers give up with too many redirects.
const maxHops = 20

// ErrRedirectLoop is what a browser would show as "too many redirects".
var ErrRedirectLoop = errors.New("too many redirects")

// Visitor has one cookie jar and may be signed in at GitHub.
type Visitor struct {
	Login  string // the button to press when GitHub asks; "" presses Cancel
	github string // origin of fake GitHub, whose page is recognised by it
	stop   string // address at which a chain ends without being followed
	jar    *cookiejar.Jar
	http   *http.Client
	seen   map[string]bool // secrets of this visitor, see Secrets
}

// StopAt ends a chain of redirects where it would go to an address (of any
// query): for a relying party that is only a place in the address bar.
func (v *Visitor) StopAt(address string) { v.stop = address }

// New is a user whose browser has no cookies yet and who clicked the warning
// about fake GitHub's certificate away: ca is its authority's certificate,
// nil where there is no GitHub.
func New(login, githubURL string, ca []byte) (*Visitor, error) {
	roots := x509.NewCertPool()
	if ca != nil && !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("fake GitHub's CA is no PEM certificate")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("making a cookie jar: %w", err)
	}
	v := &Visitor{Login: login, github: githubURL, jar: jar, seen: map[string]bool{}}
	v.http = &http.Client{
		Jar: jar,
		Transport: &http.Transport{
			DialContext:           dialLocalhost,
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ExpectContinueTimeout: time.Second,
			DisableCompression:    true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return v, nil
}

// dialLocalhost finds argo-cd.localhost and its like as browsers do, whatever
// the system's resolver thinks of them (RFC 6761, section 6.3).
func dialLocalhost(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
}

// Hop is one answer on the way to the last one.
type Hop struct {
	URL    *url.URL
	Status int
}

// Answer is what the user ends up with.
type Answer struct {
	Status         int
	Header         http.Header
	Body           string
	URL            *url.URL // in the address bar
	Hops           []Hop    // every request of the chain, the last one included
	GitHubPrompted bool     // GitHub asked who it is
}

// Via reports whether a request of the chain had this path.
func (a Answer) Via(path string) bool {
	for _, h := range a.Hops {
		if h.URL.Path == path {
			return true
		}
	}
	return false
}

// Open types an address into the browser and follows where it leads, through
// the login if need be.
func (v *Visitor) Open(ctx context.Context, address string) (Answer, error) {
	return v.navigate(ctx, http.MethodGet, address, nil, "none")
}

// Submit sends a form of the page that lives at the address's own origin.
func (v *Visitor) Submit(ctx context.Context, address string, form url.Values) (Answer, error) {
	return v.navigate(ctx, http.MethodPost, address, form, "same-origin")
}

func (v *Visitor) navigate(ctx context.Context, method, address string, form url.Values, site string) (Answer, error) {
	var a Answer
	for range maxHops {
		req, err := navigation(ctx, method, address, form, site)
		if err != nil {
			return a, err
		}
		if err := v.do(req, &a); err != nil {
			return a, err
		}
		switch to := a.Header.Get("Location"); {
		case to != "" && a.Status >= 300 && a.Status < 400:
			next, err := req.URL.Parse(to)
			if err != nil {
				return a, fmt.Errorf("redirect of %s to %q: %w", req.URL, to, err)
			}
			if site != "none" && origin(next) != origin(req.URL) {
				site = "cross-site" // and it stays so for the rest of the chain
			}
			method, address, form = http.MethodGet, next.String(), nil
			if before, _, _ := strings.Cut(address, "?"); v.stop != "" && before == v.stop {
				a.URL = next
				return a, nil
			}
		case v.askedByGitHub(a):
			a.GitHubPrompted = true
			method, address, site = http.MethodPost, v.github+"/login/oauth/authorize", "same-origin"
			form = url.Values{"query": {req.URL.RawQuery}}
			if v.Login == "" {
				form.Set("cancel", "1")
			} else {
				form.Set("login", v.Login)
			}
		default:
			return a, nil
		}
	}
	return a, fmt.Errorf("opening %s: %w", address, ErrRedirectLoop)
}

func navigation(ctx context.Context, method, address string, form url.Values, site string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Sec-Fetch-Site", site)
	req.Header.Set("User-Agent", "Mozilla/5.0 (visitor)")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", origin(req.URL))
	}
	return req, nil
}

func (v *Visitor) do(req *http.Request, a *Answer) error {
	res, err := v.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", req.Method, req.URL, err)
	}
	defer res.Body.Close() // only read
	v.remember(res)
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("reading %s: %w", req.URL, err)
	}
	a.Status, a.Header, a.Body, a.URL = res.StatusCode, res.Header, string(body), req.URL
	a.Hops = append(a.Hops, Hop{req.URL, res.StatusCode})
	return nil
}

func (v *Visitor) askedByGitHub(a Answer) bool {
	return origin(a.URL) == v.github && a.URL.Path == "/login/oauth/authorize" && a.Status == http.StatusOK
}

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
