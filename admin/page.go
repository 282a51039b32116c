package admin

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/example-org/authgate/proxy/respond"
)

//go:embed pages
var pageFiles embed.FS

// pages are the templates of the operator pages. html/template escapes everything. There is no
// script, and nothing is loaded from elsewhere.
type pages struct {
	templates *template.Template
	csp       string
}

// newPages panics on a mistake in the templates, which every test of this package would find.
func newPages(now func() time.Time) *pages {
	style, err := pageFiles.ReadFile("pages/operator.css")
	if err != nil {
		panic(err)
	}
	templates := template.Must(template.New("").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(style) },
		"utc":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"since":  func(t time.Time) string { return shortDuration(now().Sub(t)) },
		"until":  func(t time.Time) string { return shortDuration(t.Sub(now())) },
		"plural": plural,
	}).ParseFS(pageFiles, "pages/*.html"))
	sum := sha256.Sum256(style)
	return &pages{templates: templates, csp: "default-src 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"}
}

// frame is what all pages show.
type frame struct {
	Title  string
	Page   string // path of the page in the navigation; empty: there is none yet
	CSRF   string // for forms; empty: the browser has no cookie of ours
	Reload bool   // the page loads itself again: the next request then comes from this site
}

// writePage writes a page of the operator's.
func (h *Handler) writePage(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := h.pages.templates.ExecuteTemplate(&body, name, data); err != nil { // a mistake in the template
		h.Log.Error("operator page not rendered", "page", name, "error", err)
		refuse(w, respond.Refusal{Status: http.StatusInternalServerError, Code: "render_failed", Detail: "This page " +
			"could not be shown. The log has the reason."})
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", h.pages.csp)
	respond.Send(w, status, body.Bytes())
}

// setPageHeaders sets what no page of the operator's goes without.
func setPageHeaders(header http.Header) {
	respond.SetHeaders(header)
	header.Set("X-Frame-Options", "DENY")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// wantsJSON reports whether a client asks for JSON instead of a page.
func wantsJSON(r *http.Request) bool {
	accept := strings.ToLower(strings.Join(r.Header["Accept"], ","))
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// pageHandler is a handler of one page.
type pageHandler func(w http.ResponseWriter, r *http.Request, a access)

// page checks access before anything else. The pages only read.
func (h *Handler) page(show pageHandler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		respond.CloseIfUnread(w, r)
		setPageHeaders(w.Header())
		a := h.access(r)
		switch {
		case !a.granted() && wantsJSON(r):
			h.refuseToken(w, r)
		case !a.granted():
			h.askForToken(w, r, http.StatusUnauthorized, "")
		case !respond.IsRead(r.Method):
			w.Header().Set("Allow", "GET, HEAD")
			refuse(w, respond.Refusal{Status: http.StatusMethodNotAllowed, Code: "method", Detail: "Use GET or HEAD."})
		default:
			show(w, r, a)
		}
	}
}

// problemPage is a refusal for a browser.
type problemPage struct {
	frame
	respond.Refusal

	Back string // page to go on with
}

// refuseForm refuses a form of a page: a browser gets a page, and a program problem+json.
func (h *Handler) refuseForm(w http.ResponseWriter, r *http.Request, f respond.Refusal, back string) {
	if !respond.WantsHTML(r) {
		refuse(w, f)
		return
	}
	h.writePage(w, f.Status, "problem.html", problemPage{frame{Title: "That did not work"}, f, back})
}

// shortDuration shows a time span in its two largest units.
func shortDuration(d time.Duration) string {
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case d < 0:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", minutes)
	case days == 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	default:
		return fmt.Sprintf("%d d %d h", days, hours)
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
