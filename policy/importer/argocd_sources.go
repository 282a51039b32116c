package importer

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// readSources looks for the settings of Argo CD and its projects in all files, in whatever
// form they are kept: ConfigMaps, patches and generators of kustomize, values of Helm,
// the resource of the operator, bare CSV.
func (a *argoCD) readSources(sources []Source) {
	for _, src := range sources {
		if src.Name != stdinLabel && slices.Contains(a.readFiles, filepath.Clean(src.Name)) {
			continue // a generator named it
		}
		f := newFile(src, &a.faults, "argocd")
		if f.isCSV() {
			if f.isTemplate() {
				return
			}
			a.readCSV(policyName, f)
			continue
		}
		for _, document := range f.documents(src.Data) {
			a.readDocument(f, document)
		}
	}
}

const stdinLabel = "stdin"

func (a *argoCD) readDocument(f *file, n *yaml.Node) {
	n = yamlfile.ResolveAlias(n)
	if n.Kind == yaml.SequenceNode {
		a.readJSONPatch(f, n)
		return
	}
	var objects []object
	f.add(&objects, n, true)
	for _, o := range objects {
		switch o.kind {
		case "ConfigMap":
			a.readConfigMap(o)
		case "AppProject":
			a.readProject(o.file, o.name, o.field("spec"), o.node)
		case "ArgoCD":
			a.readOperator(o)
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
	if n = yamlfile.ResolveAlias(n); n == nil || w.seen[n] || depth > maxNesting {
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
	w.readKeys(w.file, n)
	if isRoles(keys["roles"]) {
		w.readProject(w.file, name, n, n)
		return
	}
	for _, key := range sortedKeys(keys) {
		child := yamlfile.ResolveAlias(keys[key])
		switch {
		case key == "configMapGenerator" && child.Kind == yaml.SequenceNode:
			for _, generator := range child.Content {
				w.readGenerator(w.file, generator)
			}
		case child.Kind == yaml.ScalarNode && isEmbedded(key, child):
			w.embedded(child)
		case key == "patchesStrategicMerge" && child.Kind == yaml.SequenceNode:
			for _, item := range child.Content {
				w.embedded(yamlfile.ResolveAlias(item))
			}
		default:
			w.node(child, key, depth+1)
		}
	}
}

// isRoles tells the roles of a project from all that charts call so.
func isRoles(n *yaml.Node) bool {
	if n == nil || yamlfile.ResolveAlias(n).Kind != yaml.SequenceNode {
		return false
	}
	return slices.ContainsFunc(yamlfile.ResolveAlias(n).Content, func(item *yaml.Node) bool {
		item = yamlfile.ResolveAlias(item)
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

// embedded reads YAML that is the value of a key.
func (w *walk) embedded(n *yaml.Node) {
	if n.Kind != yaml.ScalarNode {
		return
	}
	inner := *w.file
	inner.lineOffset, inner.columnOffset = n.Line, 0
	if n.Style&yaml.LiteralStyle == 0 {
		inner.lineOffset = n.Line - 1
	} else if n.Line < len(inner.lines) {
		line := inner.lines[n.Line]
		inner.columnOffset = len(line) - len(strings.TrimLeft(line, " "))
	}
	for _, document := range inner.documents([]byte(n.Value)) {
		inner.offsetNodes(document, map[*yaml.Node]bool{})
		w.readDocument(&inner, document)
	}
}

// readJSONPatch takes the operations of a JSON patch (RFC 6902) on the ConfigMap.
func (a *argoCD) readJSONPatch(f *file, n *yaml.Node) {
	for _, item := range n.Content {
		if yamlfile.ResolveAlias(item).Kind != yaml.MappingNode {
			continue
		}
		keys, ok := f.mapping("the operation", item)
		if !ok || keys["value"] == nil {
			continue
		}
		switch where := value(keys["path"]); {
		case where == "/data":
			a.readKeys(f, keys["value"])
		case strings.HasPrefix(where, "/data/"):
			key := strings.NewReplacer("~1", "/", "~0", "~").Replace(strings.TrimPrefix(where, "/data/"))
			if isPolicyKey(key) || key == "scopes" {
				a.set(&a.rbac, key, setting{keys["value"], f})
			} else if isServerKey(key) {
				a.set(&a.serverConfig, key, setting{keys["value"], f})
				a.serverConfig.file = f
			}
		}
	}
}

// readGenerator takes an entry of configMapGenerator.
func (a *argoCD) readGenerator(f *file, n *yaml.Node) {
	keys, ok := f.mapping("the generator", n)
	if !ok {
		return
	}
	dest := &a.rbac
	switch name := value(keys["name"]); {
	case name == argocdCM:
		dest = &a.serverConfig
		dest.file = f
	case name != rbacMap:
		return
	}
	each := func(list string, read func(key, text string, at *yaml.Node)) {
		if keys[list] == nil || yamlfile.ResolveAlias(keys[list]).Kind != yaml.SequenceNode {
			return
		}
		for _, item := range yamlfile.ResolveAlias(keys[list]).Content {
			key, text, named := strings.Cut(value(item), "=")
			if !named && list == "files" {
				key, text = path.Base(key), key
			}
			read(key, text, item)
		}
	}
	each("literals", func(key, text string, at *yaml.Node) {
		n := *yamlfile.ResolveAlias(at)
		n.Value, n.Style = strings.Trim(text, `'"`), 0
		a.set(dest, key, setting{&n, f})
	})
	each("files", func(key, text string, at *yaml.Node) { a.readNamedFile(f, dest, key, text, at) })
	each("envs", func(key, _ string, at *yaml.Node) {
		a.skip(f.at(at), "the generator takes keys from the file "+text.Quote(key), "give what kustomize makes of it: "+
			"kustomize build . | authgate policy import argocd -")
	})
}

// readNamedFile takes a file that a generator names, from among the files that were given
// or from next to the one that names it.
func (a *argoCD) readNamedFile(f *file, dest *settings, key, name string, at *yaml.Node) {
	where := path.Join(filepath.ToSlash(filepath.Dir(f.name)), name)
	src := Source{Name: filepath.FromSlash(where)}
	given := slices.IndexFunc(a.sources,
		func(s Source) bool { return filepath.Clean(s.Name) == filepath.Clean(src.Name) })
	switch {
	case given >= 0:
		src = a.sources[given]
	case f.sibling != nil && filepath.IsLocal(name):
		data, err := f.sibling(name)
		if err != nil {
			a.faults.Add(f.at(at), "the generator takes "+key+" from "+text.Quote(name)+", which cannot be read",
				"give the file, or what kustomize makes of it: kustomize build . | authgate policy import argocd -")
			return
		}
		src.Data = data
	default:
		a.faults.Add(f.at(at), "the generator takes "+key+" from "+text.Quote(name)+", which is not among the files",
			"give what kustomize makes of it: kustomize build . | authgate policy import argocd -")
		return
	}
	a.readFiles = append(a.readFiles, filepath.Clean(src.Name))
	g := newFile(src, &a.faults, f.subcommand)
	if dest == &a.rbac && isPolicyText(key) {
		a.readCSV(key, g)
		return
	}
	a.set(dest, key, setting{&yaml.Node{
		Kind: yaml.ScalarNode, Tag: "!!str",
		Value: strings.TrimSpace(string(src.Data)), Line: 1, Column: 1,
	}, g})
}

// readCSV takes a policy.csv that is a file of its own.
func (a *argoCD) readCSV(key string, f *file) {
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
