package config

import (
	"slices"
	"strings"
	"unicode"

	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// DisplayName is what users call an upstream.
func (u *Upstream) DisplayName() string {
	if u.Title != "" {
		return u.Title
	}
	return u.Name
}

// HomePath is the page that the portal links to.
func (u *Upstream) HomePath() string {
	if u.Home == "/" {
		return strings.TrimSuffix(u.Path, "/") + "/"
	}
	return u.Home
}

// checkPresentation is about what users see of an upstream on authgate's own pages.
func (u Upstream) checkPresentation(pathPrefix string, at yamlfile.Node) {
	for _, key := range []struct {
		name, value string
		max         int
	}{{"title", u.Title, 100}, {"description", u.Description, 500}, {"maintenance", u.Maintenance, 2000}} {
		checkPageText(key.value, key.max).addTo(at.Key(key.name))
	}
	if u.Home != "/" {
		u.checkHome(pathPrefix).addTo(at.Key("home"))
	}
}

// checkPageText is for a text that a page shows. Lines of a longer one become one line.
func checkPageText(s string, most int) problem {
	switch {
	case s != "" && strings.TrimSpace(s) == "":
		return problem{"is blank", "write a text, or leave the line out"}
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }):
		return problem{"has a control character", "take it out"}
	case len([]rune(s)) > most:
		return problem{"is " + text.DescribeLength(s) + " long", "write a shorter text, such as one sentence"}
	}
	return problem{}
}

// checkHome wants a page of this upstream.
func (u Upstream) checkHome(pathPrefix string) problem {
	const example = "write the path of a page, such as /applications"
	p, err := target.ParseWith(u.Home, u.Quirks())
	switch {
	case strings.ContainsAny(u.Home, "?#"):
		return problem{text.Quote(u.Home) + " has a query or a fragment", example}
	case err != nil:
		return problem{text.Quote(u.Home) + " is not a path: " + err.Error(), example}
	case p.HasEncodedSlash():
		return problem{text.Quote(u.Home) + " has an encoded slash", example}
	case p.String() != u.Home:
		return problem{text.Quote(u.Home) + " is not in canonical form", "write " + text.Quote(p.String())}
	case !isBelow(u.Home, u.Path):
		return problem{
			text.Quote(u.Home) + " is not below the path of this upstream, " + text.Quote(u.Path),
			"write a path that begins with " + text.Quote(strings.TrimSuffix(u.Path, "/")+"/"),
		}
	case isBelow(u.Home, pathPrefix):
		return problem{text.Quote(u.Home) + " is below pathPrefix, where authgate itself answers", example}
	}
	return problem{}
}

// checkHomeIsServed refuses a page that another upstream of the same hosts serves.
func (u Upstream) checkHomeIsServed(upstreams []Upstream, at yamlfile.Node) {
	home := u.HomePath()
	for _, other := range upstreams {
		if len(other.Path) <= len(u.Path) || !isBelow(home, other.Path) {
			continue
		}
		shared := func(host string) bool { return slices.Contains(other.Hosts, host) }
		if len(u.Hosts) > 0 && !slices.ContainsFunc(u.Hosts, func(host string) bool { return !shared(host) }) {
			at.AddFault(text.Quote(home)+" leads to upstream "+text.Quote(other.Name)+", which has the path "+
				text.Quote(other.Path), "write the path of a page that this upstream serves")
			return
		}
	}
}

// isBelow reports whether a path is a prefix or is below it, on a segment boundary.
func isBelow(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/"))
}
