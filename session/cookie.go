package session

import (
	"errors"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Cookies keeps sessions in the browser. It is safe for concurrent use.
type Cookies struct {
	sealer *Sealer
	seen   *seen
	name   string
	bound  string // name behind __Host-
	domain string
	now    func() time.Time
}

// NewCookies keeps sessions in cookies of that name under keys. A domain that is
// not empty shares them with every host below it. A nil now is time.Now.
func NewCookies(keys Keys, name, domain string, now func() time.Time) (*Cookies, error) {
	sealer, err := keys.Sealer("session")
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	return &Cookies{sealer: sealer, seen: newSeen(), name: name, bound: "__Host-" + name, domain: domain, now: now}, nil
}

// Why there is no session in a request.
var (
	ErrNone      = errors.New("no session cookie")
	ErrAmbiguous = errors.New("several session cookies: one of them was planted")
	ErrOver      = errors.New("the session is over")
)

// Open finds the session that a request carries. The error says why there is
// none; whatever it is, the request comes from nobody. Requests share what the
// Session points to: nobody may write to its groups.
func (c *Cookies) Open(h http.Header, secure bool) (Session, error) {
	name := c.Name(secure)
	sealed, err := Find(h, name)
	if err != nil {
		return Session{}, err
	}
	now := c.now()
	if o := c.seen.find(name, sealed); o != nil {
		if o.session.Over(now) {
			c.seen.drop(o)
			return Session{}, ErrOver
		}
		return o.session, nil
	}
	var s Session
	if err := c.sealer.Open(name, sealed, &s); err != nil {
		return Session{}, err
	}
	if s.Over(now) {
		return Session{}, ErrOver
	}
	c.seen.remember(name, sealed, s)
	return s, nil
}

// Save gives the session to the browser. The error is [ErrTooLarge] where it
// holds more than a cookie can.
func (c *Cookies) Save(w http.ResponseWriter, s Session, secure bool) error {
	name := c.Name(secure)
	sealed, err := c.sealer.Seal(name, s)
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: sealed, Path: "/", Domain: c.domain, Expires: s.Expires,
		Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return nil
}

// End takes the session from the browser.
func (c *Cookies) End(w http.ResponseWriter, secure bool) {
	http.SetCookie(w, &http.Cookie{
		Name: c.Name(secure), Path: "/", Domain: c.domain, MaxAge: -1,
		Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// Name is the session cookie's name. On https it begins with __Host-, so that no
// sibling host can plant one (RFC 6265bis, 4.1.3.2); a browser refuses that
// prefix on plain http and beside a domain.
func (c *Cookies) Name(secure bool) string {
	if secure && c.domain == "" {
		return c.bound
	}
	return c.name
}

// Find gives the value of the one cookie with exactly that name. The error is
// [ErrNone] or [ErrAmbiguous].
func Find(h http.Header, name string) (string, error) {
	value, found := "", 0
	for n, v := range cookies(h) {
		if n == name {
			value = v
			found++
		}
	}
	switch found {
	case 0:
		return "", ErrNone
	case 1:
		return value, nil
	default:
		return "", ErrAmbiguous
	}
}

// Names gives the names of all cookies, doubles included.
func Names(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range cookies(h) {
			if !yield(name) {
				return
			}
		}
	}
}

// cookies reads the header itself because r.Cookies returns nothing at all
// beyond 3,000 parts and trims names that browsers tell apart (net/http,
// readCookies).
func cookies(h http.Header) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, line := range h["Cookie"] {
			for part := range strings.SplitSeq(line, ";") {
				name, value, ok := strings.Cut(strings.TrimLeft(part, " \t"), "=")
				if ok && !yield(name, strings.TrimRight(value, " \t")) {
					return
				}
			}
		}
	}
}

// Strip takes every cookie of authgate's out of request headers that go on to an
// upstream, and leaves the rest byte for byte. It takes more than [Cookies.Open]
// accepts: whatever some server might read as authgate's cookie.
func (c *Cookies) Strip(h http.Header) {
	lines := h["Cookie"]
	if !slices.ContainsFunc(lines, c.ownsAny) {
		return
	}
	kept := make([]string, 0, len(lines)) // the client's own header may share the lines
	for _, line := range lines {
		if rest := c.without(line); rest != "" {
			kept = append(kept, rest)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

func (c *Cookies) ownsAny(line string) bool {
	for part := range strings.SplitSeq(line, ";") {
		if c.Owns(part) {
			return true
		}
	}
	return false
}

// without gives the parts of a line that are not authgate's. As long as they
// stand side by side, and browsers send the session first or last more often than
// not, they are a part of the line and nothing is copied.
func (c *Cookies) without(line string) string {
	var copied strings.Builder // all that is kept, from the first gap on
	begin, end := -1, -1
	at := 0
	for part := range strings.SplitSeq(line, ";") {
		here := at
		at += len(part) + len(";")
		switch {
		case c.Owns(part):
			continue
		case copied.Len() > 0:
			copied.WriteByte(';')
			copied.WriteString(part)
		case begin < 0:
			begin, end = here, here+len(part)
		case here == end+len(";"):
			end = here + len(part)
		default:
			copied.Grow(len(line))
			copied.WriteString(line[begin:end])
			copied.WriteByte(';')
			copied.WriteString(part)
		}
	}
	switch {
	case copied.Len() > 0:
		return strings.Trim(copied.String(), " \t")
	case begin < 0:
		return ""
	default:
		return strings.Trim(line[begin:end], " \t")
	}
}

// Owns reports whether a cookie, as NAME=VALUE with anything behind, would be
// one of authgate's to any reader: without case, through blanks, quotes and
// bytes that some servers trim, and as the value of a cookie without a name.
func (c *Cookies) Owns(cookie string) bool {
	cookie, _, _ = strings.Cut(cookie, ";") // a name alone may have attributes behind it
	name, value, _ := strings.Cut(cookie, "=")
	name = strings.TrimFunc(name, notToken)
	if name == "" {
		name, _, _ = strings.Cut(value, "=")
		name = strings.TrimFunc(name, notToken)
	}
	name = trimPrefixFold(trimPrefixFold(name, "__Host-"), "__Secure-")
	if len(name) < len(c.name) || !strings.EqualFold(name[:len(c.name)], c.name) {
		return false
	}
	rest := name[len(c.name):]
	return rest == "" || rest[0] == '-'
}

func notToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || r == '"' || r == '\''
}

func trimPrefixFold(s, prefix string) string {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):]
	}
	return s
}
