package proxy

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/example-org/authgate/page"
)

// Refusal ends a request. Detail is for the person who made it and holds nothing
// of tokens, cookies or upstream bodies; Cause is for the log.
type Refusal struct {
	Status int
	Code   string // stable: audit reason and the problem's type
	Detail string
	Cause  error
	Next   page.Link // what a person can do now
}

// Codes that the answer depends on.
const (
	codeLoginRequired = "login_required"
	codeDenied        = "denied"
)

// refuse notes why the request ends here. It returns false, as a step does.
func (x *exchange) refuse(status int, code, detail string, cause error) bool {
	x.refusal = &Refusal{Status: status, Code: code, Detail: detail, Cause: cause}
	return false
}

// answer is step 5, and the one place where a refusal becomes a response: a
// redirect to log in, a page for a browser, a status for gRPC, or problem+json.
func (p *Proxy) answer(x *exchange) {
	f := x.refusal
	x.reason = f.Code
	p.logRefusal(x)
	x.closeIfUnread()

	setResponseHeaders(x.w.Header())
	if f.Status == http.StatusServiceUnavailable || f.Status == http.StatusTooManyRequests {
		x.w.Header().Set("Retry-After", "5") // both pass by themselves, in seconds
	}
	switch {
	case isGRPC(x.r), isGRPCWeb(x.r):
		writeGRPCRefusal(x.w, x.r, f)
	case (f.Code == codeLoginRequired || f.Code == codeAmbiguous) && isNavigation(x.r):
		p.redirectToLogin(x)
	default:
		p.writeRefusal(x)
	}
}

// writeRefusal says to a person, or to a program, why a request ends here.
func (p *Proxy) writeRefusal(x *exchange) {
	f := x.refusal
	switch {
	case f.Code == codeDenied && wantsHTML(x.r):
		html, err := p.deniedPage(x)
		p.writePage(x, f.Status, html, err)
	case wantsHTML(x.r):
		html, err := p.problemPage(x)
		p.writePage(x, f.Status, html, err)
	default:
		p.writeProblem(x)
	}
}

func (p *Proxy) logRefusal(x *exchange) {
	f := x.refusal
	switch {
	case f.Cause == nil:
	case f.Status >= http.StatusInternalServerError:
		p.log.Error("request failed", "id", x.id, "request_id", x.requestID, "code", f.Code, "status", f.Status, "error", f.Cause)
	default:
		p.log.Debug("request refused", "id", x.id, "request_id", x.requestID, "code", f.Code, "status", f.Status, "error", f.Cause)
	}
}

// setResponseHeaders are those of every answer that authgate itself makes.
func setResponseHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Cookie, Authorization, Accept, Origin, Sec-Fetch-Site, Sec-Fetch-Mode")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // no-referrer would make browsers send our own form with Origin: null
}

func (x *exchange) closeIfUnread() { closeIfUnread(x.w, x.r) }

// closeIfUnread ends an HTTP/1 connection whose request body nobody will read:
// net/http would wait for that body before it sends the answer, and no other
// timeout runs meanwhile (golang/go#25475). Every answer of authgate's own needs
// it; HTTP/2 resets the stream by itself.
func closeIfUnread(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || r.ContentLength == 0 || r.Body == http.NoBody {
		return
	}
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(5 * time.Second))
}

// isNavigation reports whether a browser is opening a page, as opposed to a script
// or another program asking: only the former can follow a login.
func isNavigation(r *http.Request) bool {
	return r.Method == http.MethodGet && len(r.Header["Upgrade"]) == 0 && wantsHTML(r)
}

// wantsHTML reports whether a person will look at the answer. Browsers say so in
// Sec-Fetch-Mode (W3C Fetch Metadata); on plain http, and the older ones, only
// by accepting HTML by name.
func wantsHTML(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return acceptsHTML(r.Header["Accept"]) && r.Header.Get("X-Requested-With") == ""
}

func acceptsHTML(accept []string) bool {
	for _, line := range accept {
		for element := range strings.SplitSeq(line, ",") {
			media, _, _ := strings.Cut(element, ";")
			if strings.EqualFold(strings.TrimSpace(media), "text/html") {
				return true
			}
		}
	}
	return false
}

// redirectToLogin sends a browser to log in and back to where it was.
func (p *Proxy) redirectToLogin(x *exchange) {
	here := withQuery(x.path.String(), x.r.URL.RawQuery)
	start := p.startURL(here)
	if x.forceLogin {
		start = p.forceLoginURL(here)
	}
	switch {
	case x.route != nil && x.route.config.KeepFragment:
		p.keepFragment(x, start)
	case p.cookieWithheld(x, x.sessionErr):
		if strings.HasPrefix(here, "//") { // which begins another host
			here = "/"
		}
		p.continueTo(x, here, "Looking whether you are signed in.")
	default:
		x.redirect(http.StatusFound, start)
	}
}

// neutralFragment stands in every redirect to another host: a browser appends the
// fragment of the page that it comes from to an address that has none (RFC 9110,
// 10.2.2), and would show the other host's scripts and logs where somebody was. It
// may come back at the end of a login that asks for nothing, and is the start page
// to those dashboards that route by it.
const neutralFragment = "#/"

func (x *exchange) redirectExternal(status int, location string) {
	x.redirect(status, location+neutralFragment)
}

// redirect is for addresses of this host, and for who has no fragment.
func (x *exchange) redirect(status int, location string) {
	x.w.Header().Set("Location", location)
	x.w.WriteHeader(status)
}

