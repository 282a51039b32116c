// Package respond writes authgate's own responses: refusals, pages and redirects. It knows
// the HTTP request that it answers, and nothing of sessions or the policy.
package respond

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/example-org/authgate/proxy/client"
	"github.com/example-org/authgate/proxy/respond/page"
	"github.com/example-org/authgate/target"
)

// Request is the request that an answer is for.
type Request struct {
	W          http.ResponseWriter
	R          *http.Request
	ID         string // authgate's own: no client can choose it
	RequestID  string // the client's, or ID
	HasToken   bool   // it carries a bearer token
	SameOrigin bool   // a page of this origin sent it, or the user opened it
	SignedIn   bool   // its pages link to the portal
	Upstream   string // what users call the upstream; empty: none
	Client     client.Client
	Path       target.Path
	ReceivedAt time.Time
}

// Answer is a response of authgate's own that has not been written: a [*Refusal], a
// [Redirect], a [Page] or [Empty].
type Answer interface{ write(w *Writer, q Request) }

// Writer writes answers. It is safe for concurrent use.
type Writer struct {
	pages  *page.Set
	portal string // its URL
	log    *slog.Logger
}

// New returns a Writer. The portal is the URL to which its pages link.
func New(pages *page.Set, portal string, log *slog.Logger) *Writer {
	return &Writer{pages: pages, portal: portal, log: log}
}

// Write writes an answer.
func (w *Writer) Write(q Request, a Answer) { a.write(w, q) }

// SetHeaders sets the headers that all answers of authgate's own have.
func SetHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Cookie, Authorization, Accept, Accept-Language, Origin, Sec-Fetch-Site, Sec-Fetch-Mode")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // no-referrer would make browsers send our own form with Origin: null
}

// Redirect leads the browser to another address.
type Redirect struct {
	Status   int
	Location string
}

// neutralFragment ends every redirect to another host. A browser appends the fragment of the
// current page to an address that has none (RFC 9110, 10.2.2), and would show the other
// host's scripts and logs which page was open. This fragment may come back at the end of a
// login that asks for nothing. It is the start page of dashboards that route by fragment.
const neutralFragment = "#/"

// RedirectExternal leads the browser to another host.
func RedirectExternal(status int, location string) Redirect {
	return Redirect{status, location + neutralFragment}
}

func (a Redirect) write(_ *Writer, q Request) {
	q.W.Header().Set("Location", a.Location)
	q.W.WriteHeader(a.Status)
}

// Empty is status 200 without a body.
type Empty struct{}

func (Empty) write(_ *Writer, q Request) { q.W.WriteHeader(http.StatusOK) }

// Page is an HTML page with status 200.
type Page struct {
	page.Page
	FormTargets []string // further origins to which a form of the page may lead
}

func (a Page) write(w *Writer, q Request) { w.writePage(q, nil, a.Page, a.FormTargets) }

// Continue is a page that opens an address, for a reason that the user can read.
func Continue(to string, reason page.Text) Page {
	return Page{Page: page.Interstitial{Link: page.Link{Text: reason, URL: to}}}
}

// KeepFragment is a page that opens an address after the browser has stored the fragment of
// this one, which no server sees and which the way through the issuer loses.
func KeepFragment(to string, reason page.Text) Page {
	return Page{Page: page.Interstitial{Link: page.Link{Text: reason, URL: to}, KeepFragment: true}}
}

// writePage renders a page. f is nil, or the refusal that the page shows.
func (w *Writer) writePage(q Request, f *Refusal, p page.Page, formTargets []string) {
	reader := page.Reader{AcceptLanguage: q.R.Header.Get("Accept-Language"), ID: q.ID}
	if q.SignedIn {
		reader.Portal = w.portal
	}
	document, err := w.pages.Render(p, reader)
	if err != nil { // a mistake in package page, whose tests render every page
		w.log.Error("page not rendered", "id", q.ID, "request_id", q.RequestID, "error", err)
		if f == nil {
			f = &Refusal{Status: http.StatusInternalServerError, Code: "render_failed", Detail: "This page could not be shown."}
		}
		WriteProblem(q, f)
		return
	}
	h := q.W.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", allowFormTargets(document.CSP, formTargets))
	h.Set("Content-Language", document.Language)
	status := http.StatusOK
	if f != nil {
		status = f.Status
		challenge(h, f.Status, tokenError(q, f))
	}
	Send(q.W, status, document.HTML)
}

// Send writes a response whose body is complete.
func Send(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// allowFormTargets lets the forms of a page lead to further origins: browsers check the
// redirects that answer a form against the form-action of its page (CSP Level 3, 6.4.1).
func allowFormTargets(csp string, origins []string) string {
	if len(origins) == 0 {
		return csp
	}
	const own = "form-action 'self'"
	return strings.Replace(csp, own, own+" "+strings.Join(origins, " "), 1)
}
