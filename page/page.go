// Package page draws what authgate itself shows in a browser. It gets a struct
// and returns bytes: it knows no request, no session and no policy. Everything
// is escaped by html/template, needs no script (one page has one, and does without)
// and no other file, and works
// under the Content-Security-Policy that [Set.Policy] gives.
package page

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
)

//go:embed *.html style.css
var files embed.FS

// Set is every page, parsed. It is safe for concurrent use.
type Set struct {
	templates *template.Template
	policy    string
}

// New parses the pages. An error is a mistake in this package.
func New() (*Set, error) {
	style, err := files.ReadFile("style.css")
	if err != nil {
		return nil, fmt.Errorf("reading the pages: %w", err)
	}
	templates, err := template.New("").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) },
	}).ParseFS(files, "*.html")
	if err != nil {
		return nil, fmt.Errorf("parsing the pages: %w", err)
	}
	sum := sha256.Sum256(style)
	return &Set{
		templates: templates,
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
	}, nil
}

// Policy is the Content-Security-Policy for every page of the set: its one style
// sheet, its own forms, and nothing else.
func (s *Set) Policy() string { return s.policy }

// Link leads somewhere.
type Link struct{ Text, URL string }

// Problem says that something went wrong.
type Problem struct {
	Status int
	Title  string
	Detail string
	ID     string // finds the record in the audit and the log
	Next   Link   // what to do now; empty: nothing to offer
}

// Denied says that somebody is not let in, and who would be.
type Denied struct {
	Who      string   // e-mail, or name, or subject
	Groups   []string // as the issuer sent them
	Overage  bool     // it sent none because there are too many
	Admitted []string // groups that would be let in, the first of them
	More     int      // how many others would
	Rule     string   // file:line of the row that denied; empty where no row allows
	Upstream string
	Method   string
	Path     string
	ID       string
	SignOut  string // URL
	Another  string // URL of a login as somebody else
}

// SignOut asks whether to end the session.
type SignOut struct {
	Who       string // empty: nobody knows right now
	Action    string // URL to post to
	ReturnTo  string
	IssuerToo bool // the issuer's own session ends with it
}

// SignedOut says that the session has ended, and what has not.
type SignedOut struct {
	Again     Link
	Another   string // URL of a login as somebody else
	IssuerToo bool

	Hosts  []HostSession // at which the browser may have had a session; empty: this one alone
	Return Link          // where the user was; empty: not known
	Onward string        // URL where the issuer ends its own session, opened by itself; empty: nothing is to be done there
}

// HostSession is what became of the session at one host.
type HostSession struct{ Host, State string }

// Portal lists what a person may open.
type Portal struct {
	Who       string
	Groups    []string
	Upstreams []Link
	SignOut   string // URL
}

// Problem draws the page for an error.
func (s *Set) Problem(p Problem) ([]byte, error) { return s.render("problem.html", p) }

// Denied draws the page for somebody who is not let in.
func (s *Set) Denied(d Denied) ([]byte, error) { return s.render("denied.html", d) }

// SignOut draws the page with the button that ends a session.
func (s *Set) SignOut(o SignOut) ([]byte, error) { return s.render("signout.html", o) }

// SignedOut draws the page that says that a session has ended.
func (s *Set) SignedOut(o SignedOut) ([]byte, error) { return s.render("signedout.html", o) }

// Interstitial goes on to another page.
type Interstitial struct {
	Link         // where to, and why
	Stay    bool // once the user has read it; else by itself
	Keep    bool // a script keeps the fragment of this address on the way there
	Restore bool // a script adds what Keep has kept
	Nonce   string
}

// Scripted reports whether the page has a script.
func (o Interstitial) Scripted() bool { return o.Keep || o.Restore }

// Interstitial draws a page that goes on to another, without a redirect: what it asks for
// comes from this site, and not from the one that sent the browser here. It gives
// the Content-Security-Policy of the page, which may have a script.
func (s *Set) Interstitial(o Interstitial) (html []byte, policy string, err error) {
	policy = s.policy
	if o.Scripted() {
		o.Nonce = rand.Text()
		policy += "; script-src 'nonce-" + o.Nonce + "'"
	}
	html, err = s.render("onward.html", o)
	return html, policy, err
}

// Portal draws the list of upstreams.
func (s *Set) Portal(p Portal) ([]byte, error) { return s.render("portal.html", p) }

func (s *Set) render(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := s.templates.ExecuteTemplate(&b, name, data); err != nil {
		return nil, fmt.Errorf("drawing %s: %w", name, err)
	}
	return b.Bytes(), nil
}
