package target_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/example-org/authgate/target"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ pattern, matches, misses string }{
		{"/", "/", "/a /a/"},
		{"/a", "/a", "/ /a/ /A /ab /a/b"},
		{"/a/", "/a/", "/a /a/b"},
		{"/*", "/a /* /%2A /a%2Fb", "/ /a/ /a/b"},
		{"/*/c", "/a/c /a%2Fb/c", "/a/b/c //c"},
		{"/**", "/ /a /a/ /a/b/c", ""},
		{"/a/**", "/a /a/ /a/b /a/b/ /a/b%2Fc", "/ /ab /b /A"},
		{"/a/*/**", "/a/b /a/b/ /a/b/c", "/a /a/"},
		{"/team-*", "/team- /team-a", "/team /team-/ /team-a/b /ateam-"},
		{"/a*b*c", "/abc /axbxc /abbcc", "/ac /acb /abcd"},
		{"/*%2F*", "/a%2Fb /a%2Fb%2Fc", "/a /a/b"},
		{"/*F", "/F /%3FF", "/%3F"},
	} {
		if what, _ := target.CheckPattern(c.pattern); what != "" {
			t.Errorf("%s: %s", c.pattern, what)
		}
		for path := range strings.FieldsSeq(c.matches) {
			if !target.MatchPattern(path, c.pattern) {
				t.Errorf("%s does not match %s", c.pattern, path)
			}
		}
		for path := range strings.FieldsSeq(c.misses) {
			if target.MatchPattern(path, c.pattern) {
				t.Errorf("%s matches %s", c.pattern, path)
			}
		}
		if target.MatchPattern("", c.pattern) {
			t.Errorf("%s matches no path at all", c.pattern)
		}
	}
}

func TestPatternsInAnotherFormAreRefused(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"":            `does not begin with /`,
		"a":           `write "/a"`,
		"*":           `write "/**" for every path`,
		"**":          `write "/**" for every path`,
		"/a//b":       `empty segment`,
		"/a/../b":     `. or .. segment`,
		"/a;b":        `semicolon`,
		"/a b":        `write a space as %20`,
		"/100%":       `write a percent sign as %25`,
		"/a?b=c":      `write "/a"`,
		"/%61":        `write "/a"`,
		"/a|b":        `write "/a%7Cb"`,
		"/x/{name}":   `write * for any one segment`,
		"/**/a":       `** is not the last segment`,
		"/**/":        `** is not the last segment`,
		"/a**":        `** is only a part`,
		"/a/***":      `** is only a part`,
		"/a%2f*":      `write "/a%2F*"`,
		"/é":          `write "/%C3%A9"`,
		"/a/**/**":    `** is not the last segment`,
		"/a/x**y/b/*": `** is only a part`,
	} {
		what, hint := target.CheckPattern(pattern)
		if said := what + "; " + hint; !strings.Contains(said, want) || what == "" || hint == "" {
			t.Errorf("CheckPattern(%q): %s; want: %s", pattern, said, want)
		}
	}
}

// asRegexp writes a pattern down in another language: a segment is made of bytes
// and of escapes, which are whole.
func asRegexp(pattern string) *regexp.Regexp {
	const character = `(?:[^/%]|%[0-9A-F]{2})`
	stem, open := strings.CutSuffix(pattern, "/**")
	segments := strings.Split(stem, "/")
	for i, s := range segments {
		if segments[i] = strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, character+"*"); s == "*" {
			segments[i] = character + "+"
		}
	}
	expression := "^" + strings.Join(segments, "/")
	if open {
		expression += "(?:/.*)?"
	}
	return regexp.MustCompile(expression + "$")
}

// FuzzMatchPattern holds patterns to regular expressions that say the same.
func FuzzMatchPattern(f *testing.F) {
	for _, seed := range [][2]string{
		{"/", "/"}, {"/a/**", "/a/b/"}, {"/*", "/a%2Fb"}, {"/*F", "/%3FF"}, {"/a*b*c", "/abbcc"}, {"/*/*/**", "/a/b"}, {"/**", "/"}, {"/*/", "/a/"}, {"/*3*", "/%3A3"}, {"/a*a", "/a"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, raw string) {
		p, err := target.Parse(raw)
		what, hint := target.CheckPattern(pattern)
		switch {
		case (what == "") != (hint == ""):
			t.Errorf("%q: %q, fixed by %q", pattern, what, hint)
		case what != "" || err != nil || len(pattern) > 40 || len(raw) > 80:
			t.Skip()
		}
		if got, want := target.MatchPattern(p.String(), pattern), asRegexp(pattern).MatchString(p.String()); got != want {
			t.Errorf("%q matches %q: %v; %s says %v", pattern, p, got, asRegexp(pattern), want)
		}
	})
}
