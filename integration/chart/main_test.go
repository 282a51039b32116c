// Package chart_test checks that authgate and Kubernetes accept the Helm chart and the
// examples. Helm's own library renders the chart, each object is decoded strictly into
// its Kubernetes type, the files that a container would see are written to a folder, and
// the real binary checks them. It needs no cluster and installs nothing.
package chart_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/example-org/authgate/integration/program"
)

const (
	chartDir    = "../../deploy/helm/authgate"
	examplesDir = "../../examples"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden.yaml")

// built is where authgate's binary is; the first test that wants it builds it.
var built func() (string, error)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "authgate-chart-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built = sync.OnceValues(func() (string, error) { return program.Authgate(dir) })
	return m.Run()
}

// A verdict is what one authgate command came to.
type verdict struct {
	code           int
	stdout, stderr string
}

// authgate runs the binary in an environment of nothing but env.
func authgate(t testing.TB, env []string, args ...string) verdict {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = slices.Concat([]string{"HOME=" + t.TempDir()}, env)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("authgate %q: %v", args, err)
	}
	return verdict{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// accepts fails the test where authgate does not exit with 0.
func accepts(t testing.TB, env []string, args ...string) {
	t.Helper()
	if v := authgate(t, env, args...); v.code != 0 {
		t.Errorf("authgate %q: exit code %d, want 0\n%s%s", args, v.code, v.stdout, v.stderr)
	}
}
