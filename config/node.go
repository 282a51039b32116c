package config

import (
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
)

// loader gathers what is wrong with one file.
type loader struct {
	file       string // as faults name it
	dir        string // what relative paths in the file are relative to
	faults     fault.List
	invalid    map[string]bool // paths that have no value, because the one written was refused
	valueCount int             // how many values were read so far; anchors count each time they are used
}

// maxValues bounds what a small file may grow into through its anchors.
const maxValues = 50_000

// node is one key of the tree: its path in words, and where in the file it
// stands. A place that is not written points at the nearest key above it that
// is. Paths go into every fault, because what a person edits is often not the
// file that authgate reads: Helm writes that, and its lines are other lines.
type node struct {
	loader      *loader
	path        string     // upstreams[1].url
	value       *yaml.Node // nil where nothing is written; never an alias
	faultNode   *yaml.Node // where a fault of the value points; nil: at the file as a whole
	keyNode     *yaml.Node // where a fault of something missing beneath points
	mayBeSecret bool       // a secret may be written here as a key: no fault repeats one
}

// isSet reports whether the file holds a value here. A key with nothing behind
// it, or null, counts as not written.
func (p node) isSet() bool { return p.value != nil }

// key goes one step down into a mapping.
func (p node) key(name string) node {
	child := node{loader: p.loader, path: p.path + "." + name, faultNode: p.keyNode, keyNode: p.keyNode}
	if p.path == "" {
		child.path = name
	}
	if p.value == nil || p.value.Kind != yaml.MappingNode {
		return child
	}
	for i := 0; i+1 < len(p.value.Content); i += 2 {
		if k := p.value.Content[i]; k.Kind == yaml.ScalarNode && k.Value == name {
			return child.child(k, p.value.Content[i+1])
		}
	}
	return child
}

// item goes one step down into a list.
func (p node) item(i int) node {
	child := node{loader: p.loader, path: p.path + "[" + strconv.Itoa(i) + "]", faultNode: p.keyNode, keyNode: p.keyNode}
	if p.value == nil || p.value.Kind != yaml.SequenceNode || i >= len(p.value.Content) {
		return child
	}
	return child.child(p.value.Content[i], p.value.Content[i])
}

func (p node) child(keyNode, value *yaml.Node) node {
	p.faultNode, p.keyNode, p.value = value, keyNode, value
	if value.Kind == yaml.AliasNode {
		p.value = value.Alias
	}
	if p.value.Kind == yaml.ScalarNode && p.value.ShortTag() == "!!null" {
		p.faultNode, p.value = keyNode, nil
	}
	return p
}

// addFault notes what is wrong with the value here, unless it is already known to
// be broken: a value that could not be read is not also missing.
func (p node) addFault(message, hint string) {
	for path := p.path; ; path = parentPath(path) {
		if p.loader.invalid[path] {
			return
		}
		if path == "" {
			break
		}
	}
	if p.path != "" {
		message = p.path + ": " + message
	}
	p.loader.faults.Add(p.loader.position(p.faultNode), message, hint)
}

// reject is fault for a value that could not be read at all.
func (p node) reject(message, hint string) {
	p.addFault(message, hint)
	p.loader.invalid[p.path] = true
}

// problem is a fault that has yet to learn its place. The zero one is none.
type problem struct{ message, hint string }

func (p node) addProblem(c problem) {
	if c.message != "" {
		p.addFault(c.message, c.hint)
	}
}

func (r *loader) position(at *yaml.Node) fault.Position {
	if at == nil {
		return fault.Position{File: r.file}
	}
	return fault.Position{File: r.file, Line: at.Line, Column: at.Column}
}

// resolvePath makes a path of the file one that can be opened.
func (r *loader) resolvePath(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.dir, path)
}

func parentPath(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
