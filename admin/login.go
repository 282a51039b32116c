package admin

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/proxy/respond"
)

// loginPage is the form for the token.
type loginPage struct {
	frame

	Message string
	Next    string // page to open then
}

// pagePaths are the pages to which a login returns.
var pagePaths = []string{"/", "/explain", "/refusals", "/sessions"}

// askForToken answers a browser that has not shown the token.
//
// A browser leaves the cookie out when another site, such as a chat, links to a page. The page
// then loads itself again, which is a request of this site.
func (h *Handler) askForToken(w http.ResponseWriter, r *http.Request, status int, message string) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="authgate"`)
	}
	reload := message == "" && respond.IsFromOtherSite(r)
	h.writePage(w, status, "login.html", loginPage{frame{Title: "Sign in", Reload: reload}, message, nextPage(r)})
}

// nextPage is the page to open after the login. It is always one of this port.
func nextPage(r *http.Request) string {
	next := r.RequestURI
	if r.URL.Path == "/login" {
		next = r.PostFormValue("next")
	}
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || !slices.Contains(pagePaths, u.Path) {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawQuery: u.RawQuery}).String()
}

// serveLogin shows the form, and reads it.
func (h *Handler) serveLogin(w http.ResponseWriter, r *http.Request) {
	setPageHeaders(w.Header())
	switch {
	case respond.IsRead(r.Method) && h.access(r).granted():
		respond.CloseIfUnread(w, r)
		redirect(w, "/")
	case respond.IsRead(r.Method):
		respond.CloseIfUnread(w, r)
		h.askForToken(w, r, http.StatusOK, "")
	case r.Method != http.MethodPost:
		respond.CloseIfUnread(w, r)
		w.Header().Set("Allow", "GET, HEAD, POST")
		refuse(w, respond.Refusal{Status: http.StatusMethodNotAllowed, Code: "method", Detail: "Send the form with POST."})
	case !readForm(w, r):
		h.askForToken(w, r, http.StatusBadRequest, "The form could not be read. Fill it in again.")
	case !h.logins.attempt(h.Now()):
		w.Header().Set("Retry-After", "1")
		h.askForToken(w, r, http.StatusTooManyRequests, "Too many wrong tokens were sent. Try again in a few seconds.")
	case !h.isToken(strings.TrimSpace(r.PostFormValue("token"))):
		h.Log.Warn("wrong token on the login form of the admin port", "remote", remoteHost(r))
		h.askForToken(w, r, http.StatusUnauthorized, "This is not the token that adminToken names. Nothing was opened.")
	default:
		h.logins.forgive()
		h.Log.Info("signed in on the admin port", "remote", remoteHost(r))
		http.SetCookie(w, h.logins.start(h.token.Load(), h.Now(), r.TLS != nil))
		redirect(w, nextPage(r))
	}
}

// serveLogout ends the login of the browser.
func (h *Handler) serveLogout(w http.ResponseWriter, r *http.Request) {
	setPageHeaders(w.Header())
	a := access{}
	if readForm(w, r) {
		a = h.access(r)
	}
	switch {
	case a.granted() && !a.mayChange(r):
		h.refuseForm(w, r, forgedForm, "/")
	default:
		http.SetCookie(w, h.logins.end(r))
		redirect(w, "/login")
	}
}

var forgedForm = respond.Refusal{Status: http.StatusForbidden, Code: "csrf", Detail: "The form is not one of this " +
	"login. Nothing was done. Load the page again, and send its form."}

func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// Limits of a form.
const (
	maxForm     = 16 << 10 // bytes
	formTimeout = 10 * time.Second
)

// readForm reads a form of the pages, and reports whether it is one.
func readForm(w http.ResponseWriter, r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		respond.CloseIfUnread(w, r)
		r.PostForm, r.Form = url.Values{}, url.Values{}
		return false
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(formTimeout))
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		w.Header().Set("Connection", "close")
		r.PostForm, r.Form = url.Values{}, url.Values{}
		return false
	}
	_ = control.SetReadDeadline(time.Time{})
	return true
}
