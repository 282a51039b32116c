package login

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/example-org/authgate/session/cookie"
)

// Only the browser that started a login can finish it (RFC 6749, 10.12): a cookie binds them.
// All logins of a browser share one cookie, so that their number does not matter. Tabs that
// are restored together start logins before the browser has the cookie: each gets one under
// a name of its own, so that none replaces another's.

const (
	bindingInName = 8 // characters of the digest in the name of the cookie
	maxBindings   = 8 // cookies that are checked
)

// bindBrowser returns the digest of this browser's binding cookie. It sets the cookie, a new
// one if there is none, for as long as the login may take.
func (h *Handler) bindBrowser(x *request) (digest string) {
	secure := x.Client.Secure()
	value, ok := h.findBinding(x)
	if !ok {
		value = rand.Text() // 130 bits
	}
	digest = digestOf(value)
	setLoginCookie(x.W, h.bindingCookie(digest, secure), value, int(loginLifetime.Seconds()), secure)
	return digest
}

// findBinding returns the first valid one: browsers send the oldest first.
func (h *Handler) findBinding(x *request) (value string, ok bool) {
	secure := x.Client.Secure()
	prefix := h.bindingCookiePrefix(secure)
	checked := 0
	for name := range cookie.Names(x.R.Header) {
		if len(name) != len(prefix)+bindingInName || !strings.HasPrefix(name, prefix) {
			continue
		}
		value, err := cookie.Find(x.R.Header, name)
		if err == nil && name == h.bindingCookie(digestOf(value), secure) {
			return value, true
		}
		if checked++; checked == maxBindings {
			break
		}
	}
	return "", false
}

// isBound reports whether this browser has the binding of that digest.
func (h *Handler) isBound(x *request, digest string) bool {
	if len(digest) < bindingInName {
		return false
	}
	value, err := cookie.Find(x.R.Header, h.bindingCookie(digest, x.Client.Secure()))
	return err == nil && subtle.ConstantTimeCompare([]byte(digestOf(value)), []byte(digest)) == 1
}

func digestOf(value string) string {
	sum := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func (h *Handler) bindingCookie(digest string, secure bool) string {
	return h.bindingCookiePrefix(secure) + digest[:bindingInName]
}

func (h *Handler) bindingCookiePrefix(secure bool) string { return h.hostCookieName("-login-", secure) }

// hostCookieName names a cookie of a login. It has __Host- also where a domain shares the
// session: a login belongs to one host, and no sibling may plant a cookie of it. No cookie
// whose name begins with that of the session cookie reaches an upstream.
func (h *Handler) hostCookieName(suffix string, secure bool) string {
	name := h.config.Session.Cookie.Name + suffix
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
