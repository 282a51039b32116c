package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/browser"
	"github.com/example-org/authgate/integration/wait"
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
		for _, problem := range problemsOf(files, name+".html", html) {
			t.Error(problem)
		}
		if name != "index" && !strings.Contains(html, `href="`+base+name+`"`) {
			t.Errorf("%s is not in the sidebar", page)
		}
	}
	hasIndex, hasDrawing := false, false
	for name, text := range files {
		hasIndex = hasIndex || strings.Contains(name, "localSearchIndex") && strings.Contains(text, "Troubleshooting by symptom")
		hasDrawing = hasDrawing || strings.HasPrefix(name, "assets/concepts.") && strings.HasSuffix(name, ".svg")
	}
	if !hasIndex || !hasDrawing {
		t.Errorf("search index: %v, drawing: %v", hasIndex, hasDrawing)
	}
	searchFinds(t, out, "too big header", "troubleshooting")
}

// searchFinds searches the site in a real browser, and opens the first result.
func searchFinds(t *testing.T, out, text, page string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, base)
		if path.Ext(name) == "" { // as GitHub Pages does
			name = cmp.Or(name, "index") + ".html"
		}
		http.ServeFileFS(w, r, os.DirFS(out), name)
	}))
	t.Cleanup(server.Close)
	tab := browser.Start(t)
	tab.Open(server.URL + base)
	tab.Click(".VPNavBarSearch button")
	tab.Type("input#localsearch-input", text)
	tab.Click(".VPLocalSearchBox a.result")
	tab.Await("h1")
	wait.For(t, 30*time.Second, "the page that was found", func() bool {
		return strings.HasPrefix(tab.Address(), server.URL+base+page)
	})
}

// problemsOf follows the links of a page within the site, with their anchors. Nothing may be
// loaded from another host.
func problemsOf(files map[string]string, page, html string) (problems []string) {
	complain := func(format string, args ...any) {
		problems = append(problems, page+" "+fmt.Sprintf(format, args...))
	}
	for _, match := range loaded.FindAllString(html, -1) {
		complain("loads %s", match)
	}
	at := url.URL{Scheme: "https", Host: "site.example.com", Path: base + strings.TrimSuffix(page, ".html")}
	for _, match := range hrefs.FindAllStringSubmatch(html, -1) {
		link, err := at.Parse(match[1])
		if err != nil {
			complain("has a link that is not one: %v", err)
			continue
		}
		if link.Host != at.Host {
			continue
		}
		target, within := strings.CutPrefix(link.Path, base)
		switch {
		case !within:
			complain("links to %s, outside of the site", match[1])
			continue
		case target == "":
			target = "index.html"
		case path.Ext(target) == "":
			target += ".html"
		}
		text, exists := files[target]
		switch {
		case !exists:
			complain("links to %s, which the site does not have", match[1])
		case link.Fragment != "" && path.Ext(target) == ".html" && !slices.Contains(idsOf(text), link.Fragment):
			complain("links to %s, and there is no such heading", match[1])
		}
	}
	return problems
}

func idsOf(html string) (ids []string) {
	for _, match := range anchors.FindAllStringSubmatch(html, -1) {
		ids = append(ids, match[1])
	}
	return ids
}

func TestABrokenLinkIsFound(t *testing.T) {
	t.Parallel()
	files := map[string]string{"index.html": `<h2 id="here">`, "a.html": `<h2 id="there">`, "assets/x.svg": ""}
	for html, want := range map[string]int{
		`<a href="./a#there"><a href="/authgate/"><a href="#here"><img src="/authgate/assets/x.svg">`: 0,
		`<a href="https://example.com/x#y"><a href="mailto:a@example.com">`:                           0,
		`<a href="./a#gone">`:   1,
		`<a href="./gone">`:     1,
		`<a href="#gone">`:      1,
		`<a href="/elsewhere">`: 1,
		`<script src="https://cdn.example.com/x.js"></script>`: 1,
		`<link rel="stylesheet" href="//cdn.example.com/x">`:   1,
	} {
		if got := problemsOf(files, "index.html", html); len(got) != want {
			t.Errorf("%s: %q", html, got)
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
