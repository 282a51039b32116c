package docs

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Permissions map[string]string
		Env         map[string]string
		Steps       []step
	}
}

type step struct {
	ID, Name, If, Run, Uses string
	Env                     map[string]string
	With                    map[string]any
}

// checkout is a repository as the workflow finds it: the last commit is the merge.
type checkout struct {
	dir, bin string
	steps    map[string]step
}

func (c checkout) file(name string) string { return filepath.Join(c.dir, name) }

func (c checkout) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(c.file(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// step runs the shell lines of a step as a runner does (bash -e), and reports
// whether it succeeded.
func (c checkout) step(t *testing.T, name string) (output string, ok bool) {
	t.Helper()
	s, known := c.steps[name]
	if !known || s.Run == "" {
		t.Fatalf("policy.yml has no step %q with shell lines", name)
	}
	cmd := exec.Command("bash", "-e", "-c", s.Run)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "PATH="+c.bin+string(os.PathListSeparator)+os.Getenv("PATH"),
		"POLICY=policy.csv", "CASES=cases.yaml", "GITHUB_REPOSITORY=example-org/deploy", "PULL=7",
		"GITHUB_OUTPUT="+c.file("output"), "GITHUB_STEP_SUMMARY="+c.file("summary"))
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func (c checkout) git(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Dir = c.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
}

func (c checkout) commit(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(c.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.git(t, "add", ".")
	c.git(t, "commit", "-q", "-m", "a change")
}

const cases = `cases:
  - name: viewers look
    who: [example-org:dev]
    allow: [GET argocd:/applications]
    deny: [POST argocd:/api/v1/applications]
`

func newCheckout(t *testing.T) checkout {
	t.Helper()
	var w workflow
	if err := yaml.Unmarshal([]byte(read(t, "examples/github-actions/policy.yml")), &w); err != nil {
		t.Fatal(err)
	}
	c := checkout{t.TempDir(), authgate(t), map[string]step{}}
	for _, s := range w.Jobs["policy"].Steps {
		c.steps[s.Name] = s
	}
	// gh tells what it was asked to do. It has one comment of authgate's if the file
	// "posted" is there.
	gh := "#!/bin/sh\necho \"$*\" >> asked\ncase \"$*\" in *--jq*) [ ! -e posted ] || echo 99;; *body=@*) cp comment.md posted;; esac\n"
	if err := os.WriteFile(filepath.Join(c.bin, "gh"), []byte(gh), 0o700); err != nil {
		t.Fatal(err)
	}
	c.git(t, "init", "-q")
	c.commit(t, map[string]string{"policy.csv": read(t, "examples/policy.csv"), "cases.yaml": cases, ".gitignore": "*\n!policy.csv\n!cases.yaml\n"})
	return c
}

func TestTheWorkflowReviewsAPullRequest(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	c.commit(t, map[string]string{"policy.csv": read(t, "examples/policy.csv") + "p, role:viewer, argocd, /terminal, GET, allow\n"})
	if out, ok := c.step(t, "Lint"); !ok || !strings.Contains(c.read(t, "policy.sarif"), `"2.1.0"`) {
		t.Errorf("lint: %s\n%s", out, c.read(t, "policy.sarif"))
	}
	if out, ok := c.step(t, "Test"); !ok {
		t.Errorf("test: %s", out)
	}
	if out, ok := c.step(t, "Compare"); !ok {
		t.Fatalf("compare: %s", out)
	}
	if got := c.read(t, "output"); got != "granted=1\n" {
		t.Errorf("the comparison prints %q", got)
	}
	if summary := c.read(t, "summary"); !strings.Contains(summary, "/terminal") {
		t.Errorf("the summary does not name what is granted:\n%s", summary)
	}
	for _, want := range []string{
		"api repos/example-org/deploy/issues/7/comments -F body=@comment.md",
		"api -X PATCH repos/example-org/deploy/issues/comments/99 -F body=@comment.md",
	} {
		if out, ok := c.step(t, "Comment"); !ok {
			t.Fatalf("comment: %s", out)
		}
		if asked := strings.TrimSpace(c.read(t, "asked")); !strings.HasSuffix(asked, want) {
			t.Errorf("gh was asked\n%s\nwant at the end\n%s", asked, want)
		}
	}
	if posted := c.read(t, "posted"); !strings.HasPrefix(posted, "<!-- authgate policy diff -->\n") || !strings.Contains(posted, "/terminal") {
		t.Errorf("posted:\n%s", posted)
	}
	if out, ok := c.step(t, "New permissions need a label"); ok || !strings.Contains(out, "::error::") {
		t.Errorf("the last step lets it pass: %s", out)
	}
}

func TestTheWorkflowStopsAtWhatIsWrong(t *testing.T) {
	t.Parallel()
	c := newCheckout(t)
	policy := read(t, "examples/policy.csv")
	c.commit(t, map[string]string{"policy.csv": strings.Replace(policy, "p, role:viewer, argocd, /applications/**, GET, allow\n", "", 1)})
	if out, ok := c.step(t, "Test"); ok {
		t.Errorf("a case that fails passes: %s", out)
	}
	if out, ok := c.step(t, "Compare"); !ok || c.read(t, "output") != "granted=0\n" {
		t.Errorf("a change that only revokes: %s", out)
	}
	c.commit(t, map[string]string{"policy.csv": policy + "p, role:viewer, argocd, /applications/x, GET, allow\n"})
	if out, ok := c.step(t, "Lint"); ok {
		t.Errorf("a warning passes: %s", out)
	}
	c.commit(t, map[string]string{"policy.csv": policy + "p, role:viewer, argocd, /x, GET, alow\n"})
	if out, ok := c.step(t, "Compare"); ok || !strings.Contains(out, "alow") {
		t.Errorf("a policy that does not load is compared: %s", out)
	}
	c.git(t, "rm", "-q", "policy.csv")
	c.commit(t, nil)
	c.commit(t, map[string]string{"policy.csv": policy})
	if out, ok := c.step(t, "Compare"); !ok || !strings.HasSuffix(c.read(t, "output"), "granted=1\n") {
		t.Errorf("a new policy: %s", out)
	}
}

func TestTheWorkflowMayDoLittle(t *testing.T) {
	t.Parallel()
	text := read(t, "examples/github-actions/policy.yml")
	var w workflow
	if err := yaml.Unmarshal([]byte(text), &w); err != nil {
		t.Fatal(err)
	}
	if len(w.Permissions) != 0 || !strings.Contains(text, "\npermissions: {}\n") {
		t.Errorf("the workflow begins with permissions %v", w.Permissions)
	}
	allowed := map[string]string{"contents": "read", "security-events": "write", "actions": "read", "pull-requests": "write"}
	if got := w.Jobs["policy"].Permissions; !maps.Equal(got, allowed) {
		t.Errorf("the job may %v", got)
	}
	if strings.Contains(text, "pull_request_target") {
		t.Error("any pull request runs with the repository's secrets")
	}
	for _, s := range w.Jobs["policy"].Steps {
		if strings.Contains(s.Run, "${{") {
			t.Errorf("step %q puts what others write into its shell lines", s.Name)
		}
	}
}

var hookCommand = regexp.MustCompile(`^authgate policy (fmt|lint|test)$`)

// TestHooksRun runs what pre-commit would run, for the definitions at the root and
// for those that the example overrides.
func TestHooksRun(t *testing.T) {
	t.Parallel()
	type hook struct {
		ID, Entry, Language, Files string
		Args                       []string
		PassFilenames              *bool `json:"pass_filenames"`
	}
	var defined []hook
	if err := yaml.UnmarshalStrict([]byte(hooksWithout(read(t, ".pre-commit-hooks.yaml"), "name", "description")), &defined); err != nil {
		t.Fatal(err)
	}
	var example struct {
		Repos []struct {
			Repo, Rev string
			Hooks     []hook
		}
	}
	if err := yaml.UnmarshalStrict([]byte(read(t, "examples/pre-commit/.pre-commit-config.yaml")), &example); err != nil {
		t.Fatal(err)
	}
	bin := authgate(t)
	try := func(h hook, args []string, file string) {
		t.Helper()
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "deploy"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, folder := range []string{"", "deploy"} {
			for name, text := range map[string]string{"policy.csv": read(t, "examples/policy.csv"), "cases.yaml": cases} {
				if err := os.WriteFile(filepath.Join(dir, folder, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		words := append(strings.Fields(h.Entry)[1:], args...)
		if h.PassFilenames == nil || *h.PassFilenames {
			words = append(words, file)
		}
		if out, code := run(t, bin, dir, words...); code != 0 {
			t.Errorf("%s: %q gives %d: %s", h.ID, words, code, out)
		}
		if matches, err := regexp.MatchString(h.Files, file); err != nil || !matches {
			t.Errorf("%s is not run for %s (%q)", h.ID, file, h.Files)
		}
	}
	byID := map[string]hook{}
	for _, h := range defined {
		byID[h.ID] = h
		if h.Language != "golang" || !hookCommand.MatchString(h.Entry) {
			t.Errorf("%s runs %q as %s", h.ID, h.Entry, h.Language)
		}
		try(h, h.Args, "policy.csv")
	}
	if len(byID) != 3 || len(example.Repos) != 1 || len(example.Repos[0].Hooks) != 3 {
		t.Fatalf("%d hooks, and an example with %+v", len(byID), example)
	}
	for _, h := range example.Repos[0].Hooks {
		base, known := byID[h.ID]
		if !known {
			t.Errorf("the example names hook %s, which is not defined", h.ID)
		}
		base.Files = h.Files
		try(base, h.Args, "deploy/policy.csv")
	}
}

// hooksWithout drops keys that are only for readers.
func hooksWithout(text string, keys ...string) string {
	for _, key := range keys {
		text = regexp.MustCompile(`(?m)^  `+key+`: .*\n`).ReplaceAllString(text, "")
	}
	return text
}
