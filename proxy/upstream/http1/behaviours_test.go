package http1_test

import (
	"go/build"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestEveryBehaviourOfNetHTTPIsListed(t *testing.T) {
	t.Parallel()
	list := string(readFile(t, "BEHAVIOURS.md"))
	named := make(map[string]bool)
	for _, row := range regexp.MustCompile(`(?m)^\| (Test\w+) \| (.+) \|$`).FindAllStringSubmatch(list, -1) {
		named[row[1]] = true
	}
	ours := make(map[string]bool)
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	tests := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	for _, file := range files {
		for _, test := range tests.FindAllSubmatch(readFile(t, file), -1) {
			ours[string(test[1])] = true
		}
	}
	for _, name := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(list, -1) {
		if !ours[name[1]] {
			t.Errorf("there is no %s", name[1])
		}
	}
	theirs, err := os.ReadFile(filepath.Join(build.Default.GOROOT, "src/net/http/transport_test.go"))
	if err != nil {
		t.Skip("without the sources of Go: ", err)
	}
	for _, test := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(theirs, -1) {
		if !named[string(test[1])] {
			t.Errorf("%s is not listed", test[1])
		}
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
