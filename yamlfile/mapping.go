package yamlfile

import (
	"iter"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
)

// Entries walks a mapping. It refuses keys that are not words, keys that are written
// twice, and merge keys.
func (n Node) Entries() iter.Seq2[string, Node] {
	return func(yield func(string, Node) bool) {
		if n.value.Kind != yaml.MappingNode || n.value.ShortTag() != "!!map" {
			n.Reject("must be a mapping of keys to values, not "+Describe(n.value), "")
			return
		}
		first := make(map[string]*yaml.Node)
		for i := 0; i+1 < len(n.value.Content); i += 2 {
			key := n.value.Content[i]
			here := n
			here.faultNode = key
			switch {
			case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
				here.AddFault("the merge key << is not understood",
					"write the keys out, or use an alias for the whole value (identity: *same)")
				continue
			case !isStringKey(key):
				here.AddFault("a key must be a plain word, not "+Describe(key), "")
				continue
			case first[key.Value] != nil:
				here.AddFault("the key "+n.quoteKey(key.Value)+" is written twice",
					"line "+strconv.Itoa(first[key.Value].Line)+" has it already; keep one")
				continue
			}
			first[key.Value] = key
			if !yield(key.Value, n.Key(key.Value)) {
				return
			}
		}
	}
}

func isStringKey(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!str"
}

// Describe says what was found where something else was expected. It never repeats the
// value, which may be a secret in the wrong place.
func Describe(n *yaml.Node) string {
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
	default: // a word after ! is the value itself, more often than not
		return "a value with a tag of its own"
	}
}

// RejectUnknownKey refuses a key that the tree does not have. The key that was meant
// counts as written, or it would be reported as missing too.
func (n Node) RejectUnknownKey(entry Node, known []string) {
	key := entry.keyNode
	hint := "known here: " + strings.Join(known, ", ")
	if closest, ok := fault.Nearest(key.Value, known); ok {
		hint = fault.DidYouMean(key.Value, known)
		if m := n.Key(closest); !m.IsSet() {
			m.Invalidate()
		}
	}
	n.faultNode = key
	n.AddFault("unknown key "+n.quoteKey(key.Value, known...), hint)
}

// Comment gives the comments above the key and after its value, as one line.
func (n Node) Comment() string {
	var words []string
	for _, at := range []*yaml.Node{n.keyNode, n.value} {
		if at == nil || !n.IsSet() {
			continue
		}
		for _, c := range []string{at.HeadComment, at.LineComment} {
			for line := range strings.Lines(c) {
				words = append(words, strings.Fields(strings.TrimLeft(line, "# "))...)
			}
		}
	}
	return strings.Join(words, " ")
}

// quoteKey repeats a key, unless it may be a secret in the wrong place. A misspelled key
// is not one.
func (n Node) quoteKey(key string, known ...string) string {
	if _, misspelled := fault.Nearest(key, known); n.mayBeSecret && !misspelled {
		return "(" + text.DescribeLength(key) + ", not shown)"
	}
	return text.Quote(key)
}
