package importer

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
)

// setting is a value of argocd-rbac-cm or argocd-cm, from wherever it is written.
type setting struct {
	node *yaml.Node
	file *file
}

func (s setting) value() string {
	if s.node == nil {
		return ""
	}
	return value(s.node)
}

func (s setting) at() fault.Position {
	if s.node == nil {
		return fault.Position{}
	}
	return s.file.at(s.node)
}

// settings are the keys of one of the two ConfigMaps.
type settings struct {
	name string
	file *file // the file that has the ConfigMap itself
	keys map[string]setting
}

// The ConfigMaps, whose names Argo CD knows by heart (common/common.go).
const (
	rbacMap  = "argocd-rbac-cm"
	argocdCM = "argocd-cm"
)

// set takes a value over; the later file wins, as with Helm and kustomize.
func (a *argoCD) set(dest *settings, key string, s setting) {
	if old, known := dest.keys[key]; known && old.value() != s.value() && old.value() != "" {
		a.note(s.at(), key+" of "+fileLine(old.at())+" gives way to this one", "")
	}
	dest.keys[key] = s
}

func fileLine(at fault.Position) string { return at.File + ":" + strconv.Itoa(at.Line) }

func isPolicyKey(key string) bool {
	return key == "policy.default" || key == "policy.matchMode" || isPolicyText(key)
}

func isPolicyText(key string) bool {
	return strings.HasPrefix(key, "policy.") && strings.HasSuffix(key, ".csv")
}

var account = regexp.MustCompile(`^accounts\.([^.]+)(\.enabled)?$`)

func isServerKey(key string) bool {
	return account.MatchString(key) || key == anonymousSetting || key == rollbackSetting || key == inheritSetting
}

const anonymousSetting = "users.anonymous.enabled"

// readKeys takes over what a mapping says of the two ConfigMaps.
func (a *argoCD) readKeys(f *file, n *yaml.Node) (some bool) {
	keys, ok := f.mapping("the mapping", n)
	if !ok {
		return false
	}
	policy := false
	for key := range keys {
		policy = policy || isPolicyKey(key)
	}
	for _, key := range sortedKeys(keys) {
		switch {
		case policy && (isPolicyKey(key) || key == "scopes"):
			a.set(&a.rbac, key, setting{keys[key], f})
		case isServerKey(key):
			a.set(&a.serverConfig, key, setting{keys[key], f})
			a.serverConfig.file = f
		default:
			continue
		}
		some = true
	}
	return some
}

func sortedKeys(keys map[string]*yaml.Node) []string {
	names := make([]string, 0, len(keys))
	for name := range keys {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if line := keys[a].Line - keys[b].Line; line != 0 {
			return line
		}
		return strings.Compare(a, b)
	})
	return names
}

// readConfigMap takes one of the two ConfigMaps, or a patch of them.
func (a *argoCD) readConfigMap(o object) {
	dest := &a.rbac
	switch {
	case o.name == argocdCM:
		dest = &a.serverConfig
	case o.name == rbacMap:
	case o.name == "" || strings.Contains(o.name, "rbac-cm"):
		if data := o.field("data"); data != nil && a.readKeys(o.file, data) && o.name != "" {
			a.note(o.file.at(o.node), "ConfigMap "+printable(o.name)+" is taken for "+rbacMap,
				"give that one if it is another")
		}
		return
	default:
		return
	}
	data, ok := o.section("data")
	if dest.file != nil {
		a.faults.Add(o.file.at(o.node), "a second ConfigMap "+o.name, "give one; Argo CD reads one")
	}
	dest.file = o.file
	if !ok {
		return
	}
	for _, key := range sortedKeys(data) {
		a.set(dest, key, setting{data[key], o.file})
	}
}

// readOperator takes the resource ArgoCD of the operator (argocd-operator).
func (a *argoCD) readOperator(o object) {
	names := map[string]string{
		"policy": policyName, "defaultPolicy": "policy.default", "policyMatcherMode": "policy.matchMode",
		"scopes": "scopes",
	}
	if rbac := o.field("spec", "rbac"); rbac != nil {
		keys, _ := o.file.mapping("rbac", rbac)
		for _, key := range sortedKeys(keys) {
			if name := names[key]; name != "" {
				a.set(&a.rbac, name, setting{keys[key], o.file})
			}
		}
	}
	a.rbac.file = o.file
	if open := o.field("spec", "usersAnonymousEnabled"); open != nil {
		a.set(&a.serverConfig, anonymousSetting, setting{open, o.file})
		a.serverConfig.file = o.file
	}
	if extra := o.field("spec", "extraConfig"); extra != nil {
		a.readKeys(o.file, extra)
	}
	if users := o.field("spec", "localUsers"); users != nil && users.Kind == yaml.SequenceNode {
		for _, user := range users.Content {
			if keys, ok := o.file.mapping("localUsers", user); ok {
				a.accounts[value(keys["name"])] = true
			}
		}
	}
}

// isOn reads a truth as Argo CD does: the word, and no other.
func (s *settings) isOn(key string) bool { return s.keys[key].value() == "true" }
