package policyimport

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
// none that is written, and nobody said in which one argo-server looks.
type NamespacesError struct{ Namespaces []string }

// Error names them.
func (e *NamespacesError) Error() string {
	if len(e.Namespaces) == 0 {
		return "the ServiceAccounts name no namespace; name it with --namespace"
	}
	return "the ServiceAccounts are of several namespaces: " + strings.Join(e.Namespaces, ", ") +
		"; name with --namespace the one in which argo-server looks for the account of a login (its own, or the managed one)"
}

// candidate is a ServiceAccount with a rule.
type candidate struct {
	object
	rule       string
	precedence int
	ruleAt     fault.Position
	rankAt     fault.Position
	people     people
}

// Workflows reads ServiceAccounts with the annotations by which argo-server picks
// one for a login (server/auth/gatekeeper.go). Each becomes a role, in the order
// in which argo-server tries them. The namespace may be empty where all are of one.
func Workflows(sources []Source, options Options) (*Result, error) {
	upstream, namespace := options.Upstream, options.Namespace
	var faults fault.List
	all := readCandidates(readObjects(sources, &faults, "workflows"), &faults)
	if len(all) == 0 && faults.Empty() {
		faults.Add(fault.Position{File: sources[0].Name}, "there is no ServiceAccount with the annotation "+ruleKey+" in the files",
			"write them to a file: kubectl -n argo get serviceaccounts -o yaml")
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	namespace, err := theNamespace(all, namespace)
	if err != nil {
		return nil, err
	}
	d := newDraft()
	var here []candidate
	for _, c := range all {
		switch {
		case c.namespace != "" && c.namespace != namespace:
			d.left.Add(c.ruleAt, "ServiceAccount "+legible(c.name)+" is of the namespace "+legible(c.namespace)+", and a role stands for one account, whatever namespace is asked for",
				"give those people a role whose account may do what they need there")
		case !dnsName.MatchString(c.name) || len(c.name) > 253:
			d.left.Add(c.ruleAt, quote(c.name)+" is no name that a ServiceAccount can have", "look at metadata.name")
		default:
			here = append(here, c)
		}
	}
	// The order of the files is kept among equals; argo-server keeps none.
	slices.SortStableFunc(here, func(a, b candidate) int { return cmp.Compare(b.precedence, a.precedence) })
	accounts := writeWorkflows(d, here, upstream, namespace)
	result, err := d.finish()
	if err != nil {
		return nil, err
	}
	result.ServiceAccounts = accounts
	return result, nil
}

// dnsName is what Kubernetes takes for a name (RFC 1123, 2.1).
var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

func readCandidates(objects []object, faults *fault.List) []candidate {
	var all []candidate
	stood := map[string]bool{}
	for _, o := range objects {
		if o.kind != "ServiceAccount" {
			continue
		}
		annotations, ok := o.section("metadata", "annotations")
		rule := annotations[ruleKey]
		if !ok || rule == nil {
			continue
		}
		c := candidate{object: o, rule: value(rule), ruleAt: o.file.at(rule), rankAt: o.file.at(rule)}
		if n := annotations[precedenceKey]; n != nil {
			c.rankAt = o.file.at(n)
			// What is no number counts as 0 there, too.
			c.precedence, _ = strconv.Atoi(value(n))
		}
		if id := o.namespace + "/" + o.name; stood[id] {
			faults.Add(o.file.at(o.node), "ServiceAccount "+quote(o.name)+" stands here a second time", "give each once")
		} else {
			stood[id] = true
		}
		all = append(all, c)
	}
	return all
}

func theNamespace(all []candidate, named string) (string, error) {
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

func writeWorkflows(d *draft, all []candidate, upstream, namespace string) []ServiceAccount {
	var accounts []ServiceAccount
	for _, c := range all {
		accounts = append(accounts, ServiceAccount{rolePrefix + c.name, namespace, c.name})
	}
	d.comment("From Argo Workflows: ServiceAccounts with %s.", ruleKey)
	d.comment("")
	d.comment("These rows say who has which role. The upstream needs, in authgate.yaml:")
	d.comment("")
	d.comment("  - name: %s", upstream)
	for text := range strings.Lines(AccountsYAML(accounts)) {
		d.comment("    %s", strings.TrimRight(text, "\n"))
	}
	d.comment("")
	d.comment("The first role that somebody has wins, as the highest precedence did.")
	for i := range all {
		d.blank()
		writeRule(d, &all[i])
	}
	ties(d, all)
	d.blank()
	writeViewer(d, all, upstream)
	return accounts
}

func writeRule(d *draft, c *candidate) {
	role := rolePrefix + c.name
	d.comment("%s, precedence %d: %s", c.name, c.precedence, c.rule)
	var err error
	if c.people, err = parseRule(c.rule); err != nil {
		d.comment("not carried over: %s", err.Error())
		d.left.Add(c.ruleAt, legible("the rule of "+c.name+" is not carried over: "+err.Error()),
			"write g, GROUP, "+role+" or g, user:EMAIL, "+role+" for those who are meant; until then whoever fits a later account has that one")
		return
	}
	if c.people.everybody {
		d.row(c.ruleAt, "g", authenticated, role)
		d.note(c.ruleAt, "whoever signed in holds "+role, "argo-server refused them where the rule before failed, as it does for people without groups; narrow the row if that was the fence")
	}
	for _, group := range c.people.groups {
		if what, mend := foreignGroup(group); what != "" {
			d.leave(c.ruleAt, group, what, mend)
			continue
		}
		d.row(c.ruleAt, "g", group, role)
	}
	for _, email := range c.people.emails {
		d.row(c.ruleAt, "g", "user:"+email, role)
		d.note(c.ruleAt, "user:"+email+" has to be a verified address", "argo-server did not ask for that")
	}
	if !c.people.everybody && len(c.people.groups)+len(c.people.emails) == 0 {
		d.note(c.ruleAt, "the rule of "+c.name+" is never true, so nobody holds "+role, "")
	}
}

// foreignGroup finds names that would not be that group here.
func foreignGroup(name string) (what, mend string) {
	switch {
	case hasReserved(name):
		return quote(name) + " would mean something else here, where no group may begin so", "name the group otherwise, or write the row by hand"
	case strings.Contains(name, "*"):
		return "a * in " + quote(name) + " stands for itself in a rule, and for every team here", "name the groups, or write ORG:* if you mean all of them"
	}
	return "", ""
}

// ties reports accounts among which argo-server chooses by chance.
func ties(d *draft, all []candidate) {
	for i := 1; i < len(all); i++ {
		if a, b := all[i-1], all[i]; a.precedence == b.precedence {
			d.left.Add(b.rankAt, legible(fmt.Sprintf("%s and %s have the same precedence, %d: argo-server takes either for people whom both fit", a.name, b.name, a.precedence)),
				"see that serviceAccounts has them in the order that you want")
		}
	}
}

// writeViewer opens the doors of viewers, which is less than anybody had: what an
// account may do is in Kubernetes, and nothing here says who needs which door.
func writeViewer(d *draft, all []candidate, upstream string) {
	names := map[string]string{}
	for _, c := range all {
		names[c.name] = rolePrefix + c.name
	}
	viewer := rolePrefix + "workflows-viewer"
	d.comment("Doors. Everybody above may read; who is to do more needs more rows. Those for")
	d.comment("submitters are in examples/argo-workflows/policy.csv; for all doors take a # off:")
	for _, c := range all {
		d.comment("p, %s, %s, /**, *, allow", names[c.name], upstream)
	}
	d.blank()
	for _, c := range all {
		d.make("g", names[c.name], viewer)
	}
	for row := range strings.Lines(workflowsViewer) {
		fields := strings.Split(strings.TrimSpace(row), ", ")
		d.make("p", viewer, upstream, fields[3], fields[4], fields[5])
	}
	if len(all) > 0 {
		d.note(all[0].file.at(all[0].node), "all roles open the doors of viewers and no more, since an annotation does not say what an account may do",
			"take a # off in the policy for roles that submit or administer")
	}
}

// AccountsYAML gives the entries as they stand in an upstream of authgate.yaml.
func AccountsYAML(accounts []ServiceAccount) string {
	var b strings.Builder
	b.WriteString("identity:\n  credential: serviceAccount\n  serviceAccounts:\n")
	for _, a := range accounts {
		fmt.Fprintf(&b, "    - {role: %q, namespace: %s, name: %s}\n", a.Role, yamlWord(a.Namespace), yamlWord(a.Name))
	}
	return b.String()
}

// yamlWord puts a name in quotes that YAML would take for a number or a truth.
func yamlWord(name string) string {
	if (&yaml.Node{Kind: yaml.ScalarNode, Value: name}).ShortTag() == "!!str" {
		return name
	}
	return strconv.Quote(name)
}
