package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy/respond/page"
)

func TestTheBrandIsOnEveryPage(t *testing.T) {
	t.Parallel()
	const logo = "data:image/svg+xml;base64,PHN2Zy8+"
	set := newSet(t, page.Options{Brand: page.Brand{
		Name: evil, Logo: logo, HelpURL: "https://wiki.example.com/?a=1&b=2", Accent: page.Accent{Color: "#008080", Text: "#ffffff"},
	}})
	for _, p := range page.Samples() {
		d := render(t, set, p, "")
		text := strings.ReplaceAll(string(d.HTML), "&#43;", "+")
		for _, want := range []string{
			` · &lt;script&gt;`, `<img src="` + logo + `" alt="">`, `href="https://wiki.example.com/?a=1&amp;b=2"`,
			"--accent: #008080; --on-accent: #ffffff;",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%T: %q is missing in\n%s", p, want, text)
			}
		}
		if !strings.Contains(d.CSP, "img-src data:") || strings.Contains(d.CSP, "http") {
			t.Errorf("%T: %s", p, d.CSP)
		}
	}
	if d := render(t, newSet(t, page.Options{}), page.SignOut{}, ""); strings.Contains(d.CSP, "img-src") {
		t.Errorf("images are allowed on a page without: %s", d.CSP)
	}
}

// No page is loaded from elsewhere, and none needs an attribute that its policy forbids.
func TestPagesLoadNothing(t *testing.T) {
	t.Parallel()
	set := newSet(t, page.Options{})
	for _, p := range page.Samples() {
		_, text, _ := strings.Cut(string(render(t, set, p, "ja").HTML), "</style>")
		for _, forbidden := range []string{" style=", "<link", "url(", "@import", " onclick", " onload", `src="/`, `src="http`} {
			if strings.Contains(text, forbidden) {
				t.Errorf("%T has %q:\n%s", p, forbidden, text)
			}
		}
	}
}

// The contrast of the accent is checked against the colours of the style sheet.
func TestTheCardHasTheColoursThatTheConfigurationKnows(t *testing.T) {
	t.Parallel()
	style, err := os.ReadFile("style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, ok := strings.Cut(string(style), "prefers-color-scheme: dark")
	if !ok || !strings.Contains(light, "--card: "+config.CardLight.String()) || !strings.Contains(dark, "--card: "+config.CardDark.String()) {
		t.Errorf("the cards are %s and %s:\n%s", config.CardLight, config.CardDark, style)
	}
}

func TestTemplatesAreReplacedFileByFile(t *testing.T) {
	t.Parallel()
	set := newSet(t, page.Options{Templates: page.Templates{
		"denied.html": []byte(`<!doctype html><style>p { color: teal }</style><p>{{.User}}, {{.ID}}, {{t "denied.title"}}, {{action .}}</p>`),
	}})
	d := render(t, set, page.Denied{User: evil, Upstream: "argocd"}, "")
	const want = `<!doctype html><style>p { color: teal }</style><p>&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;, id-1, You do not have access, open this page of argocd</p>`
	if string(d.HTML) != want {
		t.Errorf("%s", d.HTML)
	}
	sum := sha256.Sum256([]byte("p { color: teal }"))
	if !strings.Contains(d.CSP, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("its style is not allowed: %s", d.CSP)
	}
	if text := string(render(t, set, page.SignOut{}, "").HTML); !strings.Contains(text, "<h1>Sign out?</h1>") {
		t.Errorf("another page has changed:\n%s", text)
	}
	set = newSet(t, page.Options{Templates: page.Templates{"style.css": []byte("main { color: red }")}})
	if text := string(render(t, set, page.SignOut{}, "").HTML); !strings.Contains(text, "<style>main { color: red }</style>") {
		t.Errorf("the style sheet is not replaced:\n%s", text)
	}
	set = newSet(t, page.Options{Templates: page.Templates{"layout.html": []byte(`{{define "foot"}}<footer>Our own</footer></main></body></html>{{end}}`)}})
	if text := string(render(t, set, page.Portal{}, "").HTML); !strings.Contains(text, "<footer>Our own</footer>") || !strings.Contains(text, "<h1>Dashboards") {
		t.Errorf("a part of the layout is not replaced, or the others are gone:\n%s", text)
	}
}

// Each mistake is found at the start, wherever in the states of a page it is.
func TestMistakesInTemplatesAreFoundWithTheirLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]page.TemplateError{
		"x\n{{.Nope}}":                             {Line: 2, Column: 3},
		"{{if .Overage}}\n\n {{.Nope}}{{end}}":     {Line: 3, Column: 4},
		"{{if not .ShowAdmitted}}{{.Nope}}{{end}}": {Line: 1},
		"{{if .Rule}}{{.Rule.Line}}{{end}}":        {Line: 1},
		"{{range .Groups}}{{.Name}}{{end}}":        {Line: 1},
		"{{with .Back}}{{.Nope}}{{end}}":           {Line: 1},
		"{{if .Request}}{{else}}{{.Nope}}{{end}}":  {Line: 1},
		"{{.User":                         {Line: 1},
		"{{nope}}":                        {Line: 1},
		"\n{{t \"nope\"}}":                {Line: 2},
		"\n{{t \"denied.signed_in_as\"}}": {Line: 2}, // its placeholder has no value
		"{{t .Nope}}":                     {Line: 1},
		"{{end}}":                         {Line: 1},
		"{{template \"nope\"}}":           {Line: 1},
		"{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}": {Line: 1},
		"<a href='{{if .User}}x{{else}}\"{{end}}>":                    {},
		"<p {{if .User}}title='x{{end}}>":                             {},
	} {
		_, err := page.New(page.Options{Templates: page.Templates{"denied.html": []byte(text)}})
		var mistakes page.TemplateErrors
		if !errors.As(err, &mistakes) || len(mistakes) == 0 {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got := mistakes[0]
		if got.File != "denied.html" || want.Line != 0 && got.Line != want.Line || want.Column != 0 && got.Column != want.Column || got.Message == "" {
			t.Errorf("%q: %+v", text, got)
		}
	}
	for _, layout := range []string{"<p>{{.Nope}}</p>", "text", `{{define "foot"}}{{.Nope}}{{end}}`, `{{define "list"}}{{.Nope}}{{end}}`} {
		var mistakes page.TemplateErrors
		if _, err := page.New(page.Options{Templates: page.Templates{"layout.html": []byte(layout)}}); !errors.As(err, &mistakes) || mistakes[0].File != "layout.html" {
			t.Errorf("%q: %v", layout, err)
		}
	}
	_, err := page.New(page.Options{Templates: page.Templates{"denied.html": []byte("{{.A}}"), "portal.html": []byte("{{.B}}"), "signin.html": []byte("{{.C}}")}})
	var mistakes page.TemplateErrors
	if errors.As(err, &mistakes); len(mistakes) != 3 {
		t.Errorf("%v", err)
	}
	if !slices.IsSortedFunc(mistakes, func(a, b page.TemplateError) int { return strings.Compare(a.File, b.File) }) {
		t.Errorf("%v", mistakes)
	}
}
