package config

import (
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
)

// entries walks a mapping, and refuses what strict YAML leaves open: keys that are
// not words, keys written twice, merge keys.
func (p node) entries() iter.Seq2[string, node] {
	return func(yield func(string, node) bool) {
		if p.value.Kind != yaml.MappingNode || p.value.ShortTag() != "!!map" {
			p.reject("must be a mapping of keys to values, not "+describeNode(p.value), "")
			return
		}
		first := make(map[string]*yaml.Node)
		for i := 0; i+1 < len(p.value.Content); i += 2 {
			key := p.value.Content[i]
			here := p
			here.faultNode = key
			switch {
			case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
				here.addFault("the merge key << is not understood",
					"write the keys out, or use an alias for the whole value (identity: *same)")
				continue
			case !isStringKey(key):
				here.addFault("a key must be a plain word, not "+describeNode(key), "")
				continue
			case first[key.Value] != nil:
				here.addFault("the key "+p.quoteKey(key.Value)+" is written twice",
					"line "+strconv.Itoa(first[key.Value].Line)+" has it already; keep one")
				continue
			}
			first[key.Value] = key
			if !yield(key.Value, p.key(key.Value)) {
				return
			}
		}
	}
}

func isStringKey(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!str"
}

// describeNode says what was found where something else was wanted. It never repeats
// the value: that may be a secret in the wrong place.
func describeNode(n *yaml.Node) string {
	switch tag := n.ShortTag(); {
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case n.Kind == yaml.MappingNode && tag == "!!map":
		return "a mapping"
	case n.Kind == yaml.SequenceNode && tag == "!!seq":
		return "a list"
	case tag == "!!str":
		return "a string"
	case tag == "!!int":
		return "a number"
	case tag == "!!float":
		return "a fraction or a very large number"
	case tag == "!!bool":
		return "true or false"
	case tag == "!!timestamp":
		return "a date"
	case tag == "!!null":
		return "nothing"
	case tag == "!!merge":
		return "<<"
	case strings.HasPrefix(tag, "!!"):
		return "a value with the tag " + text.Quote(tag)
	default: // a word behind ! is the value itself, more often than not
		return "a value with a tag of its own"
	}
}

// quoteKey repeats a key, unless that may be a secret in the wrong place. A slip of the
// pen in a key that is known is none.
func (p node) quoteKey(key string, known ...string) string {
	if _, slip := fault.Nearest(key, known); p.mayBeSecret && !slip {
		return "(" + text.DescribeLength(key) + ", not shown)"
	}
	return text.Quote(key)
}

// field is a key of a section.
type field struct {
	name     string
	index    int
	isFile   bool // a path, relative to the file that names it
	required bool // without a default; the check beside the type asks for it
}

type fields []field

// fieldsOf reads the tags that say what the tree looks like in YAML.
func fieldsOf(section reflect.Type) fields {
	var fs fields
	for i := range section.NumField() {
		f := section.Field(i)
		if name := f.Tag.Get("yaml"); name != "" {
			fs = append(fs, field{name, i, f.Tag.Get("is") == "file", f.Tag.Get("is") == "required"})
		}
	}
	return fs
}

func (fs fields) byName(name string) (field, bool) {
	i := slices.IndexFunc(fs, func(f field) bool { return f.name == name })
	if i < 0 {
		return field{}, false
	}
	return fs[i], true
}

func (fs fields) names() []string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.name
	}
	return names
}
