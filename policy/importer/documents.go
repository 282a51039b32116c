package importer

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// Source is the text of one file.
type Source struct {
	Name string // as faults are to show it
	Data []byte

	// Sibling reads a file by its path from this one, for files that name others; nil
	// where there are none.
	Sibling func(name string) ([]byte, error)
}

// maxDocuments is far above what a cluster has of the objects that are read here.
const maxDocuments = 100_000

// object is a Kubernetes object, as far as it is looked at.
type object struct {
	file      *file
	node      *yaml.Node
	kind      string
	name      string
	namespace string
}

// file is one of the files, with its lines for the places of what is in it.
type file struct {
	name       string
	lines      []string
	faults     *fault.List
	subcommand string // the subcommand, for what to run next
	sibling    func(name string) ([]byte, error)

	// Of YAML inside a value of another file: the lines above it and its indent.
	lineOffset, columnOffset int
}

func newFile(src Source, faults *fault.List, subcommand string) *file {
	return &file{
		name: src.Name, lines: strings.Split(string(src.Data), "\n"), faults: faults,
		subcommand: subcommand, sibling: src.Sibling,
	}
}

// readObjects gives the objects of all files: one or several documents each, and
// the items of lists, as kubectl writes them for several objects.
func readObjects(sources []Source, faults *fault.List, subcommand string) []object {
	var all []object
	for _, src := range sources {
		f := newFile(src, faults, subcommand)
		for _, document := range f.documents(src.Data) {
			f.add(&all, document, true)
		}
	}
	return all
}

func (f *file) documents(data []byte) []*yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var all []*yaml.Node
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		switch {
		case errors.Is(err, io.EOF):
			if len(all) == 0 && f.lineOffset == 0 {
				f.faults.Add(fault.Position{File: f.name}, "the file is empty",
					"write it again with kubectl get -o yaml")
			}
			return all
		case err != nil:
			f.addSyntaxFault(data, err)
			return nil
		case len(all) == maxDocuments:
			f.faults.Add(f.at(&document), "the file holds too many documents", "leave out what is not to be imported")
			return nil
		case len(document.Content) == 1 && !yamlfile.IsNull(document.Content[0]):
			all = append(all, document.Content[0])
		}
	}
}

func (f *file) addSyntaxFault(data []byte, err error) {
	if f.isTemplate() {
		return
	}
	broken := yamlfile.SyntaxFault(f.name, data, err)
	if broken.Line > 0 {
		broken.Line += f.lineOffset
	}
	f.faults.Add(broken.Position, broken.Message, broken.Hint)
}

// isTemplate says that a file is a template of Helm, by its first action.
func (f *file) isTemplate() bool {
	for i, line := range f.lines {
		if at := strings.Index(line, "{{"); at >= 0 && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			f.addTemplateFault(fault.Position{File: f.name, Line: i + 1, Column: at + 1})
			return true
		}
	}
	return false
}

func (f *file) addTemplateFault(at fault.Position) {
	f.faults.Add(at, "this is a template of Helm, and no YAML before it is rendered",
		"render it first: helm template ... | authgate policy import "+f.subcommand+" -")
}

// offsetNodes moves the places of YAML that was read out of a value.
func (f *file) offsetNodes(n *yaml.Node, seen map[*yaml.Node]bool) {
	if n == nil || seen[n] {
		return
	}
	seen[n] = true
	n.Line += f.lineOffset
	n.Column += f.columnOffset
	f.offsetNodes(n.Alias, seen)
	for _, child := range n.Content {
		f.offsetNodes(child, seen)
	}
}

// isCSV tells a bare policy.csv from YAML, by its first line that says anything.
func (f *file) isCSV() bool {
	for _, line := range f.lines {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if line == "" || line[0] == '#' {
			continue
		}
		kind, _, comma := strings.Cut(line, ",")
		kind = strings.TrimSpace(kind)
		return comma && (kind == "p" || kind == "g" ||
			!strings.ContainsAny(kind, ":{[") && strings.HasSuffix(f.name, ".csv"))
	}
	return strings.HasSuffix(f.name, ".csv")
}