func (p *Proxy) deniedPage(x *exchange) ([]byte, error) {
	principal := x.session.Principal
	admitted, more := x.admitted()
	return p.pages.Denied(page.Denied{
		Who: displayName(principal), Groups: principal.Groups, Overage: principal.GroupsOverage, Admitted: admitted, More: more, Rule: x.rule(),
		Upstream: x.route.name, Method: x.r.Method, Path: x.path.String(),
		ID: x.id, SignOut: p.signOutURL(p.returnPathOf(x)), Another: p.switchUserURL(p.returnPathOf(x)),
	})
}

// admitted names the first groups that would be let in where this person is not,
// and counts the others.
func (x *exchange) admitted() (groups []string, more int) {
	return x.state.policy.Admitted(x.route.name, x.path, x.r.Method)
}

func (p *Proxy) problemPage(x *exchange) ([]byte, error) {
	f := x.refusal
	return p.pages.Problem(page.Problem{
		Status: f.Status, Title: title(f.Status), Detail: f.Detail, ID: x.id, Next: f.Next,
	})
}

// writePage sends what package page drew, or problem+json where it could not: a
// mistake there, whose tests draw every page.
func (p *Proxy) writePage(x *exchange, status int, html []byte, err error) {
	p.writePageWithCSP(x, status, html, p.pages.Policy(), err)
}

// writePageWithCSP is writePage with another Content-Security-Policy.
func (p *Proxy) writePageWithCSP(x *exchange, status int, html []byte, policy string, err error) {
	if err != nil {
		p.log.Error("page not drawn", "id", x.id, "request_id", x.requestID, "error", err)
		if x.refusal == nil {
			x.refuse(http.StatusInternalServerError, "page_not_drawn", "This page could not be shown.", nil)
		}
		p.writeProblem(x)
		return
	}
	h := x.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", allowFormTargets(policy, x.formTargets))
	challenge(h, status, x.tokenError())
	x.w.send(status, html)
}

// allowFormTargets lets forms of a page lead to further origins: browsers hold the redirects that
// answer a form to the form-action of its page (CSP Level 3, 6.4.1).
func allowFormTargets(policy string, origins []string) string {
	if len(origins) == 0 {
		return policy
	}
	const own = "form-action 'self'"
	return strings.Replace(policy, own, own+" "+strings.Join(origins, " "), 1)
}

// problem is RFC 9457, with authgate's own members behind.
type problem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail"`
	ID       string   `json:"id"`
	Reason   string   `json:"reason,omitempty"` // why nobody is signed in, or a token was not accepted
	Login    string   `json:"login,omitempty"`  // where a browser signs in
	User     string   `json:"user,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Overage  bool     `json:"groups_overage,omitempty"` // the issuer left the groups out: there are too many
	Admitted []string `json:"admitted,omitempty"`       // groups that would be let in: the first ten
	More     int      `json:"admitted_more,omitempty"`  // how many others would
	Rule     string   `json:"rule,omitempty"`

	// As grpc-gateway v1 writes errors (runtime/errors.go, errorBody): the UIs of Argo
	// show error, and `argo` takes an answer without a code for a success.
	Error   string `json:"error"` // that of RFC 6749, 5.2, where an issuer reads it
	Code    int    `json:"code"`
	Message string `json:"message"`

	Description string `json:"error_description,omitempty"`
}

func (p *Proxy) writeProblem(x *exchange) {
	f := x.refusal
	body := problem{
		Type: "urn:authgate:problem:" + f.Code, Title: title(f.Status), Status: f.Status, Detail: f.Detail, ID: x.id,
		Error: f.Detail, Code: grpcStatus(f.Status), Message: f.Detail,
	}
	switch f.Code {
	case codeLoginRequired:
		body.Reason, body.Login = unauthenticatedReason(x.sessionErr), p.prefix+"/start"
	case codeCredentialRefused, codeLoginToken, codeTokenRevoked:
		body.Reason = f.Code
	case codeDenied:
		body.User, body.Groups = displayName(x.session.Principal), x.session.Principal.Groups
		body.Overage = x.session.Principal.GroupsOverage
		body.Admitted, body.More = x.admitted()
		body.Rule = x.rule()
	case codeLogoutRefused, codeLogoutFailed:
		body.Error, body.Description = "invalid_request", f.Detail
	}
	h := x.w.Header()
	h.Set("Content-Type", "application/problem+json")
	challenge(h, f.Status, x.tokenError())
	text, _ := json.Marshal(body) // of strings and numbers
	x.w.send(f.Status, append(text, '\n'))
}

// tokenError says what was wrong with a token; empty: none came along.
func (x *exchange) tokenError() string {
	if x.presented.bearer == "" || x.refusal == nil {
		return ""
	}
	return x.refusal.Detail
}

// challenge adds what RFC 9110, 11.6.1 wants beside a 401, and RFC 6750, 3 where a
// token was not good.
func challenge(h http.Header, status int, reason string) {
	switch {
	case status != http.StatusUnauthorized:
	case reason != "":
		h.Set("WWW-Authenticate", `Bearer realm="authgate", error="invalid_token", error_description="`+errorDescription(reason)+`"`)
	default:
		h.Set("WWW-Authenticate", `Bearer realm="authgate"`)
	}
}

// errorDescription keeps what RFC 6750, 3 allows in error_description.
func errorDescription(reason string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '`' || r == '\\':
			return '\''
		case r < ' ' || r > '~':
			return -1
		}
		return r
	}, reason)
}

func title(status int) string {
	if text := http.StatusText(status); text != "" {
		return text
	}
	return "Refused"
}
