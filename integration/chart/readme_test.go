package chart_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
)

// fence finds the code blocks of one language in a Markdown text.
func fence(t testing.TB, file, language string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, match := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, match[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no %s block", file, language)
	}
	return blocks
}

func TestValuesInTheReadmeRender(t *testing.T) {
	t.Parallel()
	for _, block := range fence(t, filepath.Join(chartDir, "README.md"), "yaml") {
		values, err := chartutil.ReadValues([]byte(block))
		if err != nil {
			t.Fatal(err)
		}
		r := render(t, values)
		ingressOf(t, r)
		pod := deploymentOf(t, r).Spec.Template.Spec
		mount(t, pod, pod.Containers[0], sourcesOf(t, r.objects)).isAccepted(t, "/etc/authgate/config/authgate.yaml")
	}
}

func TestExamplePolicyFitsTheChartsDefaults(t *testing.T) {
	t.Parallel()
	values := valuesOf(t, "alb")
	values["policy"] = read(t, "policy.csv")
	r := render(t, values)
	pod := deploymentOf(t, r).Spec.Template.Spec
	mount(t, pod, pod.Containers[0], sourcesOf(t, r.objects)).isAccepted(t, "/etc/authgate/config/authgate.yaml")
}

// The README of the examples prints questions and says how they end.
func TestCommandsInTheExamplesReadmeEndAsItSays(t *testing.T) {
	t.Parallel()
	ends := []int{0, 0, 1}
	for line := range strings.Lines(read(t, "README.md")) {
		command, ok := strings.CutPrefix(line, "    authgate ")
		if !ok {
			continue
		}
		if len(ends) == 0 {
			t.Fatalf("one command more than expected: %s", command)
		}
		args := strings.Fields(strings.ReplaceAll(command, "examples/", examplesDir+"/"))
		if v := authgate(t, nil, args...); v.code != ends[0] {
			t.Errorf("authgate %s: exit code %d, want %d\n%s%s", command, v.code, ends[0], v.stdout, v.stderr)
		}
		ends = ends[1:]
	}
	if len(ends) != 0 {
		t.Errorf("%d commands fewer than expected", len(ends))
	}
}