// add takes an object, or the items of a list; lists do not hold lists.
func (f *file) add(all *[]object, n *yaml.Node, expandLists bool) {
	n = yamlfile.ResolveAlias(n)
	keys, ok := f.mapping("the document", n)
	if !ok {
		return
	}
	kind := ""
	if k := keys["kind"]; k != nil {
		kind = yamlfile.ResolveAlias(k).Value
	}
	if items := keys["items"]; items != nil && expandLists && strings.HasSuffix(kind, "List") {
		if items = yamlfile.ResolveAlias(items); items.Kind != yaml.SequenceNode {
			f.faults.Add(f.at(items), "items must be a list", "")
			return
		}
		for _, item := range items.Content {
			f.add(all, item, false)
		}
		return
	}
	o := object{file: f, node: n, kind: kind}
	if metadata := keys["metadata"]; metadata != nil {
		fields, _ := f.mapping("metadata", metadata)
		o.name, o.namespace = value(fields["name"]), value(fields["namespace"])
	}
	*all = append(*all, o)
}

// field gives a value inside the object, or nil.
func (o object) field(path ...string) *yaml.Node {
	n := o.node
	for _, key := range path {
		keys, ok := o.file.mapping(key, n)
		if !ok || keys[key] == nil || yamlfile.IsNull(yamlfile.ResolveAlias(keys[key])) {
			return nil
		}
		n = yamlfile.ResolveAlias(keys[key])
	}
	return n
}

// section gives the string values of a mapping in the object: data, or
// annotations, and false where they cannot be read.
func (o object) section(path ...string) (map[string]*yaml.Node, bool) {
	n := o.node
	for _, key := range path {
		keys, ok := o.file.mapping(key, n)
		if !ok {
			return nil, false
		}
		if n = keys[key]; n == nil || yamlfile.IsNull(yamlfile.ResolveAlias(n)) {
			return nil, true
		}
	}
	keys, ok := o.file.mapping(path[len(path)-1], n)
	for key, v := range keys {
		// Kubernetes takes strings alone, and so no true and no 1.
		real := yamlfile.ResolveAlias(v)
		if real.Kind != yaml.ScalarNode && real.Line <= len(o.file.lines) &&
			strings.Contains(o.file.lines[real.Line-1], "{{") {
			o.file.addTemplateFault(o.file.at(v))
			return nil, false
		}
		if real.Kind != yaml.ScalarNode || real.ShortTag() != "!!str" && !yamlfile.IsNull(real) {
			o.file.faults.Add(o.file.at(v), text.Quote(key)+" is no string, which Kubernetes would refuse",
				"put the value in quotes")
			ok = false
		}
	}
	return keys, ok
}

// mapping reads a mapping whose keys stand once each.
func (f *file) mapping(name string, n *yaml.Node) (map[string]*yaml.Node, bool) {
	n = yamlfile.ResolveAlias(n)
	if n.Kind != yaml.MappingNode {
		f.faults.Add(f.at(n), name+" is no mapping of keys to values", "give a file as kubectl get -o yaml writes it")
		return nil, false
	}
	found := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if found[key.Value] != nil {
			f.faults.Add(f.at(key), "the key "+text.Quote(key.Value)+" is written twice", "keep one")
			return nil, false
		}
		found[key.Value] = n.Content[i+1]
	}
	return found, true
}

func (f *file) at(n *yaml.Node) fault.Position { return yamlfile.Position(f.name, n) }

// textLine is one line of a text inside a YAML file.
type textLine struct {
	text     string
	at       fault.Position
	lineHint string // says which line it is, where the place cannot
	folded   bool   // a line of several: > joined them
}

// textLines takes a value apart. In a literal block every line has a place of its
// own; kubectl writes texts with spaces at the end of a line in quotes instead.
func (f *file) textLines(key string, n *yaml.Node) []textLine {
	n = yamlfile.ResolveAlias(n)
	var lines []textLine
	for i, text := range strings.Split(n.Value, "\n") {
		line := textLine{text: text, at: f.at(n), folded: n.Style&yaml.FoldedStyle != 0}
		raw := n.Line + i // of the lines, which count from 0: the text begins below the |
		if n.Style&yaml.LiteralStyle != 0 && raw < len(f.lines) &&
			strings.TrimSpace(f.lines[raw]) == strings.TrimSpace(text) {
			indented := strings.TrimLeft(f.lines[raw], " \t")
			line.at.Line, line.at.Column = raw+1, 1+len(f.lines[raw])-len(indented)
		} else if strings.Contains(n.Value, "\n") {
			line.lineHint = " (line " + strconv.Itoa(i+1) + " of " + key + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

func value(n *yaml.Node) string {
	if n == nil || yamlfile.IsNull(yamlfile.ResolveAlias(n)) {
		return ""
	}
	return yamlfile.ResolveAlias(n).Value
}
