package docs

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// namedCode is a refusal as the pages write it: 403, `cross_origin`.
var namedCode = regexp.MustCompile("\\b[45]\\d\\d[ ,(]+`([a-z]+_[a-z_]+)`")

// TestRefusalCodesOfThePagesExist: a code that a page explains is in the program.
func TestRefusalCodesOfThePagesExist(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pagesOf := map[string][]string{}
	for _, file := range files {
		page := "docs/" + filepath.Base(file)
		for _, match := range namedCode.FindAllStringSubmatch(read(t, page), -1) {
			if !slices.Contains(pagesOf[match[1]], page) {
				pagesOf[match[1]] = append(pagesOf[match[1]], page)
			}
		}
	}
	if len(pagesOf) < 20 {
		t.Errorf("only %d codes were found", len(pagesOf))
	}
	for code, pages := range pagesOf {
		grep := exec.Command("grep", "-rqF", "--include=*.go", "--exclude=*_test.go", "--exclude-dir=integration", `"`+code+`"`, root)
		if grep.Run() != nil {
			t.Errorf("%s: authgate has no refusal %q", strings.Join(pages, ", "), code)
		}
	}
}
