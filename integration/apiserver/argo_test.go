//go:build unix

package apiserver_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/stage"
)

const hello = `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: hello-}
spec:
  entrypoint: main
  templates:
    - name: main
      container: {image: busybox, command: [echo, hello]}
`

// terminal is a user with `argo` and a token of `authgate token`.
type terminal struct {
	t       *testing.T
	address string // of authgate; below localhost, which every machine knows
	token   string
	http1   bool
	file    string // a workflow
}

// behind is a stage with the real Argo Workflows behind authgate, and what more its
// viewers may do than see pages.
func behind(t *testing.T, rows string) (s *stage.Stage, at func(login string, http1 bool) *terminal) {
	t.Helper()
	s = set(t, stage.Options{Workflows: server.URL, Config: func(yaml string, _ stage.Files) string {
		return strings.Replace(yaml, "hosts: ["+stage.WorkflowsHost+"]", "hosts: ["+stage.WorkflowsHost+", localhost]", 1)
	}})
	rewrite(t, s, rows)
	address, err := url.Parse(s.Workflows)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.Files.Dir, "hello.yaml")
	if err := os.WriteFile(file, []byte(hello), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{"": ""} // anonymous
	return s, func(login string, http1 bool) *terminal {
		t.Helper()
		if _, ok := tokens[login]; !ok {
			if tokens[login], err = s.Token(t.Context(), login); err != nil {
				t.Fatal(err)
			}
		}
		return &terminal{t, "localhost:" + address.Port(), tokens[login], http1, file}
	}
}

// argo runs the command and gives all that it says.
func (c *terminal) argo(args ...string) (said string, err error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	out, err := workflows.Command(ctx, c.address, c.token, c.http1, args...).CombinedOutput()
	if strings.Contains(string(out), c.token) && c.token != "" {
		c.t.Errorf("argo %s prints the token", args[0])
	}
	return string(out), err
}

