package docs

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	heading    = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	anchored   = regexp.MustCompile(`\]\(([^)#:\s]*)#([^)\s]+)\)`)
	linkText   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	codeBlocks = regexp.MustCompile("(?ms)^ *```.*?^ *```")
)

// anchorsOf are the anchors that GitHub gives the headings of a page, and the site as well.
func anchorsOf(text string) map[string]bool {
	anchors := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(codeBlocks.ReplaceAllString(text, ""), -1) {
		var anchor strings.Builder
		for _, r := range strings.ToLower(linkText.ReplaceAllString(match[1], "$1")) {
			switch {
			case r == ' ':
				anchor.WriteByte('-')
			case unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r), r == '-', r == '_':
				anchor.WriteRune(r)
			}
		}
		anchors[anchor.String()] = true
	}
	return anchors
}

// TestAnchorsExist: a link to a section leads to a heading of that page.
func TestAnchorsExist(t *testing.T) {
	t.Parallel()
	links := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md", "examples/*/*.md", "deploy/*/*/*.md", "integration/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			page := strings.TrimPrefix(file, root+"/")
			text := read(t, page)
			for _, match := range anchored.FindAllStringSubmatch(codeBlocks.ReplaceAllString(text, ""), -1) {
				target := text
				if match[1] != "" {
					to := filepath.Join(filepath.Dir(page), match[1])
					if filepath.Ext(to) != ".md" {
						continue
					}
					target = read(t, to)
				}
				links++
				if !anchorsOf(target)[match[2]] {
					t.Errorf("%s links to %s#%s, and there is no such heading", page, match[1], match[2])
				}
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links to sections", links)
	}
}
