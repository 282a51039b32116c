// Package page renders authgate's own HTML pages. It takes a struct and returns bytes: it
// knows no request, no session and no policy. html/template escapes everything. A page needs
// no other file and works under the Content-Security-Policy that [Set.Render] returns. One
// page has a script, and also works without it.
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
	csp       string
}

// Page is the data of one page.
type Page interface{ template() string }

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
		csp: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
	}, nil
}

// Render returns the HTML of a page and its Content-Security-Policy: the style sheet of the
// set, forms to this host, and the page's own script if it has one.
func (s *Set) Render(p Page) (html []byte, csp string, err error) {
	csp = s.csp
	if o, ok := p.(Interstitial); ok && o.Scripted() {
		o.Nonce = rand.Text()
		csp += "; script-src 'nonce-" + o.Nonce + "'"
		p = o
	}
	var b bytes.Buffer
	if err := s.templates.ExecuteTemplate(&b, p.template(), p); err != nil {
		return nil, "", fmt.Errorf("rendering %s: %w", p.template(), err)
	}
	return b.Bytes(), csp, nil
}

// Link is a link with its text.
type Link struct{ Text, URL string }

// Problem shows an error.
type Problem struct {
	Status int
	Title  string
	Detail string
	ID     string // finds the record in the audit and the log
	Next   Link   // what the user can do now; empty: nothing
}

// Denied tells a signed-in user that the policy denies the request, and who is admitted.
type Denied struct {
	User         string   // e-mail, or name, or subject
	Groups       []string // as the issuer sent them
	Overage      bool     // the issuer sent none because there are too many
	Admitted     []string // groups that are admitted, the first of them
	AdmittedMore int      // number of further groups that are admitted
	Rule         string   // file:line of the row that denied; empty where no row allows
	Upstream     string
	Method       string
	Path         string
	ID           string
	SignOut      string // URL
	SwitchUser   string // URL of a login as another user
}

// SignOut asks whether to end the session.
type SignOut struct {
	User      string // empty: unknown, the session cannot be looked up
	Action    string // URL to post to
	ReturnTo  string
	IssuerToo bool // the issuer's own session also ends
}

// SignedOut tells that the session has ended, and which other sessions have not.
type SignedOut struct {
	SignIn     Link
	SwitchUser string // URL of a login as another user
	IssuerToo  bool

	Hosts         []HostSession // at which the browser may have had a session; empty: this one only
	Return        Link          // where the user was; empty: not known
	IssuerSignOut string        // URL at which the issuer ends its own session; the page opens it. Empty: none
}

// HostSession is the result of a sign-out at one host.
type HostSession struct{ Host, State string }

// Portal lists the upstreams that the user may open.
type Portal struct {
	User      string
	Groups    []string
	Upstreams []Link
	SignOut   string // URL
}

// Interstitial opens another address without a redirect. To the browser the next request
// then comes from this site, and not from the site that sent the browser here.
type Interstitial struct {
	Link                 // the address, and why
	Confirm         bool // the user follows the link after reading the page; false: the page opens it
	KeepFragment    bool // a script stores the fragment of this page's address
	RestoreFragment bool // a script appends the stored fragment
	Nonce           string
}

// Scripted reports whether the page has a script.
func (o Interstitial) Scripted() bool { return o.KeepFragment || o.RestoreFragment }

func (Problem) template() string      { return "problem.html" }
func (Denied) template() string       { return "denied.html" }
func (SignOut) template() string      { return "signout.html" }
func (SignedOut) template() string    { return "signedout.html" }
func (Portal) template() string       { return "portal.html" }
func (Interstitial) template() string { return "interstitial.html" }
