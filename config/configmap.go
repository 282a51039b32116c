package config

import (
	"regexp"

	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// ConfigMap names one of Kubernetes. The zero value names none.
type ConfigMap struct {
	Namespace string `yaml:"namespace"` // empty: that of the pod, or of KUBECONFIG
	Name      string `yaml:"name"`
}

// IsZero reports whether it names none.
func (c ConfigMap) IsZero() bool { return c == ConfigMap{} }

// Path is the ConfigMap as it is written in texts.
func (c ConfigMap) Path() string {
	if c.Namespace == "" {
		return c.Name
	}
	return c.Namespace + "/" + c.Name
}

// What names in Kubernetes consist of (RFC 1123): the API server refuses any other, and they
// become part of a URL.
var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

const maxSubdomain = 253

func (c ConfigMap) check(at yamlfile.Node) {
	if c.IsZero() {
		return
	}
	switch {
	case c.Name == "":
		at.Key("name").AddFault("is empty", "write the name of the ConfigMap that holds the policy")
	case len(c.Name) > maxSubdomain || !dnsSubdomain.MatchString(c.Name):
		at.Key("name").AddFault(text.Quote(c.Name)+" cannot be the name of a ConfigMap",
			"write it as `kubectl get configmaps` does: a-z, 0-9, - and .")
	}
	if c.Namespace != "" && !dnsLabel.MatchString(c.Namespace) {
		at.Key("namespace").AddFault(text.Quote(c.Namespace)+" cannot be a namespace",
			"write it as `kubectl get namespaces` does: a-z, 0-9 and -; or leave it out for the pod's own")
	}
}
