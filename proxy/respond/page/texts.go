package page

import (
	"cmp"
	"embed"
	"fmt"
	"html"
	"html/template"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
)

//go:embed text/*.yaml
var textFiles embed.FS

// Text is the key of a text in the catalogues text/LANGUAGE.yaml.
type Text string

// source is the language in which the texts are written; others are translated from it.
const source = "en"

// catalog is every text in one language.
type catalog struct {
	tag      language.Tag
	messages map[Text]message
}

// message is a text, read once. Its markup is that of Markdown: **strong** and `code`.
// Placeholders are names in braces: {user}.
type message []piece

type piece struct {
	html        string
	placeholder bool // html is its name
}

// readCatalogs reads one file for each language; the source language is the first.
func readCatalogs() ([]catalog, error) {
	files, err := textFiles.ReadDir("text")
	if err != nil {
		return nil, err
	}
	var all []catalog
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".yaml")
		data, err := textFiles.ReadFile(path.Join("text", f.Name()))
		if err != nil {
			return nil, err
		}
		c, err := parseCatalog(name, data)
		if err != nil {
			return nil, fmt.Errorf("text/%s: %w", f.Name(), err)
		}
		if name == source {
			all = append([]catalog{c}, all...)
			continue
		}
		all = append(all, c)
	}
	return all, nil
}

func parseCatalog(name string, data []byte) (catalog, error) {
	tag, err := language.Parse(name)
	if err != nil {
		return catalog{}, err
	}
	var tree map[string]any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return catalog{}, err
	}
	c := catalog{tag: tag, messages: make(map[Text]message)}
	return c, c.add("", tree)
}

// add reads the texts below a key: those of a mapping have its key in front.
func (c catalog) add(prefix string, tree map[string]any) error {
	for key, value := range tree {
		switch v := value.(type) {
		case map[string]any:
			if err := c.add(prefix+key+".", v); err != nil {
				return err
			}
		case string:
			m, err := parseMessage(v)
			if err != nil {
				return fmt.Errorf("%s%s: %w", prefix, key, err)
			}
			c.messages[Text(prefix+key)] = m
		default:
			return fmt.Errorf("%s%s is neither a text nor a mapping", prefix, key)
		}
	}
	return nil
}

func parseMessage(s string) (message, error) {
	var m message
	strong, code := false, false
	toggle := func(open *bool, tag string) {
		if *open = !*open; *open {
			tag = "<" + tag + ">"
		} else {
			tag = "</" + tag + ">"
		}
		m = append(m, piece{html: tag})
	}
	for s != "" {
		switch end := strings.IndexAny(s, "*`{"); {
		case end < 0:
			m, s = append(m, piece{html: html.EscapeString(s)}), ""
		case end > 0:
			m, s = append(m, piece{html: html.EscapeString(s[:end])}), s[end:]
		case strings.HasPrefix(s, "**"):
			toggle(&strong, "strong")
			s = s[2:]
		case s[0] == '`':
			toggle(&code, "code")
			s = s[1:]
		case s[0] == '{':
			name, rest, closed := strings.Cut(s[1:], "}")
			if !closed || name == "" {
				return nil, fmt.Errorf("a { without its }")
			}
			m, s = append(m, piece{html: name, placeholder: true}), rest
		default:
			m, s = append(m, piece{html: s[:1]}), s[1:]
		}
	}
	if strong || code {
		return nil, fmt.Errorf("a ** or ` is not closed")
	}
	return m, nil
}

// has reports whether there is a text.
func (c catalog) has(key Text) bool {
	_, ok := c.messages[key]
	return ok
}

// html gives a text as HTML. The values of its placeholders follow their names; they are
// escaped. An unknown key is a mistake in a template.
func (c catalog) html(key Text, values ...any) (template.HTML, error) {
	m, ok := c.messages[key]
	if !ok {
		return "", fmt.Errorf("there is no text %q", key)
	}
	var b strings.Builder
	for _, p := range m {
		if !p.placeholder {
			b.WriteString(p.html)
			continue
		}
		value, err := valueOf(p.html, values)
		if err != nil {
			return "", fmt.Errorf("text %q: %w", key, err)
		}
		b.WriteString(value)
	}
	return template.HTML(b.String()), nil //nolint:gosec // texts of this package, and values that are escaped
}

// problem gives a text of a problem: its title, what happened, what was not done, or what to do
// next. A code without texts of its own has those of problem.other, and says in English what
// happened.
func (c catalog) problem(p Problem, part Text) (template.HTML, error) {
	key := Text("problem."+p.Code+".") + part
	if !c.has(key) {
		if part == "what" {
			return template.HTML(html.EscapeString(p.Detail)), nil //nolint:gosec // escaped
		}
		key = "problem.other." + part
	}
	return c.html(key, "upstream", p.Upstream, "until", p.Until)
}

// action says what a denied request would have done.
func (c catalog) action(d Denied) (template.HTML, error) {
	return c.html(cmp.Or(d.Action, "action.open"), "product", cmp.Or(d.Product, d.Upstream))
}

// code marks a value as code, as a text does with `{value}`.
func code(value string) template.HTML {
	return template.HTML("<code>" + html.EscapeString(value) + "</code>") //nolint:gosec // escaped
}

func valueOf(name string, values []any) (string, error) {
	for i := 0; i+1 < len(values); i += 2 {
		if values[i] != name {
			continue
		}
		if safe, ok := values[i+1].(template.HTML); ok { // another text
			return string(safe), nil
		}
		return html.EscapeString(fmt.Sprint(values[i+1])), nil
	}
	return "", fmt.Errorf("no value for {%s}", name)
}

// maxAcceptLanguage is how much of the header is read: browsers send less than a tenth.
const maxAcceptLanguage = 1 << 10

// match selects the first catalogue whose language the header prefers: ja for ja-JP. Related
// languages, which the matcher of package language knows, are of no use between so few.
func match(catalogs []edition, acceptLanguage string) int {
	if acceptLanguage == "" || len(acceptLanguage) > maxAcceptLanguage {
		return 0
	}
	wanted, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil {
		return 0
	}
	for _, tag := range wanted {
		base, _ := tag.Base()
		for i, c := range catalogs {
			if have, _ := c.catalog.tag.Base(); have == base {
				return i
			}
		}
	}
	return 0
}
