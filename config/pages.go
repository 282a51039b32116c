package config

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/example-org/authgate/color"
	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// Pages is how authgate's own pages look, and where users of them find help.
type Pages struct {
	Name             string           `yaml:"name"`
	Logo             yamlfile.FileRef `yaml:"logo"`             // SVG or PNG
	Accent           string           `yaml:"accent"`           // CSS colour; empty: authgate's own
	HelpURL          string           `yaml:"helpURL"`          // empty: no link
	RequestAccessURL URLTemplate      `yaml:"requestAccessURL"` // empty: no link
	ShowGroups       bool             `yaml:"showGroups"`       // denied users read which groups are admitted
	Templates        yamlfile.FileRef `yaml:"templates"`        // a folder of files that replace the built-in ones
}

// The colours behind the accent: those of the card in the style sheet of the pages.
var (
	CardLight = color.Color{R: 0xff, G: 0xff, B: 0xff}
	CardDark  = color.Color{R: 0x10, G: 0x16, B: 0x1d}
)

// minAccentContrast is that of WCAG 2.2, 1.4.11, for parts of a page that are not text.
const minAccentContrast = 3

const maxPagesName = 60

func (p Pages) check(at yamlfile.Node) {
	if name := at.Key("name"); strings.TrimSpace(p.Name) == "" {
		name.AddFault("is empty", "write the name that users know, or leave the line out")
	} else {
		checkPageText(p.Name, maxPagesName).addTo(name)
	}
	checkAccent(p.Accent).addTo(at.Key("accent"))
	checkLink(p.HelpURL).addTo(at.Key("helpURL"))
}

// checkAccent wants a colour that can be told from the background in both colour schemes.
func checkAccent(accent string) problem {
	if accent == "" {
		return problem{}
	}
	c, err := color.Parse(accent)
	if err != nil {
		return problem{
			text.Quote(accent) + " " + err.Error(),
			`write an opaque colour such as "#0b6bcb", in quotes, because # begins a comment`,
		}
	}
	for _, scheme := range []struct {
		name, change string
		card         color.Color
	}{{"light", "darker", CardLight}, {"dark", "lighter", CardDark}} {
		if ratio := color.Contrast(c, scheme.card); ratio < minAccentContrast {
			return problem{
				fmt.Sprintf("%s has a contrast of %.2f:1 with the background of the %s scheme, and 3:1 is the least",
					text.Quote(accent), ratio, scheme.name),
				"choose a " + scheme.change + " colour; it must suit the light and the dark scheme",
			}
		}
	}
	return problem{}
}

// checkLink wants an address that a page may link to.
func checkLink(link string) problem {
	if link == "" {
		return problem{}
	}
	const hint = "write a link such as https://wiki.example.com/authgate or mailto:help@example.com"
	u, err := url.Parse(link)
	switch {
	case strings.TrimSpace(link) != link || err != nil:
		return problem{text.Quote(link) + " is not a URL", hint}
	case u.Scheme == "mailto":
		if address, _, _ := strings.Cut(u.Opaque, "?"); address == "" || !strings.Contains(address, "@") {
			return problem{text.Quote(link) + " has no e-mail address", hint}
		}
	case u.Scheme != SchemeHTTP && u.Scheme != SchemeHTTPS:
		return problem{text.Quote(link) + " does not begin with https:, http: or mailto:", hint}
	case u.Hostname() == "":
		return problem{text.Quote(link) + " has no host", hint}
	case u.User != nil:
		return problem{"has a user or a password in it, which every user of the page would read", "leave it out"}
	}
	return problem{}
}

// URLTemplate is a link with placeholders, in pieces.
type URLTemplate []TemplatePart

var accessFields = []string{"user", "email", "group", "role", "upstream", "method", "path", "id"}

// Expand replaces the placeholders by values, encoded for a query. A space becomes %20, because
// mailto links do not read + as a space.
func (t URLTemplate) Expand(fields map[string]string) string {
	var b strings.Builder
	for _, part := range t {
		b.WriteString(part.Text)
		b.WriteString(strings.ReplaceAll(url.QueryEscape(fields[part.Claim]), "+", "%20"))
	}
	return b.String()
}

func parseURLTemplate(s string) (URLTemplate, problem) {
	if s == "" {
		return nil, problem{}
	}
	var t URLTemplate
	for rest := s; rest != ""; {
		literal, after, opened := strings.Cut(rest, "{")
		field, next, closed := strings.Cut(after, "}")
		switch {
		case strings.Contains(literal, "}"):
			return nil, problem{"has a } without a {", "write %7D for a brace, or one of " + placeholders(accessFields)}
		case opened && (!closed || strings.Contains(field, "{")):
			return nil, problem{"has a { without a }", "write %7B for a brace, or one of " + placeholders(accessFields)}
		case opened && !slices.Contains(accessFields, field):
			return nil, problem{
				text.Quote("{"+field+"}") + " is not known",
				cmp.Or(didYouMeanPlaceholder(field), "write one of "+placeholders(accessFields)),
			}
		}
		t = append(t, TemplatePart{literal, field})
		rest = next
	}
	if p := checkLink(t.expandAll("x")); p.message != "" {
		return nil, p
	}
	return t, t.checkDestination()
}

// expandAll replaces every placeholder by the same value.
func (t URLTemplate) expandAll(value string) string {
	fields := make(map[string]string)
	for _, name := range accessFields {
		fields[name] = value
	}
	return t.Expand(fields)
}

// checkDestination makes sure that no value of a request decides where the link leads.
func (t URLTemplate) checkDestination() problem {
	first, err := url.Parse(t.expandAll("x"))
	second, errSecond := url.Parse(t.expandAll("y"))
	if err != nil || errSecond != nil || first.Scheme != second.Scheme || first.Host != second.Host ||
		addressOf(first) != addressOf(second) {
		return problem{
			"has a placeholder in its host or address, so that a request would decide where the link leads",
			"use placeholders in the query or the path",
		}
	}
	return problem{}
}

// addressOf is to whom a mailto link writes.
func addressOf(u *url.URL) string {
	address, _, _ := strings.Cut(u.Opaque, "?")
	return address
}

func placeholders(fields []string) string {
	return "{" + strings.Join(fields, "}, {") + "}"
}

func didYouMeanPlaceholder(field string) string {
	if near, ok := fault.Nearest(field, accessFields); ok {
		return "did you mean {" + near + "}?"
	}
	return ""
}
