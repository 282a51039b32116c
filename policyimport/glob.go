package policyimport

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"
)

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
