package page

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"
)

// Templates are files that replace the built-in ones of the same name, by name.
type Templates map[string][]byte

// Names are the names of the built-in files, each of which can be replaced.
func Names() []string {
	names, _ := fs.Glob(files, "*") // a constant pattern
	return names
}

// TemplateError is a mistake in a template. It names the file, the line, and the column if it is known.
type TemplateError struct {
	File         string // its name in [Templates]
	Line, Column int
	Message      string
}

// TemplateErrors are all mistakes in templates.
type TemplateErrors []TemplateError

func (errs TemplateErrors) Error() string {
	var lines []string
	for _, e := range errs {
		lines = append(lines, e.File+": "+e.Message)
	}
	return strings.Join(lines, "\n")
}

// read reads a file, or the built-in one.
func (t Templates) read(name string) ([]byte, error) {
	if data, ok := t[name]; ok {
		return slices.Clone(data), nil
	}
	return files.ReadFile(name)
}

// parse reads all templates for one language.
func (o Options) parse(c catalog, style []byte) (*template.Template, error) {
	name := o.Brand.Name
	if name == "" {
		name = "authgate"
	}
	all := template.New("").Funcs(template.FuncMap{
		"t":       c.html,
		"problem": c.problem,
		"action":  c.action,
		"code":    code,
		"at":      at,
		"span":    c.span,
		"lang":    c.tag.String,
		"name":    func() string { return name },
		"logo":    func() template.URL { return template.URL(o.Brand.Logo) }, /* checked when it was read */
		"helpURL": func() string { return o.Brand.HelpURL },
		"style":   func() template.CSS { return template.CSS(style) }, //nolint:gosec // the operator's own
	})
	var mistakes TemplateErrors
	for _, file := range Names() {
		if !strings.HasSuffix(file, ".html") {
			continue
		}
		if err := o.parseFile(all.New(file), file); err != nil {
			mistakes = append(mistakes, templateError(file, err))
		}
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return all, nil
}

// parseFile reads one template. Parts that a layout of the operator's does not define are the
// built-in ones.
func (o Options) parseFile(into *template.Template, file string) error {
	if _, replaced := o.Templates[file]; replaced && file == layoutFile {
		builtin, err := files.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := into.Parse(string(builtin)); err != nil {
			return err
		}
	}
	text, err := o.Templates.read(file)
	if err != nil {
		return err
	}
	parsed, err := into.Parse(string(text))
	if err == nil && file == layoutFile && parsed.Tree != nil && !parse.IsEmptyTree(parsed.Tree.Root) {
		return errors.New("has text outside of {{define}}, which is shown nowhere; define head, top, body, foot, list, " +
			"groups or button")
	}
	return err
}

const layoutFile = "layout.html"

// check executes every template that replaces a built-in one, in every state that its page
// can have, so that a mistake in it is found at the start and not when the page is needed.
func (s *Set) check(replaced Templates) error {
	if len(replaced) == 0 {
		return nil // tests render the built-in ones
	}
	found := map[TemplateError]bool{}
	for _, in := range s.languages {
		for _, p := range Samples() {
			if _, err := s.render(p, sampleReader, in); err != nil {
				found[templateError(p.Template(), err)] = true
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	return TemplateErrors(slices.SortedFunc(maps.Keys(found), func(a, b TemplateError) int {
		return strings.Compare(a.File+a.Message, b.File+b.Message)
	}))
}

// templatePosition is how package template begins its errors: name, line, and perhaps column.
var templatePosition = regexp.MustCompile(`(?s)template: ?([^:]+):(\d+):(?:(\d+):)? ?(?:executing "[^"]*" at )?(.*)`)

func templateError(file string, err error) TemplateError {
	found := templatePosition.FindStringSubmatch(err.Error())
	if found == nil {
		_, message, _ := strings.Cut(err.Error(), "template:"+file+": ")
		if strings.HasPrefix(message, "ends in a non-text context") {
			message = "ends inside a tag, an attribute, a script or a style sheet"
		}
		return TemplateError{File: file, Message: cmp.Or(message, err.Error())}
	}
	line, _ := strconv.Atoi(found[2]) // digits
	column, _ := strconv.Atoi(found[3])
	if column > 0 {
		column++ // the package counts from 0
	}
	return TemplateError{File: found[1], Line: line, Column: column, Message: found[4]}
}

// styleElement is a style sheet of a template that is always the same.
var styleElement = regexp.MustCompile(`(?is)<style[^>{]*>([^{}<]*(?:\{[^{}<]*\}[^{}<]*)*)</style>`)

// styles are the style sheets in templates.
func (t Templates) styles() [][]byte {
	var all [][]byte
	for _, name := range slices.Sorted(maps.Keys(t)) {
		for _, found := range styleElement.FindAllSubmatch(t[name], -1) {
			all = append(all, found[1])
		}
	}
	return all
}

// contentSecurityPolicy allows style sheets and forms to this host, and nothing else.
func contentSecurityPolicy(styles ...[]byte) string {
	csp := "default-src 'none'; style-src"
	for _, style := range styles {
		sum := sha256.Sum256(style)
		csp += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return csp + "; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}
