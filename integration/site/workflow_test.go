package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestThePagesWorkflowIsPinnedAndMayDoLittle reads .github/workflows/pages.yml.
func TestThePagesWorkflowIsPinnedAndMayDoLittle(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", ".github", "workflows", "pages.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Permissions map[string]string
			Steps       []struct{ Uses, Run string }
		}
	}
	if err := yaml.Unmarshal(text, &workflow); err != nil {
		t.Fatal(err)
	}
	if workflow.Permissions == nil || len(workflow.Permissions) != 0 {
		t.Errorf("all jobs may %v", workflow.Permissions)
	}
	pinned := regexp.MustCompile(`@[0-9a-f]{40}$`)
	for name, job := range workflow.Jobs {
		for _, step := range job.Steps {
			if step.Uses != "" && !pinned.MatchString(step.Uses) {
				t.Errorf("%s uses %s", name, step.Uses)
			}
		}
		if name == "build" && (len(job.Permissions) != 1 || job.Permissions["contents"] != "read") {
			t.Errorf("the job that runs others' code may %v", job.Permissions)
		}
	}
}
