package importer

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// pattern is a field of a p row of Argo CD that stands for many values.
type pattern struct {
	text     string
	language *language // nil where it cannot be read
	names    []string  // segments of a path that stand for the same values; nil: too many
	problem  string    // why it cannot be read

	// unclear: it can be read and means something, though not for certain what.
	unclear bool
}

// newPattern reads a field in the way of policy.matchMode. A regular expression may
// match anywhere in the value, as in casbin's regexMatch.
func newPattern(text string, regex bool) *pattern {
	p := &pattern{text: text}
	expression := text
	if regex {
		if _, err := regexp.Compile(text); err != nil {
			p.problem = strings.TrimPrefix(err.Error(), "error parsing regexp: ")
			return p
		}
		expression = anyLetter + `*(?:` + text + `)` + anyLetter + `*`
	} else {
		var err error
		if expression, err = globExpression(text); err != nil {
			p.problem, p.unclear = err.Error(), err == errUnclear
			return p
		}
	}
	lang, err := newLanguage(expression)
	if err != nil { // too large
		p.problem, p.unclear = err.Error(), true
		return p
	}
	p.language = lang
	p.names = namesOf(expression, regex)
	if slices.ContainsFunc(p.names, func(name string) bool { return !plainSegment.MatchString(name) }) {
		p.names = nil
	}
	return p
}

const maxNames = 20

var plainSegment = regexp.MustCompile(`^[-_.A-Za-z0-9*/]+$`)

// namesOf spells a pattern out, with * for any letters, where it stands for a few names
// that a segment of a path can hold.
func namesOf(expression string, regex bool) []string {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil
	}
	names := enumerate(parsed.Simplify())
	for i, name := range names {
		if regex {
			name = trimAnchors(name)
		}
		for strings.Contains(name, "**") {
			name = strings.ReplaceAll(name, "**", "*")
		}
		names[i] = name
	}
	if slices.ContainsFunc(names, func(name string) bool { return strings.ContainsAny(name, beginMark+endMark) }) {
		return nil
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// enumerateNames gives the names for which a regular expression stands that may match
// anywhere, with \x03 for a star of their own; none where they are too many.
func enumerateNames(expression string) (names []string, ok bool) {
	if _, err := regexp.Compile(expression); err != nil {
		return nil, false
	}
	return namesOf(anyLetter+`*(?:`+expression+`)`+anyLetter+`*`, true), true
}

// escapeStar keeps a star in a name apart from the sign for any letters.
func escapeStar(name string) string { return strings.ReplaceAll(name, "*", "\x03") }

// Signs that no name holds stand for the ends of the value while it is spelled out.
const beginMark, endMark = "\x01", "\x02"

// trimAnchors cuts the any letters that stand before a ^ and after a $.
func trimAnchors(name string) string {
	if rest, ok := strings.CutPrefix(name, "*"+beginMark); ok {
		name = rest
	}
	if rest, ok := strings.CutSuffix(name, endMark+"*"); ok {
		name = rest
	}
	return name
}

// enumerate gives the words of an expression, or nil where there are too many.
func enumerate(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}
	case syntax.OpBeginText:
		return []string{beginMark}
	case syntax.OpEndText:
		return []string{endMark}
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return []string{escapeStar(string(re.Rune))}
		}
	case syntax.OpCharClass:
		var all []string
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if all = append(all, string(r)); len(all) > maxNames {
					return nil
				}
			}
		}
		return all
	case syntax.OpStar:
		if re.Sub[0].Op == syntax.OpAnyChar || re.Sub[0].Op == syntax.OpAnyCharNotNL {
			return []string{"*"}
		}
	case syntax.OpCapture:
		return enumerate(re.Sub[0])
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			some := enumerate(sub)
			if some == nil || len(all)+len(some) > maxNames {
				return nil
			}
			all = append(all, some...)
		}
		return all
	case syntax.OpQuest:
		if some := enumerate(re.Sub[0]); some != nil {
			return append([]string{""}, some...)
		}
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			some := enumerate(sub)
			if some == nil || len(all)*len(some) > maxNames {
				return nil
			}
			var longer []string
			for _, a := range all {
				for _, b := range some {
					longer = append(longer, a+b)
				}
			}
			all = longer
		}
		return all
	}
	return nil
}

