package main

import (
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const base = "/authgate/"

var (
	hrefs   = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	anchors = regexp.MustCompile(` id="([^"]+)"`)
	loaded  = regexp.MustCompile(`<(?:script|link|img|source|iframe)\b[^>]*?(?:src|href)="([a-z]+:)?//[^"]*"`)
)

// TestTheSiteHasEveryPageAndNoBrokenLink builds the site and follows each link in it.
func TestTheSiteHasEveryPageAndNoBrokenLink(t *testing.T) {
	out := t.TempDir()
	var log strings.Builder
	if err := build(t.Context(), filepath.Join("..", "..", "site"), base, out, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	files := map[string]string{}
	err := filepath.WalkDir(out, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(out, file)
		files[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages: %v", len(pages), err)
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if name == "README" {
			name = "index"
		}
		html, built := files[name+".html"]
		if !built {
			t.Errorf("%s is not in the site", page)
			continue
		}
		if !strings.Contains(html, `lang="en"`) {
			t.Errorf("%s does not name its language", page)
		}
		checkLinks(t, files, name+".html", html)
		if name != "index" && !strings.Contains(html, `href="`+base+name+`"`) {
			t.Errorf("%s is not in the sidebar", page)
		}
	}
	hasIndex, hasDrawing := false, false
	for name := range files {
		hasIndex = hasIndex || strings.Contains(name, "localSearchIndex")
		hasDrawing = hasDrawing || strings.HasPrefix(name, "assets/concepts.") && strings.HasSuffix(name, ".svg")
	}
	if !hasIndex || !hasDrawing {
		t.Errorf("search index: %v, drawing: %v", hasIndex, hasDrawing)
	}
}

// checkLinks follows the links of a page within the site, with their anchors. Nothing is
// loaded from another host.
func checkLinks(t *testing.T, files map[string]string, page, html string) {
	t.Helper()
	for _, match := range loaded.FindAllString(html, -1) {
		t.Errorf("%s loads %s", page, match)
	}
	at, err := url.Parse("https://site.example.com" + base + strings.TrimSuffix(page, ".html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range hrefs.FindAllStringSubmatch(html, -1) {
		link, err := at.Parse(match[1])
		if err != nil {
			t.Errorf("%s: %v", page, err)
			continue
		}
		if link.Host != at.Host {
			continue
		}
		target, within := strings.CutPrefix(link.Path, base)
		if !within {
			t.Errorf("%s links to %s, outside of the site", page, match[1])
			continue
		}
		switch {
		case target == "":
			target = "index.html"
		case path.Ext(target) == "":
			target += ".html"
		}
		text, exists := files[target]
		if !exists {
			t.Errorf("%s links to %s, which the site does not have", page, match[1])
			continue
		}
		if link.Fragment == "" || !strings.HasSuffix(target, ".html") {
			continue
		}
		found := false
		for _, id := range anchors.FindAllStringSubmatch(text, -1) {
			found = found || id[1] == link.Fragment
		}
		if !found {
			t.Errorf("%s links to %s, and there is no such heading", page, match[1])
		}
	}
}

func TestTheCommandRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{"please"}, &stdout, &stderr); code != 2 || !strings.Contains(stderr.String(), "please") {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
}
