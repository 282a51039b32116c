package policyimport

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
)

// find looks for the settings of Argo CD and its projects in all files, in whatever
// form they are kept: ConfigMaps, patches and generators of kustomize, values of Helm,
// the resource of the operator, bare CSV.
func (a *argoCD) find(sources []Source) {
	for _, src := range sources {
		if src.Name != stdinLabel && slices.Contains(a.read, filepath.Clean(src.Name)) {
			continue // a generator named it
		}
		f := newFile(src, &a.faults, "argocd")
		if f.isCSV() {
			if f.isTemplate() {
				return
			}
			a.takeCSV(policyName, f)
			continue
		}
		for _, document := range f.documents(src.Data) {
			a.takeDocument(f, document)
		}
	}
}

const stdinLabel = "stdin"

func (a *argoCD) takeDocument(f *file, n *yaml.Node) {
	n = aliased(n)
	if n.Kind == yaml.SequenceNode {
		a.takeJSONPatch(f, n)
		return
	}
	var objects []object
	f.add(&objects, n, true)
	for _, o := range objects {
		switch o.kind {
		case "ConfigMap":
			a.takeConfigMap(o)
		case "AppProject":
			a.takeProject(o.file, o.name, o.field("spec"), o.node)
		case "ArgoCD":
			a.takeOperator(o)
		case "", "Kustomization", "Component", "Application", "HelmRelease", "HelmChart", "HelmChartConfig":
			w := &walk{argoCD: a, file: f, seen: map[*yaml.Node]bool{}}
			w.node(o.node, o.name, 0)
		}
	}
}

// walk looks for settings below a document that is no object of Argo CD's.
type walk struct {
	*argoCD
	file *file
	seen map[*yaml.Node]bool
}

const maxNesting = 40

func (w *walk) node(n *yaml.Node, name string, depth int) {
	if n = aliased(n); n == nil || w.seen[n] || depth > maxNesting {
		return
	}
	w.seen[n] = true
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			w.node(item, name, depth+1)
		}
	case yaml.MappingNode:
		w.mappingNode(n, name, depth)
	}
}

func (w *walk) mappingNode(n *yaml.Node, name string, depth int) {
	keys, ok := w.file.mapping("the mapping", n)
	if !ok {
		return
	}
	if own := value(keys["name"]); own != "" {
		name = own
	}
	w.takeKeys(w.file, n)
	if isRoles(keys["roles"]) {
		w.takeProject(w.file, name, n, n)
		return
	}
	for _, key := range inOrder(keys) {
		child := aliased(keys[key])
		switch {
		case key == "configMapGenerator" && child.Kind == yaml.SequenceNode:
			for _, generator := range child.Content {
				w.takeGenerator(w.file, generator)
			}
		case child.Kind == yaml.ScalarNode && isEmbedded(key, child):
			w.text(child)
		case key == "patchesStrategicMerge" && child.Kind == yaml.SequenceNode:
			for _, item := range child.Content {
				w.text(aliased(item))
			}
		default:
			w.node(child, key, depth+1)
		}
	}
}

// isRoles tells the roles of a project from all that charts call so.
func isRoles(n *yaml.Node) bool {
	if n == nil || aliased(n).Kind != yaml.SequenceNode {
		return false
	}
	return slices.ContainsFunc(aliased(n).Content, func(item *yaml.Node) bool {
		item = aliased(item)
		for i := 0; item.Kind == yaml.MappingNode && i+1 < len(item.Content); i += 2 {
			if key := item.Content[i].Value; key == "policies" || key == "groups" {
				return true
			}
		}
		return false
	})
}

func isEmbedded(key string, n *yaml.Node) bool {
	return slices.Contains([]string{"values", "valuesContent", "patch"}, key) && strings.Contains(n.Value, "\n")
}

// text reads YAML that is the value of a key.
func (w *walk) text(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode {
		return
	}
	inner := *w.file
	inner.below, inner.indent = n.Line, 0
	if n.Style&yaml.LiteralStyle == 0 {
		inner.below = n.Line - 1
	} else if n.Line < len(inner.lines) {
		line := inner.lines[n.Line]
		inner.indent = len(line) - len(strings.TrimLeft(line, " "))
	}
	for _, document := range inner.documents([]byte(n.Value)) {
		inner.shift(document, map[*yaml.Node]bool{})
		w.takeDocument(&inner, document)
	}
}

