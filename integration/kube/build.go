//go:build unix

package kube

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/example-org/authgate/integration/program"
)

// Programs that Build knows, by the names of their files.
const (
	APIServer = "kube-apiserver"
	Etcd      = "server" // Go names it after its package
	Kubectl   = "kubectl"
	Helm      = "helm"
)

// packages are all that tools/kubernetes/go.mod pins. They share most of what they are made of,
// and so are compiled in one call.
var packages = map[string]string{
	APIServer:                 "k8s.io/kubernetes/cmd/kube-apiserver",
	"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
	"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
	"kube-proxy":              "k8s.io/kubernetes/cmd/kube-proxy",
	"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
	Kubectl:                   "k8s.io/kubernetes/cmd/kubectl",
	Helm:                      "helm.sh/helm/v3/cmd/helm",
	Etcd:                      "go.etcd.io/etcd/server/v3",
	"coredns":                 "./coredns",
	"pause":                   "./pause",
}

// Build compiles programs into a folder.
func Build(ctx context.Context, dir string, progress io.Writer, programs ...string) error {
	root, err := program.MainModule(ctx)
	if err != nil {
		return err
	}
	source := program.Source{
		Name: "Kubernetes", Dir: filepath.Join(root, "tools", "kubernetes"),
		Env:  []string{"CGO_ENABLED=0"},
		Hint: " (some 2000 packages: six minutes the first time, seconds later on)",
	}
	version, err := program.ModuleVersion(ctx, source.Dir, "k8s.io/kubernetes")
	if err != nil {
		return err
	}
	// Helm asks the server for its version, and kubelets tell theirs.
	major, minor, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	const stamp = "-X k8s.io/component-base/version.git"
	source.Flags = []string{"-trimpath", fmt.Sprintf("-ldflags=-s -w %[1]sVersion=%[2]s %[1]sMajor=%[3]s %[1]sMinor=%[4]s", stamp, version, major, minor)}
	for _, name := range programs {
		pkg, ok := packages[name]
		if !ok {
			return fmt.Errorf("kube does not know how to build %s", name)
		}
		source.More = append(source.More, pkg)
	}
	source.Package, source.More = source.More[0], source.More[1:]
	return program.Build(ctx, source, dir+string(filepath.Separator), progress)
}
