package proxy

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/example-org/authgate/session/cookie"
)

// A login is finished only by the browser that began it (RFC 6749, 10.12): a cookie
// binds them. All logins of a browser share one, so that their number does not
// matter. Tabs that are restored together ask all at once, before the browser has
// any: each of them is given one, under a name of its own, and none takes the place
// of another's.

const (
	bindingInName = 8 // characters of the digest that tell two bindings apart
	maxBindings   = 8 // cookies that may be meant are looked at
)

// bindBrowser gives the digest of this browser's binding, which is made if there is
// none, and kept for as long as the login may take.
func (p *Proxy) bindBrowser(x *exchange) (digest string) {
	secure := x.client.Secure()
	value, ok := p.findBinding(x)
	if !ok {
		value = rand.Text() // 130 bits
	}
	digest = digestOf(value)
	setLoginCookie(x.w, p.bindingCookie(digest, secure), value, int(loginLifetime.Seconds()), secure)
	return digest
}

// findBinding takes the first that is one: browsers send the oldest first.
func (p *Proxy) findBinding(x *exchange) (value string, ok bool) {
	secure := x.client.Secure()
	prefix := p.bindingCookiePrefix(secure)
	checked := 0
	for name := range cookie.Names(x.r.Header) {
		if len(name) != len(prefix)+bindingInName || !strings.HasPrefix(name, prefix) {
			continue
		}
		value, err := cookie.Find(x.r.Header, name)
		if err == nil && name == p.bindingCookie(digestOf(value), secure) {
			return value, true
		}
		if checked++; checked == maxBindings {
			break
		}
	}
	return "", false
}

// isBound reports whether this browser has the binding of that digest.
func (p *Proxy) isBound(x *exchange, digest string) bool {
	if len(digest) < bindingInName {
		return false
	}
	value, err := cookie.Find(x.r.Header, p.bindingCookie(digest, x.client.Secure()))
	return err == nil && subtle.ConstantTimeCompare([]byte(digestOf(value)), []byte(digest)) == 1
}

func digestOf(value string) string {
	sum := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func (p *Proxy) bindingCookie(digest string, secure bool) string {
	return p.bindingCookiePrefix(secure) + digest[:bindingInName]
}

func (p *Proxy) bindingCookiePrefix(secure bool) string { return p.hostCookieName("-login-", secure) }

// hostCookieName names a cookie that goes with a login. It has __Host- also where the
// session is shared by a domain: a login is of one host, and no sibling may plant
// one. What begins with the session cookie's name reaches no upstream.
func (p *Proxy) hostCookieName(suffix string, secure bool) string {
	name := p.config.Session.Cookie.Name + suffix
	if secure {
		name = "__Host-" + name
	}
	return name
}

func setLoginCookie(w http.ResponseWriter, name, value string, maxAge int, secure bool) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