// segments gives what stands for the objects of a pattern in {name} or {app}.
func (p *pattern) segments(last bool) []string {
	any := []string{"*"}
	if len(p.names) == 0 {
		return any
	}
	var found []string
	for _, name := range p.names {
		if last {
			// A star may match a slash, and the last part begin inside it.
			slash, star := strings.LastIndex(name, "/"), strings.LastIndex(name, "*")
			switch {
			case star > slash:
				name = name[star:]
			case slash < 0:
				continue // no object is named so
			default:
				name = name[slash+1:]
			}
		}
		if strings.Contains(name, "/") && strings.Contains(name, "*") {
			return any
		}
		if name == "." || name == ".." || strings.Contains(name, "/") || name == "" {
			continue // no object is named so
		}
		found = append(found, name)
	}
	slices.Sort(found)
	if found = slices.Compact(found); slices.Contains(found, "*") {
		return any
	}
	return found
}

// globExpression gives the regular expression for a glob as Argo CD reads it: with
// github.com/gobwas/glob and without separators, so that * matches a slash, too. An
// error means that Argo CD cannot read the glob and lets it match nothing.
func globExpression(glob string) (string, error) {
	if !utf8.ValidString(glob) || strings.ContainsRune(glob, utf8.RuneError) || strings.ContainsRune(glob, 0) {
		return "", errors.New("it is not valid UTF-8")
	}
	g := &globReader{letters: []rune(glob)}
	for len(g.letters) > 0 {
		if err := g.read(); err != nil {
			return "", err
		}
	}
	if g.inBraces {
		return "", errUnclear
	}
	return g.out.String(), nil
}

// errUnclear is given for braces inside braces, open ones and ones without a word
// between the commas: what the library makes of them differs from glob to glob.
var errUnclear = errors.New("its braces can be read in several ways")

const anyLetter = `(?s:.)`

type globReader struct {
	letters  []rune
	out      strings.Builder
	inBraces bool // braces
	inWord   bool // the word between commas
}

func (g *globReader) next() rune {
	r := g.letters[0]
	g.letters = g.letters[1:]
	return r
}

func (g *globReader) read() error {
	r := g.next()
	if g.inBraces && (r == '{' || !g.inWord && (r == ',' || r == '}')) {
		return errUnclear
	}
	g.inWord = true
	switch {
	case r == '*':
		g.out.WriteString(anyLetter + "*")
	case r == '?':
		g.out.WriteString(anyLetter)
	case r == '[':
		return g.class()
	case r == '{':
		g.inBraces, g.inWord = true, false
		g.out.WriteString("(?:")
	case r == '}' && g.inBraces:
		g.inBraces = false
		g.out.WriteString(")")
	case r == ',' && g.inBraces:
		g.inWord = false
		g.out.WriteString("|")
	case r == '\\' && len(g.letters) == 0:
	case r == '\\':
		g.out.WriteString(regexp.QuoteMeta(string(g.next())))
	default:
		g.out.WriteString(regexp.QuoteMeta(string(r)))
	}
	return nil
}

// class reads [abc], [!abc], [a-z] and [!a-z]; there is nothing else.
func (g *globReader) class() error {
	unfinished := errors.New("a [ has no ]")
	not := ""
	if len(g.letters) > 0 && g.letters[0] == '!' {
		not = "^"
		g.next()
	}
	if len(g.letters) < 2 {
		return unfinished
	}
	if g.letters[1] == '-' {
		if len(g.letters) < 4 || g.letters[3] != ']' {
			return errors.New("a range in [ ] has more than two ends")
		}
		low, high := g.letters[0], g.letters[2]
		if g.letters = g.letters[4:]; high < low {
			return errors.New("a range in [ ] ends before it begins")
		}
		g.out.WriteString("[" + not + regexpLetter(low) + "-" + regexpLetter(high) + "]")
		return nil
	}
	var letters strings.Builder
	for len(g.letters) > 0 {
		r := g.next()
		switch {
		case r == ']' && letters.Len() == 0:
			return errors.New("a [ ] is empty")
		case r == ']':
			g.out.WriteString("[" + not + letters.String() + "]")
			return nil
		case r == '\\' && len(g.letters) > 0:
			r = g.next()
		case r == '\\':
			return unfinished
		}
		letters.WriteString(regexpLetter(r))
	}
	return unfinished
}

func regexpLetter(r rune) string {
	if r < utf8.RuneSelf && (r < '0' || '9' < r && r < 'A' || 'Z' < r && r < 'a' || 'z' < r) {
		return `\x{` + strings.ToUpper(hex(r)) + `}`
	}
	return string(r)
}

func hex(r rune) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[r>>4&15], digits[r&15]})
}