func (c *terminal) must(args ...string) string {
	c.t.Helper()
	said, err := c.argo(args...)
	if err != nil {
		c.t.Fatalf("argo %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return said
}

// refused wants a command to fail, and to say something.
func (c *terminal) refused(words string, args ...string) {
	c.t.Helper()
	if said, err := c.argo(args...); err == nil || !strings.Contains(said, words) {
		c.t.Errorf("argo %s: %v, want %q in\n%s", strings.Join(args, " "), err, words, said)
	}
}

// forms are the two ways in which the command speaks.
var forms = map[string]bool{"gRPC": false, "HTTP/1": true}

const viewersCalls = `
p, role:viewer, workflows, /workflow.WorkflowService/Get*, POST, allow
p, role:viewer, workflows, /workflow.WorkflowService/List*, POST, allow
p, role:viewer, workflows, /workflow.WorkflowService/Watch*, POST, allow
p, role:viewer, workflows, /workflow.WorkflowService/*Logs, POST, allow
`

func TestTheArgoCommandWorksThroughAuthgate(t *testing.T) {
	apply(t, rbac)
	_, at := behind(t, viewersCalls)
	for form, http1 := range forms {
		t.Run(form, func(t *testing.T) {
			alice := at("alice", http1)
			name := strings.TrimSpace(alice.must("submit", alice.file, "-o", "name"))
			if !regexp.MustCompile(`^hello-\w+$`).MatchString(name) {
				t.Fatalf("submitted %q", name)
			}
			if listed := alice.must("list"); !strings.Contains(listed, name) {
				t.Errorf("%s is not in\n%s", name, listed)
			}
			if got := alice.must("get", name, "-o", "yaml"); !strings.Contains(got, "system-serviceaccount-argo-argo-admin") {
				t.Errorf("who has made it is not the account of the role:\n%s", got)
			}
			bob := at("bob", http1)
			if listed := bob.must("list"); !strings.Contains(listed, name) {
				t.Errorf("%s is not in\n%s", name, listed)
			}
			bob.must("logs", name) // of no pod, there being no node
			watchToTheEnd(t, bob, name)
		})
	}
}

// watchToTheEnd has `argo watch` see a workflow change, and end with it.
func watchToTheEnd(t *testing.T, c *terminal, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := workflows.Command(ctx, c.address, c.token, c.http1, "watch", name)
	said, seen := new(buffer), make(chan struct{})
	said.when("Name:", seen)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-seen:
	case <-ctx.Done():
		t.Fatalf("argo watch shows nothing: %s", said)
	}
	finish := fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: %s, namespace: argo, labels: {workflows.argoproj.io/completed: "true"}}
status: {phase: Succeeded, startedAt: "2026-01-01T00:00:00Z", finishedAt: "2026-01-01T00:00:01Z"}
`, name)
	if err := cluster.Apply(t.Context(), finish); err != nil { // as its controller would
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), "Succeeded") {
		t.Errorf("argo watch: %v\n%s", err, said)
	}
}

func TestTheArgoCommandLearnsWhyItIsDenied(t *testing.T) {
	apply(t, rbac)
	s, at := behind(t, viewersCalls)
	for form, http1 := range forms {
		t.Run(form, func(t *testing.T) {
			bob := at("bob", http1)
			bob.refused("PermissionDenied desc = No rule of the policy lets you do this", "submit", bob.file)
			bob.refused("PermissionDenied desc = No rule of the policy lets you do this", "delete", "hello")
			anonymous := at("", http1)
			anonymous.refused("Unauthenticated", "list")
			carol := at("carol", http1) // in no team
			carol.refused("PermissionDenied desc = No rule", "list")
		})
	}
	if err := s.FindLeaks(t.Context()); err != nil {
		t.Error(err)
	}
}

// The pages and the API as a browser asks for them, in a session.
func TestUsersUseArgoWorkflowsWithoutALoginOfItsOwn(t *testing.T) {
	apply(t, rbac)
	s, at := behind(t, viewersCalls)
	alice := arrive(t, s, "alice")
	a, err := alice.Open(t.Context(), s.Workflows+"/login?redirect="+url.QueryEscape(s.Workflows+"/workflows/argo"))
	if err != nil || a.Status != http.StatusOK || a.URL.Path != "/workflows/argo" || !strings.Contains(a.Body, "<title>Argo</title>") {
		t.Fatalf("%v: ended at %s with %d: %s", err, a.URL, a.Status, a.Body)
	}
	eventually(t, "the stream of workflows to tell of one", func() bool { // a young API server refuses a watch now and then
		events, err := alice.Listen(t.Context(), s.Workflows+"/api/v1/workflow-events/argo")
		if err != nil {
			t.Fatal(err)
		}
		defer events.Close() // only read
		at("alice", true).must("submit", at("alice", true).file)
		event, err := events.Next()
		return err == nil && strings.Contains(event, `"object"`)
	})
	for path, want := range map[string]int{
		"/api/v1/workflows/argo": http.StatusOK, "/api/v1/workflows/": http.StatusOK, // all namespaces
		"/api/v1/workflow-templates/argo": http.StatusOK, "/api/v1/version": http.StatusOK, "/api/v1/workflows/argo%2Fx": http.StatusBadRequest,
	} {
		if a, err := alice.Fetch(t.Context(), http.MethodGet, s.Workflows+path, ""); err != nil || a.Status != want {
			t.Errorf("%s: %v %d %s, want %d", path, err, a.Status, a.Body, want)
		}
	}
}

// What a row lets through is still the account's to do, or not.
func TestKubernetesHasTheLastWord(t *testing.T) {
	apply(t, rbac)
	_, at := behind(t, viewersCalls+`
p, role:viewer, workflows, /workflow.WorkflowService/CreateWorkflow, POST, allow
p, role:viewer, workflows, /api/v1/workflows/argo, POST, allow
`)
	for form, http1 := range forms {
		t.Run(form, func(t *testing.T) {
			bob := at("bob", http1)
			bob.refused(`system:serviceaccount:argo:argo-viewer`, "submit", bob.file)
		})
	}
}

// buffer tells when something was written to it.
type buffer struct {
	text chan bytes.Buffer
	want string
	seen chan<- struct{}
}

func (b *buffer) when(want string, seen chan<- struct{}) {
	b.text, b.want, b.seen = make(chan bytes.Buffer, 1), want, seen
	b.text <- bytes.Buffer{}
}

func (b *buffer) Write(p []byte) (int, error) {
	text := <-b.text
	text.Write(p)
	if b.seen != nil && strings.Contains(text.String(), b.want) {
		close(b.seen)
		b.seen = nil
	}
	b.text <- text
	return len(p), nil
}

func (b *buffer) String() string {
	text := <-b.text
	defer func() { b.text <- text }()
	return text.String()
}