// takeJSONPatch takes the operations of a JSON patch (RFC 6902) on the ConfigMap.
func (a *argoCD) takeJSONPatch(f *file, n *yaml.Node) {
	for _, item := range n.Content {
		if aliased(item).Kind != yaml.MappingNode {
			continue
		}
		keys, ok := f.mapping("the operation", item)
		if !ok || keys["value"] == nil {
			continue
		}
		switch where := value(keys["path"]); {
		case where == "/data":
			a.takeKeys(f, keys["value"])
		case strings.HasPrefix(where, "/data/"):
			key := strings.NewReplacer("~1", "/", "~0", "~").Replace(strings.TrimPrefix(where, "/data/"))
			if isPolicyKey(key) || key == "scopes" {
				a.set(&a.rbac, key, setting{keys["value"], f})
			} else if isServerKey(key) {
				a.set(&a.cm, key, setting{keys["value"], f})
				a.cm.whole = f
			}
		}
	}
}

// takeGenerator takes an entry of configMapGenerator.
func (a *argoCD) takeGenerator(f *file, n *yaml.Node) {
	keys, ok := f.mapping("the generator", n)
	if !ok {
		return
	}
	into := &a.rbac
	switch name := value(keys["name"]); {
	case name == argocdCM:
		into = &a.cm
		into.whole = f
	case name != rbacMap:
		return
	}
	each := func(list string, take func(key, text string, at *yaml.Node)) {
		if keys[list] == nil || aliased(keys[list]).Kind != yaml.SequenceNode {
			return
		}
		for _, item := range aliased(keys[list]).Content {
			key, text, named := strings.Cut(value(item), "=")
			if !named && list == "files" {
				key, text = path.Base(key), key
			}
			take(key, text, item)
		}
	}
	each("literals", func(key, text string, at *yaml.Node) {
		n := *aliased(at)
		n.Value, n.Style = strings.Trim(text, `'"`), 0
		a.set(into, key, setting{&n, f})
	})
	each("files", func(key, text string, at *yaml.Node) { a.takeNamed(f, into, key, text, at) })
	each("envs", func(key, _ string, at *yaml.Node) {
		a.loss(f.at(at), "the generator takes keys from the file "+quote(key), "give what kustomize makes of it: "+
			"kustomize build . | authgate policy import argocd -")
	})
}

// takeNamed takes a file that a generator names, from among the files that were given
// or from next to the one that names it.
func (a *argoCD) takeNamed(f *file, into *settings, key, name string, at *yaml.Node) {
	where := path.Join(filepath.ToSlash(filepath.Dir(f.name)), name)
	src := Source{Name: filepath.FromSlash(where)}
	given := slices.IndexFunc(a.sources, func(s Source) bool { return filepath.Clean(s.Name) == filepath.Clean(src.Name) })
	switch {
	case given >= 0:
		src = a.sources[given]
	case f.sibling != nil && filepath.IsLocal(name):
		data, err := f.sibling(name)
		if err != nil {
			a.faults.Add(f.at(at), "the generator takes "+key+" from "+quote(name)+", which cannot be read",
				"give the file, or what kustomize makes of it: kustomize build . | authgate policy import argocd -")
			return
		}
		src.Data = data
	default:
		a.faults.Add(f.at(at), "the generator takes "+key+" from "+quote(name)+", which is not among the files",
			"give what kustomize makes of it: kustomize build . | authgate policy import argocd -")
		return
	}
	a.read = append(a.read, filepath.Clean(src.Name))
	g := newFile(src, &a.faults, f.importer)
	if into == &a.rbac && isPolicyText(key) {
		a.takeCSV(key, g)
		return
	}
	a.set(into, key, setting{&yaml.Node{
		Kind: yaml.ScalarNode, Tag: "!!str",
		Value: strings.TrimSpace(string(src.Data)), Line: 1, Column: 1,
	}, g})
}

// takeCSV takes a policy.csv that is a file of its own.
func (a *argoCD) takeCSV(key string, f *file) {
	text := policyText{key: key}
	for i, line := range f.lines {
		line = strings.TrimPrefix(line, "\ufeff")
		indented := strings.TrimLeft(line, " \t")
		text.lines = append(text.lines, textLine{text: line, at: fault.Position{
			File: f.name, Line: i + 1,
			Column: 1 + len(line) - len(indented),
		}})
	}
	a.texts = append(a.texts, text)
}
