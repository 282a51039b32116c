package respond

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/example-org/authgate/proxy/respond/page"
)

// Refusal is the answer to a request that ends without being served. Detail is for the user
// and has nothing of tokens, cookies or upstream bodies. Cause is for the log.
type Refusal struct {
	Status int
	Code   string // stable: audit reason and the problem's type
	Detail string
	Cause  error
	Next   page.Link // what a user can do now
	Until  string    // when a session ends that could not be revoked

	// RetryAfter is after how many seconds a client may try again; a page then loads itself again.
	// 0: a few for what passes by itself.
	RetryAfter int

	Reason       string       // why a client is not authenticated, for programs; empty: not said
	LoginURL     string       // where a browser signs in, for programs; empty: not said
	Denied       *page.Denied // whom the policy denies, and whom it admits; nil: the policy did not decide
	OAuth        bool         // an issuer reads the answer: it has an error of RFC 6749
	OnNavigation Answer       // for a browser that opens a page, instead of a page with the refusal; nil: none
}

// write answers gRPC with a status, a user with a page, and other clients with problem+json.
func (f *Refusal) write(w *Writer, q Request) {
	w.LogRefusal(q, f)
	CloseIfUnread(q.W, q.R)
	SetHeaders(q.W.Header())
	setRetryAfter(q.W.Header(), f)
	switch {
	case IsGRPC(q.R), IsGRPCWeb(q.R):
		WriteGRPC(q.W, q.R, f)
	case f.OnNavigation != nil && IsNavigation(q.R):
		f.OnNavigation.write(w, q)
	default:
		w.WriteRefusal(q, f)
	}
}

// setRetryAfter says when a client may try again what passes by itself.
func setRetryAfter(h http.Header, f *Refusal) {
	switch {
	case f.RetryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(f.RetryAfter))
	case f.Status == http.StatusServiceUnavailable || f.Status == http.StatusTooManyRequests:
		h.Set("Retry-After", "5")
	}
}

// WriteRefusal writes a page for a user, or problem+json for a program, and no other headers
// of the response.
func (w *Writer) WriteRefusal(q Request, f *Refusal) {
	switch {
	case !WantsHTML(q.R):
		WriteProblem(q, f)
	case f.Denied != nil:
		w.writePage(q, f, *f.Denied, nil)
	default:
		w.writePage(q, f, problemPage(q, f), nil)
	}
}

// problemPage is the page of a refusal. If it is known when the request may succeed, the browser
// loads the page again by itself: only if it was opened, because a form would be sent again
// without its values.
func problemPage(q Request, f *Refusal) page.Problem {
	p := page.Problem{
		Status: f.Status, Code: f.Code, Detail: f.Detail, Upstream: q.Upstream, Until: f.Until, Next: f.Next,
	}
	if f.RetryAfter > 0 && IsNavigation(q.R) {
		p.Retry = f.RetryAfter
		here := WithQuery(q.Path.String(), q.R.URL.RawQuery)
		if p.Next.URL == "" && !strings.HasPrefix(here, "//") { // which begins another host
			p.Next = page.Link{Text: page.TextTryAgain, URL: here}
		}
	}
	return p
}

// LogRefusal logs the cause of a refusal, if it has one.
func (w *Writer) LogRefusal(q Request, f *Refusal) {
	switch {
	case f.Cause == nil:
	case f.Status >= http.StatusInternalServerError:
		w.log.Error("request failed", "id", q.ID, "request_id", q.RequestID, "code", f.Code, "status", f.Status, "error",
			f.Cause)
	default:
		w.log.Debug("request refused", "id", q.ID, "request_id", q.RequestID, "code", f.Code, "status", f.Status, "error",
			f.Cause)
	}
}

// title is the name of a status.
func title(status int) string {
	if text := http.StatusText(status); text != "" {
		return text
	}
	return "Refused"
}
