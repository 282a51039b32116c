package page_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/proxy/respond/page"
)

// catalogs are the texts of each file by their keys.
func catalogs(t *testing.T) map[string]map[string]string {
	t.Helper()
	files, err := filepath.Glob("text/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("catalogues: %q, %v", files, err)
	}
	all := make(map[string]map[string]string)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var tree map[string]any
		if err := yaml.Unmarshal(data, &tree); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		texts := make(map[string]string)
		flatten("", tree, texts)
		all[strings.TrimSuffix(filepath.Base(file), ".yaml")] = texts
	}
	return all
}

func flatten(prefix string, tree map[string]any, into map[string]string) {
	for key, value := range tree {
		if below, ok := value.(map[string]any); ok {
			flatten(prefix+key+".", below, into)
			continue
		}
		into[prefix+key], _ = value.(string)
	}
}

var marks = regexp.MustCompile("\\{[^}]*\\}|\\*\\*|`[^`{]*`")

// Every language has every text, with the same placeholders and the same markup.
func TestCataloguesAreComplete(t *testing.T) {
	t.Parallel()
	all := catalogs(t)
	english := all["en"]
	for language, texts := range all {
		for key, text := range texts {
			if _, ok := english[key]; !ok {
				t.Errorf("%s: %s is not in en.yaml", language, key)
			}
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s: %s is empty", language, key)
			}
		}
		for key, text := range english {
			translated, ok := texts[key]
			want, got := marks.FindAllString(text, -1), marks.FindAllString(translated, -1)
			slices.Sort(want)
			slices.Sort(got)
			switch {
			case !ok:
				t.Errorf("%s: %s is missing", language, key)
			case !slices.Equal(want, got):
				t.Errorf("%s: %s has %q, en.yaml has %q", language, key, got, want)
			case language != "en" && text == translated && marks.ReplaceAllString(text, "") != "ID " && text != "ID {id}":
				t.Errorf("%s: %s is not translated", language, key)
			}
		}
	}
}

// A template that names a text that does not exist fails only when it is rendered.
func TestEverySampleRendersInEveryLanguage(t *testing.T) {
	t.Parallel()
	set := newSet(t, page.Options{})
	templates := map[string]bool{}
	for language := range catalogs(t) {
		for _, p := range page.Samples() {
			d := render(t, set, p, language)
			templates[p.Template()] = true
			html := string(d.HTML)
			if d.Language != language || !strings.Contains(html, `<html lang="`+language+`">`) {
				t.Errorf("%s: %T has the language %s:\n%s", language, p, d.Language, html)
			}
			if n := strings.Count(html, "<h1"); n != 1 {
				t.Errorf("%s: %T has %d h1", language, p, n)
			}
			if !strings.Contains(html, "<code>id-1</code>") && reflect.ValueOf(p).Kind() == reflect.Struct {
				t.Errorf("%s: %T has no ID to quote", language, p)
			}
		}
	}
	for _, name := range page.Names() {
		if strings.HasSuffix(name, ".html") && name != "layout.html" && !templates[name] {
			t.Errorf("no sample of %s", name)
		}
	}
}

func TestTheReaderChoosesTheLanguage(t *testing.T) {
	t.Parallel()
	set := newSet(t, page.Options{})
	for header, want := range map[string]string{
		"": "en", "en": "en", "ja": "ja", "ja-JP": "ja", "JA": "ja", "ja-JP,ja;q=0.9,en-US;q=0.8,en;q=0.7": "ja",
		"en-US,en;q=0.9,ja;q=0.8": "en", "de-DE,de;q=0.9,ja;q=0.8,en;q=0.7": "ja", "de": "en", "fr,*;q=0.5": "en", "*": "en",
		"ja;q=0.1,en;q=0.9": "en", "ja;q=0": "en", "ja;q=0,en;q=0": "en", "zh-CN,zh": "en",
		"garbage,,;;q=": "en", strings.Repeat("ja,", 1000): "en", "\x00": "en",
	} {
		if got := set.Language(header); got != want {
			t.Errorf("Accept-Language: %.60q: %s, want %s", header, got, want)
		}
	}
}
