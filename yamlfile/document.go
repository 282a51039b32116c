package yamlfile

import (
	"bytes"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
)

// Parse reads the one document that the file must be.
func (f *File) Parse(data []byte, emptyHint string) (Node, bool) {
	document, ok := ParseDocument(f.name, data, emptyHint, &f.faults)
	return Node{file: f, value: document}, ok
}

// ParseDocument reads a file that must be one document. What is wrong is added to faults.
func ParseDocument(name string, data []byte, emptyHint string, faults *fault.List) (*yaml.Node, bool) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) || err == nil && isEmptyDocument(&document) {
		faults.Add(fault.Position{File: name}, "the file is empty", emptyHint)
		return nil, false
	}
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			faults.Add(Position(name, &second), "a second document begins here",
				"keep one document, and remove the ---")
			return nil, false
		}
	}
	if !errors.Is(err, io.EOF) {
		f := SyntaxFault(name, data, err)
		faults.Add(f.Position, f.Message, f.Hint)
		return nil, false
	}
	return document.Content[0], true
}

func isEmptyDocument(document *yaml.Node) bool {
	return len(document.Content) == 0 || IsNull(document.Content[0])
}

// IsNull reports whether a value is null, or not written.
func IsNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// ResolveAlias follows an alias. Aliases refer to values, never to other aliases.
func ResolveAlias(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// Position is where a value begins.
func Position(name string, n *yaml.Node) fault.Position {
	if n == nil {
		return fault.Position{File: name}
	}
	return fault.Position{File: name, Line: n.Line, Column: n.Column}
}
