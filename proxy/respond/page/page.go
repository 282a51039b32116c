// Package page renders authgate's own HTML pages. It takes a struct and returns bytes: it
// knows no request, no session and no policy. html/template escapes everything. A page needs
// no other file and works under the Content-Security-Policy that [Set.Render] returns. One
// page has a script, and also works without it.
//
// All texts are in text/LANGUAGE.yaml, and a page is in the language that its reader prefers.
package page

import (
	"bytes"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
)

//go:embed *.html style.css
var files embed.FS

// Options are what the pages of one installation differ in.
type Options struct {
	Brand     Brand
	Templates Templates // replace the built-in ones
}

// Set is every page in every language, parsed. It is safe for concurrent use.
type Set struct {
	languages []edition // the source language first
	csp       string
}

// edition is every page in one language.
type edition struct {
	catalog   catalog
	templates *template.Template
}

// Page is the data of one page: a struct that embeds [Base].
type Page interface {
	Template() string    // the name of its template
	WithBase(b Base) any // the same data with another Base
}

// Reader is for whom a page is rendered.
type Reader struct {
	AcceptLanguage string // the header
	ID             string // of the request; finds its record in the audit and the log
	Portal         string // URL of the portal; empty: the user is not signed in
}

// Document is a rendered page.
type Document struct {
	HTML     []byte
	CSP      string // its Content-Security-Policy
	Language string // its language, such as ja
}

// New parses the pages. All mistakes in templates of the options are returned together, as
// [TemplateErrors]. Another error is a mistake in this package.
func New(o Options) (*Set, error) {
	style, err := o.Templates.read("style.css")
	if err != nil {
		return nil, fmt.Errorf("reading the pages: %w", err)
	}
	style = append(style, o.Brand.Accent.css()...)
	catalogs, err := readCatalogs()
	if err != nil {
		return nil, fmt.Errorf("reading the texts of pages: %w", err)
	}
	s := &Set{csp: contentSecurityPolicy(append(o.Templates.styles(), style)...)}
	for _, c := range catalogs {
		templates, err := o.parse(c, style)
		if err != nil {
			return nil, err
		}
		s.languages = append(s.languages, edition{c, templates})
	}
	return s, s.check(o.Templates)
}

// Render renders a page in the language that its reader prefers. The policy allows the style
// sheet of the set, forms to this host, embedded images if there are any, and the page's own
// script if it has one.
func (s *Set) Render(p Page, to Reader) (Document, error) {
	return s.render(p, to, s.languages[match(s.languages, to.AcceptLanguage)])
}

func (s *Set) render(p Page, to Reader, in edition) (Document, error) {
	csp := s.csp
	if o, ok := p.(Interstitial); ok && o.Scripted() {
		o.Nonce = rand.Text()
		csp += "; script-src 'nonce-" + o.Nonce + "'"
		p = o
	}
	var b bytes.Buffer
	data := p.WithBase(Base{ID: to.ID, Portal: to.Portal})
	if err := in.templates.ExecuteTemplate(&b, p.Template(), data); err != nil {
		return Document{}, fmt.Errorf("rendering %s: %w", p.Template(), err)
	}
	if bytes.Contains(b.Bytes(), []byte("data:image/")) {
		csp += "; img-src data:"
	}
	return Document{HTML: b.Bytes(), CSP: csp, Language: in.catalog.tag.String()}, nil
}

// Language is the language in which a reader with this Accept-Language header gets pages.
func (s *Set) Language(acceptLanguage string) string {
	return s.languages[match(s.languages, acceptLanguage)].catalog.tag.String()
}
