//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example-org/authgate/integration/visitor"
	"github.com/example-org/authgate/integration/wait"
)

// shared is the cluster of all tests, which run one after another. It is set by TestMain,
// and never after. Each test installs the release that it needs over that of the last one.
var shared *cluster

// requiredVariable makes the tests fail where there is no cluster for them. Otherwise they
// are left out.
const requiredVariable = "AUTHGATE_TEST_CLUSTER_REQUIRED"

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	if os.Getenv(kubeconfigVariable) == "" {
		if err := canStartNode(); err != nil {
			if os.Getenv(requiredVariable) != "" || os.Getenv("CI") != "" {
				return 0, fmt.Errorf("the tests of authgate in Kubernetes cannot run: %w", err)
			}
			fmt.Fprintln(os.Stderr, "no test of authgate in Kubernetes is run:", err)
			return 0, nil
		}
	}
	ctx := context.Background()
	if flag.Parse(); flag.Lookup("test.run").Value.String() == "^$" { // no test: what they need is built
		c, err := buildAll(ctx, 0, os.Stderr)
		return 0, errors.Join(err, c.stop())
	}
	if shared, err = start(ctx, 0, os.Stderr); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, shared.stop()) }()
	if err := shared.open(); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// install brings the release to these values, and the standard ones where none are given.
func install(t *testing.T, changes ...string) {
	t.Helper()
	if err := shared.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := shared.release(t.Context(), shared.values(changes...)); err != nil {
		t.Fatal(err)
	}
	settle(t)
}

// settle waits until pods of earlier releases have ended, and the Service leads to the
// others.
func settle(t *testing.T) {
	t.Helper()
	defer reachable(t)
	eventually(t, "one generation of pods", func() bool {
		d, err := shared.AppsV1().Deployments(namespace).Get(t.Context(), releaseName, metav1.GetOptions{})
		return err == nil && len(pods(t)) == int(*d.Spec.Replicas) && d.Status.ReadyReplicas == *d.Spec.Replicas
	})
}

// reachable waits until the Service leads to authgate: kube-proxy follows a moment later.
func reachable(t *testing.T) {
	t.Helper()
	if err := shared.awaitService(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// pods are those of authgate, also while they terminate.
func pods(t *testing.T) []corev1.Pod {
	t.Helper()
	list, err := shared.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=authgate"})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func names(all []corev1.Pod) map[string]bool {
	found := map[string]bool{}
	for _, p := range all {
		found[p.Name] = true
	}
	return found
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	wait.For(t, 2*time.Minute, what, holds)
}

// shell runs commands as a user types them.
func shell(t *testing.T, dir, commands string) (string, error) {
	t.Helper()
	cmd := shared.command(t.Context(), "/bin/sh", "-eu", "-c", commands)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	cmd := shared.command(t.Context(), "kubectl", args...)
	var warnings strings.Builder
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, &warnings)
	}
	return string(out)
}

func arrive(t *testing.T, login string) *visitor.Visitor {
	t.Helper()
	v, err := shared.visitor(login)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// see wants a page of a dashboard to be answered so, and to contain words.
func see(t *testing.T, v *visitor.Visitor, address string, status int, words string) {
	t.Helper()
	a, err := v.Open(t.Context(), address)
	if err != nil || a.Status != status || !strings.Contains(a.Body, words) {
		t.Fatalf("%s at %s: %v, %d, want %d and %q in\n%s", v.Login, address, err, a.Status, status, words, a.Body)
	}
}

// inside asks one pod, at its own address.
func inside(t *testing.T, pod corev1.Pod, port int, path string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: shared.dial, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	return request(t, client, fmt.Sprintf("http://%s%s", net.JoinHostPort(pod.Status.PodIP, fmt.Sprint(port)), path))
}

// scratch is a folder that has deploy/ and examples/ of the repository.
func scratch(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"deploy", "examples"} {
		if err := os.Symlink(filepath.Join(shared.root, folder), filepath.Join(dir, folder)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
