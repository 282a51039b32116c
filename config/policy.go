package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// Policy says which files decide.
type Policy struct {
	Files       []string  `yaml:"files"  is:"file"` // nil with ConfigMap
	ConfigMap   ConfigMap `yaml:"configMap"`
	Shadow      []string  `yaml:"shadow" is:"file"` // decided in addition, never enforced
	AllowShrink bool      `yaml:"allowShrink"`      // a reload may lose more than half of the rows

	OtherUpstreams []string `yaml:"otherUpstreams"` // names that rows may use although another authgate serves them
}

func (p Policy) check(upstreams []Upstream, at yamlfile.Node) {
	p.ConfigMap.check(at.Key("configMap"))
	switch {
	case !p.ConfigMap.IsZero() && len(p.Files) > 0 && at.Key("files").IsSet():
		at.Key("configMap").AddFault("files is given as well, and one policy has one origin",
			"remove files, or remove configMap")
	case p.ConfigMap.IsZero() && len(p.Files) == 0:
		at.Key("files").AddFault("is empty, and no request would be admitted", "name at least one policy.csv")
	}
	checkFiles(p.Files, at.Key("files"))
	checkFiles(p.Shadow, at.Key("shadow"))
	p.checkOtherUpstreams(upstreams, at.Key("otherUpstreams"))
}

// resolve removes the default of files where a ConfigMap takes their place.
func (p *Policy) resolve() {
	if !p.ConfigMap.IsZero() {
		p.Files = nil
	}
}

// checkOtherUpstreams wants names that upstreams could have, and none that one here has:
// which of the two a row means would be left open.
func (p Policy) checkOtherUpstreams(upstreams []Upstream, at yamlfile.Node) {
	for i, name := range p.OtherUpstreams {
		here := at.Item(i)
		switch c := checkUpstreamName(name); {
		case name == "*":
			here.AddFault(`"*" stands for every upstream in rows already`,
				"write the names of the upstreams that other instances serve")
		case c.message != "":
			c.addTo(here)
		case slices.Contains(p.OtherUpstreams[:i], name):
			here.AddFault(text.Quote(name)+" is in the list already", "take one of the two out")
		case slices.ContainsFunc(upstreams, func(u Upstream) bool { return u.Name == name }):
			here.AddFault(text.Quote(name)+" is one of this configuration's own upstreams",
				"take it out: rows may name it anyway")
		}
	}
}

func checkFiles(files []string, at yamlfile.Node) {
	for i, file := range files {
		if file == "" {
			at.Item(i).AddFault("is empty", "write the path of a policy.csv, or remove it")
		}
	}
}

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

// Audit says which requests are recorded, and where.
type Audit struct {
	Output  string   `yaml:"output"`  // one of the words below, or a file
	Exclude []string `yaml:"exclude"` // patterns of paths; only of requests that are allowed
	OnFull  OnFull   `yaml:"onFull"`
}

// OnFull says what gives way while records cannot be written as fast as they come.
type OnFull string

// The values of OnFull.
const (
	OnFullDrop  OnFull = "drop"  // records
	OnFullBlock OnFull = "block" // requests
)

func (OnFull) values() []string { return []string{string(OnFullDrop), string(OnFullBlock)} }

// The words that are not files.
const (
	AuditStdout = "stdout"
	AuditStderr = "stderr"
	AuditNone   = "none"
)

func auditOutputs() []string { return []string{AuditStdout, AuditStderr, AuditNone} }

func (a Audit) isKeyword() bool {
	return a.Output == AuditStdout || a.Output == AuditStderr || a.Output == AuditNone
}

// check refuses a misspelt word, which would otherwise be a file of that name.
func (a Audit) check(upstreams []Upstream, at yamlfile.Node) {
	output := at.Key("output")
	switch {
	case a.Output == "":
		output.AddFault("is empty", "write stdout, stderr, none or the path of a file")
	case !a.isKeyword() && !strings.ContainsAny(a.Output, `./\`):
		if meant := fault.DidYouMean(a.Output, auditOutputs()); meant != "" {
			output.AddFault(text.Quote(a.Output)+" is not known", meant+" (a file of that name: ./"+a.Output+")")
		}
	}
	for i, pattern := range a.Exclude {
		checkAnyPattern(upstreams, pattern).addTo(at.Key("exclude").Item(i))
	}
}

func (a *Audit) resolve(at yamlfile.Node) {
	if !a.isKeyword() {
		a.Output = at.ResolvePath(a.Output)
	}
}
