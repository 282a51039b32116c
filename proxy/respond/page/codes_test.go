package page_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// refusalCode finds the code of a refusal in the source, written there or named by a constant.
var (
	refusalCode  = regexp.MustCompile(`(?:refuse(?:Start)?\((?:http\.Status\w+|x), |Code:\s+)(?:"([a-z_]+)"|(code\w+))`)
	codeConstant = regexp.MustCompile(`(?m)^\s*(?:const )?(code\w+)\s*=\s*"([a-z_]+)"`)
)

// Users of browsers read the texts of a code. No code may be left without.
func TestEveryRefusalHasTexts(t *testing.T) {
	t.Parallel()
	english := catalogs(t)["en"]
	constants, used := map[string]string{}, map[string]string{}
	for _, folder := range []string{"../../*.go", "../../upstream/*.go", "../../../login/*.go", "../*.go"} {
		files, err := filepath.Glob(folder)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %q, %v", folder, files, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range codeConstant.FindAllStringSubmatch(string(source), -1) {
				constants[found[1]] = found[2]
			}
			for _, found := range refusalCode.FindAllStringSubmatch(string(source), -1) {
				used[found[1]+found[2]] = file
			}
		}
	}
	if len(used) < 40 {
		t.Fatalf("only %d codes were found: %q", len(used), used)
	}
	for code, file := range used {
		if name, isConstant := constants[code]; isConstant {
			code = name
		}
		switch code {
		case "denied": // has a page of its own
			continue
		case "logout_refused", "logout_failed", "invalid_request", "invalid_client": // only an issuer reads them
			continue
		}
		for _, part := range []string{"title", "next"} {
			if english["problem."+code+"."+part] == "" {
				t.Errorf("%s: problem.%s.%s is missing in text/en.yaml", file, code, part)
			}
		}
	}
}
