package policyimport

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
)

// kubeRole is a Role or ClusterRole: which verbs on which resources.
type kubeRole struct {
	rules []kubeRule
}

type kubeRule struct{ groups, resources, verbs []string }

// kubeAccess is what the files say of the rights of ServiceAccounts.
type kubeAccess struct {
	roles    map[string]kubeRole // by kind/namespace/name
	bindings []kubeBinding
}

type kubeBinding struct {
	at        fault.Position
	name      string
	role      string   // as in roles
	roleRef   string   // for messages
	namespace string   // "" for all
	accounts  []string // namespace/name
}

// readAccess reads Roles, ClusterRoles and their bindings.
func readAccess(objects []object) *kubeAccess {
	k := &kubeAccess{roles: map[string]kubeRole{}}
	for _, o := range objects {
		switch o.kind {
		case "Role":
			k.roles["Role/"+o.namespace+"/"+o.name] = readKubeRole(o)
		case "ClusterRole":
			k.roles["ClusterRole//"+o.name] = readKubeRole(o)
		case "RoleBinding", "ClusterRoleBinding":
			k.addBinding(o)
		}
	}
	return k
}

func readKubeRole(o object) kubeRole {
	var role kubeRole
	rules := o.field("rules")
	if rules == nil || rules.Kind != yaml.SequenceNode {
		return role
	}
	for _, item := range rules.Content {
		keys, ok := o.file.mapping("the rule", item)
		if !ok || keys["resourceNames"] != nil { // about some objects alone: no list, no create
			continue
		}
		words := func(key string) (all []string) {
			for _, line := range o.file.textList(key, keys[key]) {
				all = append(all, strings.ToLower(line.text))
			}
			return all
		}
		role.rules = append(role.rules, kubeRule{words("apiGroups"), words("resources"), words("verbs")})
	}
	return role
}

func (k *kubeAccess) addBinding(o object) {
	b := kubeBinding{at: o.file.at(o.node), name: o.name}
	if o.kind == "RoleBinding" {
		b.namespace = o.namespace
	}
	ref := o.field("roleRef")
	if ref == nil {
		return
	}
	keys, ok := o.file.mapping("roleRef", ref)
	if !ok {
		return
	}
	kind, name := value(keys["kind"]), value(keys["name"])
	b.roleRef = kind + " " + name
	b.role = "ClusterRole//" + name
	if kind == "Role" {
		b.role = "Role/" + o.namespace + "/" + name
	}
	subjects := o.field("subjects")
	if subjects == nil || subjects.Kind != yaml.SequenceNode {
		return
	}
	for _, item := range subjects.Content {
		keys, ok := o.file.mapping("the subject", item)
		if !ok {
			continue
		}
		namespace := value(keys["namespace"])
		if namespace == "" {
			namespace = o.namespace
		}
		switch name := value(keys["name"]); value(keys["kind"]) {
		case "ServiceAccount":
			b.accounts = append(b.accounts, namespace+"/"+name)
		case "Group":
			if rest, ok := strings.CutPrefix(name, "system:serviceaccounts"); ok {
				b.accounts = append(b.accounts, strings.TrimPrefix(rest, ":")+"/*")
			}
		case "User":
			if rest, ok := strings.CutPrefix(name, "system:serviceaccount:"); ok {
				b.accounts = append(b.accounts, strings.Replace(rest, ":", "/", 1))
			}
		}
	}
	k.bindings = append(k.bindings, b)
}

func (b kubeBinding) hasSubject(namespace, name string) bool {
	return slices.ContainsFunc(b.accounts, func(a string) bool {
		return a == namespace+"/"+name || a == namespace+"/*" || a == "/*"
	})
}

// endpoints gives the endpoints that an account may use by its bindings, and the bindings
// of roles that are not among the files. Without any binding it is not known.
func (k *kubeAccess) endpoints(namespace, name string) (rows []string, missing []kubeBinding, known bool) {
	for _, b := range k.bindings {
		if !b.hasSubject(namespace, name) {
			continue
		}
		role, there := k.roles[b.role]
		if !there {
			missing = append(missing, b)
			continue
		}
		known = true
		for _, perm := range workflowsTable() {
			if !role.allows(perm) || b.namespace != "" && perm.resource == "clusterworkflowtemplates" {
				continue
			}
			for _, row := range perm.endpoints {
				rows = append(rows, inNamespace(row, b.namespace)...)
			}
		}
	}
	return rows, missing, known
}

func (r kubeRole) allows(perm workflowsPermission) bool {
	group := "argoproj.io"
	if perm.resource == "pods/log" || perm.resource == "events" {
		group = ""
	}
	return slices.ContainsFunc(r.rules, func(rule kubeRule) bool {
		return (slices.Contains(rule.groups, group) || slices.Contains(rule.groups, "*")) &&
			(slices.Contains(rule.resources, perm.resource) || slices.Contains(rule.resources, "*")) &&
			(slices.Contains(rule.verbs, "*") ||
				slices.ContainsFunc(perm.verbs, func(v string) bool { return slices.Contains(rule.verbs, v) }))
	})
}

// inNamespace gives a row for one namespace, or for all of them, where an empty last
// segment asks for all at once.
func inNamespace(row, namespace string) []string {
	if namespace != "" {
		return []string{strings.ReplaceAll(row, "{ns}", namespace)}
	}
	all := []string{strings.ReplaceAll(row, "{ns}", "*")}
	if rest, ok := strings.CutSuffix(row, "{ns}"); ok && strings.HasPrefix(row, "GET ") {
		all = append(all, rest)
	}
	return all
}
