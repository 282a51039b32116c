package visitor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"
)

// Fetch is fetch() in a page of the address's own origin: no redirect is
// followed, because a script that gets HTML instead of JSON is a bug to see.
// Extra headers come in pairs.
func (v *Visitor) Fetch(ctx context.Context, method, address, body string, headers ...string) (Answer, error) {
	req, err := script(ctx, method, address, body)
	if err != nil {
		return Answer{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	var a Answer
	return a, v.do(req, &a)
}

// Curl is a request without cookies and without anything that a browser adds.
func Curl(ctx context.Context, method, address string, headers ...string) (Answer, error) {
	v := &Visitor{http: &http.Client{
		Transport:     &http.Transport{DialContext: dialLocalhost, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("User-Agent", "curl/8.0")
	req.Header.Set("Accept", "*/*")
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	var a Answer
	return a, v.do(req, &a)
}

func script(ctx context.Context, method, address, body string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Sec-Fetch-Mode", "cors")
	req.Header.Set("Sec-Fetch-Dest", "empty")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("User-Agent", "Mozilla/5.0 (visitor)")
	if method != http.MethodGet && method != http.MethodHead {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Origin", origin(req.URL))
	}
	return req, nil
}

// Stream is an open EventSource.
type Stream struct {
	Status int
	Header http.Header
	body   io.ReadCloser
	lines  *bufio.Scanner
}

// Listen opens an EventSource. The stream lives until ctx ends or Close.
func (v *Visitor) Listen(ctx context.Context, address string) (*Stream, error) {
	req, err := script(ctx, http.MethodGet, address, "")
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Cache-Control", "no-cache")
	res, err := v.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", address, err)
	}
	return &Stream{Status: res.StatusCode, Header: res.Header, body: res.Body, lines: bufio.NewScanner(res.Body)}, nil
}

// Next waits for the next event and returns its data.
func (s *Stream) Next() (string, error) {
	for s.lines.Scan() {
		if data, ok := strings.CutPrefix(s.lines.Text(), "data: "); ok {
			return data, nil
		}
	}
	if err := s.lines.Err(); err != nil {
		return "", fmt.Errorf("reading events: %w", err)
	}
	return "", fmt.Errorf("reading events: %w", io.EOF)
}

// Close ends the stream.
func (s *Stream) Close() error { return s.body.Close() }

// Dial opens a WebSocket (ws:// address) as a page of pageOrigin would; "" is
// the address's own origin. A refusal is an error and also an Answer.
func (v *Visitor) Dial(ctx context.Context, address, pageOrigin string) (*websocket.Conn, Answer, error) {
	to, err := url.Parse(address)
	if err != nil {
		return nil, Answer{}, err
	}
	site := "cross-site"
	if own := strings.Replace(origin(to), "ws", "http", 1); pageOrigin == "" || pageOrigin == own {
		pageOrigin, site = own, "same-origin"
	}
	c, res, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		HTTPClient: v.http,
		HTTPHeader: http.Header{
			"Origin": {pageOrigin}, "User-Agent": {"Mozilla/5.0 (visitor)"},
			"Sec-Fetch-Site": {site}, "Sec-Fetch-Mode": {"websocket"}, "Sec-Fetch-Dest": {"websocket"},
		},
	})
	var a Answer
	if res != nil {
		a = Answer{Status: res.StatusCode, Header: res.Header, URL: to}
	}
	if err != nil {
		return nil, a, fmt.Errorf("opening WebSocket %s: %w", address, err)
	}
	return c, a, nil
}

// Cookies is what the browser would send to an address.
func (v *Visitor) Cookies(address string) ([]*http.Cookie, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return v.jar.Cookies(u), nil
}
