// Package yamlfile reads YAML that a user wrote, strictly: unknown and repeated keys, wrong
// types and broken syntax are faults, each with its line, its column and a hint. All
// faults of a file are reported at once. It knows no file of authgate: [Decode] fills any
// struct, and asks the caller for types that have a syntax of their own.
package yamlfile

import (
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
)

// File gathers what is wrong with one file.
type File struct {
	name       string // as faults name it
	dir        string // what relative paths in the file are relative to
	faults     fault.List
	invalid    map[string]bool // paths that have no value, because the one written was refused
	valueCount int             // how many values were read so far; anchors count each time they are used
}

// NewFile prepares for a file. Relative paths in it are relative to its folder.
func NewFile(name string) *File {
	return &File{name: name, dir: filepath.Dir(name), invalid: make(map[string]bool)}
}

// AddFault notes what is wrong with the file as a whole.
func (f *File) AddFault(message, hint string) {
	f.faults.Add(fault.Position{File: f.name}, message, hint)
}

// Err is every fault of the file as [fault.Faults], or nil.
func (f *File) Err() error { return f.faults.Err() }

// maxValues bounds what a small file may grow into through its anchors.
const maxValues = 50_000

// Node is one key of the tree: its path, and its position in the file. A key that is not
// written has the position of the nearest key above it. Paths go into every fault, because
// operators often do not edit the file that authgate reads: Helm writes it, with other
// line numbers.
type Node struct {
	file        *File
	Path        string     // upstreams[1].url
	value       *yaml.Node // nil where nothing is written; never an alias
	faultNode   *yaml.Node // the position of a fault of the value; nil: the file as a whole
	keyNode     *yaml.Node // the position of a fault of a missing key below
	mayBeSecret bool       // a secret may be written here as a key: no fault repeats one
}

// IsSet reports whether the file holds a value here. A key without a value, or with
// null, counts as not written.
func (n Node) IsSet() bool { return n.value != nil }

// IsMapping reports whether the value is a mapping of keys to values.
func (n Node) IsMapping() bool { return n.value != nil && n.value.Kind == yaml.MappingNode }

// HideKeys is the same node, of whose keys no fault repeats one: it may be a secret.
func (n Node) HideKeys() Node {
	n.mayBeSecret = true
	return n
}

// Key goes one step down into a mapping.
func (n Node) Key(name string) Node {
	child := Node{file: n.file, Path: n.Path + "." + name, faultNode: n.keyNode, keyNode: n.keyNode}
	if n.Path == "" {
		child.Path = name
	}
	if n.value == nil || n.value.Kind != yaml.MappingNode {
		return child
	}
	for i := 0; i+1 < len(n.value.Content); i += 2 {
		if k := n.value.Content[i]; k.Kind == yaml.ScalarNode && k.Value == name {
			return child.withValue(k, n.value.Content[i+1])
		}
	}
	return child
}

// Item goes one step down into a list.
func (n Node) Item(i int) Node {
	child := Node{file: n.file, Path: n.Path + "[" + strconv.Itoa(i) + "]", faultNode: n.keyNode, keyNode: n.keyNode}
	if n.value == nil || n.value.Kind != yaml.SequenceNode || i >= len(n.value.Content) {
		return child
	}
	return child.withValue(n.value.Content[i], n.value.Content[i])
}

func (n Node) withValue(keyNode, value *yaml.Node) Node {
	n.faultNode, n.keyNode, n.value = value, keyNode, ResolveAlias(value)
	if IsNull(n.value) {
		n.faultNode, n.value = keyNode, nil
	}
	return n
}

// AddFault notes what is wrong with the value, unless it is known to be invalid already:
// a value that could not be read is not also missing.
func (n Node) AddFault(message, hint string) {
	for path := n.Path; ; path = parentPath(path) {
		if n.file.invalid[path] {
			return
		}
		if path == "" {
			break
		}
	}
	if n.Path != "" {
		message = n.Path + ": " + message
	}
	n.file.faults.Add(Position(n.file.name, n.faultNode), message, hint)
}

// Reject is AddFault for a value that could not be read at all.
func (n Node) Reject(message, hint string) {
	n.AddFault(message, hint)
	n.Invalidate()
}

// Invalidate suppresses further faults of the value: it has none that can be checked.
func (n Node) Invalidate() { n.file.invalid[n.Path] = true }

func parentPath(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
