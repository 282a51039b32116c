package target_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/example-org/authgate/target"
)

const (
	empty     = target.EmptySegments
	semicolon = target.Semicolon
	percent   = target.Percent
)

func TestQuirksLetThroughWhatOneServerNeeds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allowed target.Quirks
		raw     string
		want    string
		used    target.Quirks
	}{
		{empty, "/a//b", "/a//b", empty},
		{empty, "//a", "//a", empty},
		{empty, "//", "//", empty},
		{empty, "/a///", "/a///", empty},
		{empty, "/api/ds/proxy//x%2Fy", "/api/ds/proxy//x%2Fy", empty},
		{empty, "/a/b", "/a/b", 0},
		{semicolon, "/a;jsessionid=1/b", "/a;jsessionid=1/b", semicolon},
		{semicolon, "/a%3bb", "/a%3Bb", semicolon},
		{semicolon, "/a/;jsessionid=1", "/a/;jsessionid=1", semicolon},
		{semicolon, "/a;b;c=d;", "/a;b;c=d;", semicolon},
		{semicolon | empty, "/a/;x/b", "/a/;x/b", semicolon},
		{percent, "/a%2541", "/a%2541", percent},
		{percent, "/100%2525", "/100%2525", percent},
		{percent, "/a%252520b", "/a%252520b", percent},
		{percent, "/%25C3%25A9", "/%25C3%25A9", percent},
		{percent, "/a%253Fb%2523", "/a%253Fb%2523", percent},
		{percent | semicolon, "/a%253Bb", "/a%253Bb", percent},
		{target.AllQuirks, "/a//b;c/%2541", "/a//b;c/%2541", target.AllQuirks},
	} {
		p, err := target.ParseWith(c.raw, c.allowed)
		if err != nil || p.String() != c.want || p.Quirks() != c.used {
			t.Errorf("ParseWith(%q, %s) = %q, %s, %v; want %q, %s", c.raw, c.allowed, p, p.Quirks(), err, c.want, c.used)
		}
		if _, err := target.Parse(c.raw); (err == nil) != (c.used == 0) {
			t.Errorf("Parse(%q): %v", c.raw, err)
		}
	}
}

func TestNoQuirkLetsADotSegmentThrough(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"/a/..;/b", "/..;", "/.;x", "/a/..;x=y/b", "/a/..%3B/b", "/.%3bx", "/a/%2e%2e;/b", "/a/%2e;/b", "/a/..%20;/b", "/a;/../b", "/a;..", "/a/;../b", "/a;.;b", "/a%3B..%3Bc", "/x%2F..;a",
		"/a/\uff0e\uff0e;/b", "/a/..\uff1bx", "/a/..;\u2215b",
		"//..", "//../a", "/a//./b", "/..//a", "/a//%2e%2e",
		"/%252e%252e/a", "/a/%252e%252e", "/%25252e%25252e", "/.%252e", "/%252e", "/a/%252e%252e;x", "/a/%252e%252e%253Bx", "/a/..%253Bx", "/a%252F..", "/a%25252F..%25252Fb",
		"/a%252Fb", "/a%252fb", "/a%25252fb", "/a%255cb", "/a%25255Cb", "/%2500", "/a%250d%250ab", "/a%2509", "/%25u002e", "/%25u002e%25u002e/", "/%25C0%25AE", "/%25ff", "/%25EF%25BC%258F", "/%25E2%2580%25A5",
		`/a\b`, "/a%5cb", "/a%2f%2fb", "/%2fa", "/a\x00", "/\uff0f", "/%zz", "/a#b",
	} {
		if p, err := target.ParseWith(raw, target.AllQuirks); err == nil || !p.IsZero() {
			t.Errorf("ParseWith(%q) = %q", raw, p)
		}
	}
	for raw, allowed := range map[string]target.Quirks{
		"/a//b": semicolon | percent, "/a;b": empty | percent, "/a%2541": empty | semicolon, "/a//b;c": empty, "/a/;x/b": semicolon, "/a%253Bb": percent,
	} {
		if p, err := target.ParseWith(raw, allowed); err == nil {
			t.Errorf("ParseWith(%q, %s) = %q", raw, allowed, p)
		}
	}
}

