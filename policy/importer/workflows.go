package importer

import (
	"cmp"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// What viewers may in examples/argo-workflows/policy.csv: the pages and every read.
//
//go:embed workflows_viewer.csv
var workflowsViewer string

const (
	ruleKey       = "workflows.argoproj.io/rbac-rule"
	precedenceKey = "workflows.argoproj.io/rbac-rule-precedence"
)

// NamespacesError says that the ServiceAccounts are of several namespaces, or of
// none that is written, and no option says in which one argo-server looks.
type NamespacesError struct{ Namespaces []string }

// Error names them.
func (e *NamespacesError) Error() string {
	if len(e.Namespaces) == 0 {
		return "the ServiceAccounts name no namespace; name it with --namespace"
	}
	return "the ServiceAccounts are of several namespaces: " + strings.Join(e.Namespaces, ", ") +
		"; name with --namespace the one in which argo-server looks for the account of a login (its own, or the " +
		"managed one)"
}

// candidate is a ServiceAccount with a rule.
type candidate struct {
	object
	role         string // its name here
	rule         string
	precedence   int
	ruleAt       fault.Position
	ruleNode     *yaml.Node
	precedenceAt fault.Position

	formula       formula // what the rule says of those whom no account above takes
	atoms         []atom  // what rows say of it
	inexpressible formula // what they cannot
	parseErr      *ruleError
	blockedBy     string // why its rows are comments: the account above, whose rule was not carried over
}

// Workflows reads ServiceAccounts with the annotations by which argo-server picks
// one for a login (server/auth/gatekeeper.go). Each becomes a role, in the order
// in which argo-server tries them. The namespace may be empty where all are of one.
func Workflows(sources []Source, options Options) (*Result, error) {
	var faults fault.List
	w := &workflowsWriter{Options: options, pb: newPolicyBuilder()}
	objects := readObjects(sources, &faults, "workflows")
	all := w.readCandidates(objects, &faults)
	w.access = readAccess(objects)
	for _, src := range sources {
		unnamed := slices.ContainsFunc(all, func(c candidate) bool {
			return c.file.name == src.Name && (c.name == "" || strings.Contains(c.rule, "{{"))
		})
		if faults.Empty() && (unnamed || len(all) == 0) && newFile(src, &faults, "workflows").isTemplate() {
			break
		}
	}
	if len(all) == 0 && faults.Empty() {
		hint := "write them to a file: kubectl -n argo get serviceaccounts -o yaml"
		if elsewhere := faultsOf(&w.pb.skipped); len(elsewhere) > 0 {
			hint = elsewhere[0].Error()
		}
		faults.Add(fault.Position{File: sources[0].Name},
			"there is no ServiceAccount with the annotation "+ruleKey+" in "+
				"the files", hint)
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	var err error
	if w.Namespace, err = resolveNamespace(all, options.Namespace); err != nil {
		return nil, err
	}
	for _, c := range all {
		switch {
		case c.namespace != "" && c.namespace != w.Namespace:
			w.skip(c.ruleAt, "ServiceAccount "+c.name+" is of the namespace "+c.namespace+", and a role stands for one "+
				"account, whatever namespace is asked for",
				"give those people a role whose account may do what they need there")
		case !dnsName.MatchString(c.name) || len(c.name) > 253:
			w.skip(c.ruleAt, text.Quote(c.name)+" is no name that a ServiceAccount can have", "look at metadata.name")
		default:
			w.accounts = append(w.accounts, c)
		}
	}
	// The order of the files is kept among equals; argo-server keeps none.
	slices.SortStableFunc(w.accounts, func(a, b candidate) int { return cmp.Compare(b.precedence, a.precedence) })
	w.write()
	result, err := w.pb.finish()
	if err != nil {
		return nil, err
	}
	for _, c := range w.accounts {
		result.ServiceAccounts = append(result.ServiceAccounts, ServiceAccount{c.role, w.Namespace, c.name})
	}
	return result, nil
}

// dnsName is what Kubernetes takes for a name (RFC 1123, 2.1).
var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

func (w *workflowsWriter) readCandidates(objects []object, faults *fault.List) []candidate {
	var all []candidate
	seen := map[string]bool{}
	for _, o := range objects {
		if o.kind != "ServiceAccount" && o.field("metadata", "annotations") == nil {
			continue
		}
		annotations, ok := o.section("metadata", "annotations")
		rule := annotations[ruleKey]
		if !ok || rule == nil {
			continue
		}
		if o.kind != "ServiceAccount" {
			w.skip(o.file.at(rule), "the annotation is on "+o.kind+" "+text.Quote(o.name)+", and argo-server looks at "+
				"ServiceAccounts only, so it lets no one in",
				"put it on the ServiceAccount to which the role is bound")
			continue
		}
		c := candidate{
			object: o, role: policy.RolePrefix + w.RolePrefix + o.name, rule: value(rule),
			ruleAt: o.file.at(rule), precedenceAt: o.file.at(rule), ruleNode: yamlfile.ResolveAlias(rule),
		}
		if n := annotations[precedenceKey]; n != nil {
			c.precedenceAt = o.file.at(n)
			// What is no number counts as 0 there, too.
			c.precedence, _ = strconv.Atoi(value(n))
		}
		if id := o.namespace + "/" + o.name; seen[id] {
			faults.Add(o.file.at(o.node), "ServiceAccount "+text.Quote(o.name)+" is repeated here",
				"give each once")
		} else {
			seen[id] = true
		}
		all = append(all, c)
	}
	return all
}

func resolveNamespace(all []candidate, named string) (string, error) {
	var found []string
	for _, c := range all {
		if c.namespace != "" && !slices.Contains(found, c.namespace) {
			found = append(found, c.namespace)
		}
	}
	switch {
	case named != "":
		return named, nil
	case len(found) != 1:
		return "", &NamespacesError{found}
	case !dnsName.MatchString(found[0]):
		return "", &NamespacesError{}
	}
	return found[0], nil
}

// AccountsYAML gives the entries as they stand in an upstream of authgate.yaml.
func AccountsYAML(accounts []ServiceAccount) string {
	var b strings.Builder
	b.WriteString("identity:\n  credential: serviceAccount\n  serviceAccounts:\n")
	for _, a := range accounts {
		fmt.Fprintf(&b, "    - {role: %q, namespace: %s, name: %s}\n", a.Role, quoteYAML(a.Namespace),
			quoteYAML(a.Name))
	}
	return b.String()
}

// quoteYAML puts a name in quotes that YAML would take for a number or a truth.
func quoteYAML(name string) string {
	if (&yaml.Node{Kind: yaml.ScalarNode, Value: name}).ShortTag() == "!!str" {
		return name
	}
	return strconv.Quote(name)
}
