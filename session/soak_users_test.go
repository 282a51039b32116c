package session_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/example-org/authgate/identity"
)

// citizen is a person with one browser.
type citizen struct {
	mu sync.Mutex

	// What the issuer knows.
	token   string // the only refresh token that is good
	login   int
	serial  int
	version int       // of the groups
	revoked time.Time // the grant

	// What the browser has.
	cookies map[string]string
	sealed  int64 // rotations when it got them
	id      string
	begun   time.Time
	used    time.Time // successfully
	tried   time.Time
	over    bool // signed out
	copied  http.Header
	copyOf  int64
}

// ask is the issuer. It never takes a token twice.
func (s *soak) ask(ctx context.Context, g identity.TokenSet) (identity.TokenSet, error) {
	took := 30 * time.Millisecond
	if s.slow.Load() {
		took = 200 * time.Millisecond
	}
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return identity.TokenSet{}, ctx.Err()
	}
	now := time.Now()
	if now.UnixNano() < s.failing.Load() {
		return identity.TokenSet{}, errGateway
	}
	n, err := strconv.Atoi(strings.TrimPrefix(g.Principal.Subject, "p"))
	if err != nil {
		return identity.TokenSet{}, err
	}
	one := &s.people[n]
	one.mu.Lock()
	defer one.mu.Unlock()
	if !one.revoked.IsZero() {
		return identity.TokenSet{}, &identity.RefreshRefusedError{Status: 400, Code: "invalid_grant"}
	}
	if g.RefreshToken != one.token {
		if !strings.HasPrefix(g.RefreshToken, one.family(n)) { // of before the last login
			return identity.TokenSet{}, &identity.RefreshRefusedError{Status: 400, Code: "invalid_grant"}
		}
		s.fault("%s: refresh token %s was shown, %s is good", g.Principal.Subject, g.RefreshToken, one.token)
		return identity.TokenSet{}, &identity.RefreshRefusedError{Status: 400, Code: "invalid_grant"}
	}
	return one.grant(n, now), nil
}

// grant is what the issuer says of a citizen, with a new token. The groups tell
// the truth of when and of whom they were read.
func (c *citizen) grant(n int, now time.Time) identity.TokenSet {
	c.serial++
	c.token = c.family(n) + strconv.Itoa(c.serial)
	return identity.TokenSet{RefreshToken: c.token, FetchedAt: now, Principal: identity.Principal{
		Issuer: "https://dex.example.com", Subject: fmt.Sprint("p", n), Expiry: now.Add(24 * time.Hour),
		Groups: []string{fmt.Sprint("of:", n), fmt.Sprint("read:", now.UnixNano()), fmt.Sprint("org:team-", c.version)},
	}}
}

// family is how the refresh tokens of one login begin.
func (c *citizen) family(n int) string { return fmt.Sprint("p", n, ".", c.login, ".") }

// browser is what an answer is written to.
type browser http.Header

func (b browser) Header() http.Header         { return http.Header(b) }
func (b browser) Write(p []byte) (int, error) { return len(p), nil }
func (b browser) WriteHeader(int)             {}

// take has the browser keep the cookies of an answer.
func (s *soak) take(c *citizen, w browser, rotations int64) {
	for _, line := range w["Set-Cookie"] {
		cookie, err := http.ParseSetCookie(line)
		if err != nil {
			s.fault("a cookie that no browser reads: %v", err)
			continue
		}
		if cookie.MaxAge < 0 {
			delete(c.cookies, cookie.Name)
			continue
		}
		c.cookies[cookie.Name] = cookie.Value
		c.sealed = rotations
	}
}

func (c *citizen) header() http.Header {
	h := make(http.Header, 1)
	for name, value := range c.cookies {
		h.Add("Cookie", name+"="+value)
	}
	return h
}

func (s *soak) signIn(n int) {
	c := &s.people[n]
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.login++
	c.revoked, c.over, c.begun, c.used, c.tried = time.Time{}, false, now, now, now
	if c.cookies == nil {
		c.cookies = make(map[string]string, 1)
	}
	w := browser{}
	one, err := s.keeper.Create(s.t.Context(), w, c.header(), c.grant(n, now), true)
	if err != nil {
		s.fault("signing in: %v", err)
	}
	c.id = one.ID
	s.take(c, w, s.rotations.Load())
	s.logins.Add(1)
}