func TestPatternsHoldWhatTheirUpstreamNeeds(t *testing.T) {
	t.Parallel()
	for pattern, needs := range map[string]target.Quirks{"/a//*": empty, "//**": empty, "/a;*/b": semicolon, "/a%3B*": semicolon, "/%2541*": percent} {
		if what, _ := target.CheckPatternWith(pattern, needs); what != "" {
			t.Errorf("%s with %s: %s", pattern, needs, what)
		}
		what, hint := target.CheckPattern(pattern)
		if what == "" || !strings.Contains(hint, "pathQuirks: ["+needs.String()+"]") {
			t.Errorf("%s without: %q, %q", pattern, what, hint)
		}
	}
	for pattern, paths := range map[string]map[string]bool{
		"/a/*/b":   {"/a//b": false, "/a/x/b": true, "/a/;x/b": true},
		"/a//b":    {"/a//b": true, "/a/b": false, "/a///b": false},
		"/a/**":    {"/a//b": true, "/a//": true, "/a": true, "//a": false},
		"/a/x*/b":  {"/a//b": false, "/a/x/b": true},
		"/**":      {"//": true, "//a//b": true},
		"/a//**":   {"/a//": true, "/a/": true, "/a//b/c": true, "/a/b": false},
		"//*":      {"//a": true, "//": false, "/a": false},
		"/a;*/*":   {"/a;x/y": true, "/a;/y": true, "/a/y": false, "/a;x/": false},
		"/%2541/*": {"/%2541/x": true, "/A/x": false},
	} {
		for path, want := range paths {
			if target.MatchPattern(path, pattern) != want {
				t.Errorf("%s matches %s: %v", pattern, path, !want)
			}
		}
	}
}

// climbing are ways to read a path that let a client climb: decode, take parameters
// off, merge slashes, in any order, again and again.
func hasDotSegment(path string) bool {
	for range 6 {
		for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			name, _, _ := strings.Cut(segment, ";")
			if name == "." || name == ".." || segment == "." || segment == ".." {
				return true
			}
		}
		path = decoded(path)
	}
	return false
}

// FuzzParseWith holds what quirks let through to the promises that are left.
func FuzzParseWith(f *testing.F) {
	for _, targets := range attacks {
		for _, raw := range targets {
			f.Add(raw, uint8(target.AllQuirks))
		}
	}
	for _, raw := range []string{"/a//b", "/a;b/c", "/%2541", "/a/;x", "//a;b//%2525"} {
		for q := range uint8(target.AllQuirks) + 1 {
			f.Add(raw, q)
		}
	}
	f.Fuzz(func(t *testing.T, raw string, quirks uint8) {
		if len(raw) > 512 {
			t.Skip()
		}
		allowed := target.Quirks(quirks) & target.AllQuirks
		p, err := target.ParseWith(raw, allowed)
		strict, strictErr := target.Parse(raw)
		switch {
		case err != nil && (strictErr == nil || !p.IsZero()):
			t.Fatalf("%q with %s: %q, %v; without %v", raw, allowed, p, err, strictErr)
		case err != nil:
			return
		case p.Quirks()&^allowed != 0 || (p.Quirks() == 0) != (strictErr == nil) || strictErr == nil && strict != p:
			t.Fatalf("%q with %s: %q needs %s; without: %q, %v", raw, allowed, p, p.Quirks(), strict, strictErr)
		}
		if again, err := target.ParseWith(p.String(), allowed); err != nil || again != p {
			t.Errorf("%q: %q parsed again is %q, %v", raw, p, again, err)
		}
		sent := url.URL{Scheme: "http", Host: "h", Path: p.Decoded(), RawPath: p.String()}
		if got := sent.RequestURI(); got != p.String() {
			t.Errorf("%q: judged %q, the request line would hold %q", raw, p, got)
		}
		if hasDotSegment(p.String()) {
			t.Errorf("%q: %q climbs for some server", raw, p)
		}
		if !p.HasEncodedSlash() && strings.Count(decoded(decoded(decoded(p.String()))), "/") != strings.Count(p.String(), "/") {
			t.Errorf("%q: %q has other segments once it is decoded", raw, p)
		}
		if errors.Is(strictErr, target.DotSegment) {
			t.Errorf("%q: a dot segment passes as %q", raw, p)
		}
	})
}
