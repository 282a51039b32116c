package config

import (
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/fault"
	"github.com/example-org/authgate/text"
)

// decode writes what the file holds over the defaults in into. It is the strict
// half of what yaml.Node.Decode does: that one stops at unknown keys without a
// word, takes 8080 for a string, and cannot say where a value stood.
func decode(at node, into reflect.Value) {
	if !at.isSet() {
		return
	}
	if at.loader.valueCount++; at.loader.valueCount == maxValues { // lists stop there
		at.reject("the file holds more than "+strconv.Itoa(maxValues)+" values", "write fewer, or use fewer anchors")
		return
	}
	if decodeLeaf(at, into) {
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		decodeStruct(at, into)
	case reflect.Map:
		decodeMap(at, into)
	case reflect.Slice:
		decodeList(at, into)
	case reflect.String:
		if s, ok := at.decodeString("a string", "put it in quotes"); ok {
			into.SetString(s)
		}
	case reflect.Bool:
		decodeScalar(at, into, "!!bool", "true or false")
	default: // int and int64 are all that is left in the tree
		decodeScalar(at, into, "!!int", "a whole number")
	}
}

// decodeLeaf knows the types that read themselves from one word.
func decodeLeaf(at node, into reflect.Value) bool {
	switch v := into.Addr().Interface().(type) {
	case *Secret:
		*v = decodeSecret(at)
	case *Duration:
		parseInto(at, v, "a duration such as 15m", "write a number with a unit, such as 30s", parseDuration)
	case *netip.Prefix:
		parseInto(at, v, `a CIDR such as "10.0.0.0/16"`, "", parseTrustedProxy)
	case **url.URL:
		parseInto(at, v, "a URL", "", parseUpstreamURL)
	case *GroupTemplate:
		parseInto(at, v, `a group such as "ci:{repository}"`, "put it in quotes", parseGroupTemplate)
	case *HeaderTemplate:
		parseInto(at, v, `a value such as "{email}"`, "put it in quotes", parseHeaderTemplate)
	case *IdentityHeaders:
		decodeIdentityHeaders(at, v)
	case enum:
		if s, ok := at.decodeString("one of "+text.JoinOr(v.values()), ""); ok {
			decodeEnum(at, into, s, v.values())
		}
	default:
		return false
	}
	return true
}

// enum is a string type of which only some words are known.
type enum interface{ values() []string }

func decodeEnum(at node, into reflect.Value, s string, values []string) {
	if slices.Contains(values, s) {
		into.SetString(s)
		return
	}
	hint := fault.DidYouMean(s, values)
	if hint == "" {
		hint = "write " + text.JoinOr(values)
	}
	at.reject(text.Quote(s)+" is not known", hint)
}

func parseInto[T any](at node, into *T, expected, hint string, parse func(string) (T, problem)) {
	s, ok := at.decodeString(expected, hint)
	if !ok {
		return
	}
	parsed, c := parse(s)
	if c.message != "" {
		at.reject(c.message, c.hint)
		return
	}
	*into = parsed
}

func decodeStruct(at node, into reflect.Value) {
	fields := fieldsOf(into.Type())
	for name, value := range at.entries() {
		f, known := fields.byName(name)
		if !known {
			at.rejectUnknownKey(value.keyNode, fields.names())
			continue
		}
		decode(value, into.Field(f.index))
		if f.isFile {
			resolveFiles(value, into.Field(f.index))
		}
	}
}

// rejectUnknownKey refuses a key that the tree does not have. The key that was meant
// counts as written, or it would be reported as missing too.
func (p node) rejectUnknownKey(key *yaml.Node, known []string) {
	hint := "known here: " + strings.Join(known, ", ")
	if closest, ok := fault.Nearest(key.Value, known); ok {
		hint = fault.DidYouMean(key.Value, known)
		if m := p.key(closest); !m.isSet() {
			p.loader.invalid[m.path] = true
		}
	}
	p.faultNode = key
	p.addFault("unknown key "+p.quoteKey(key.Value, known...), hint)
}

func decodeMap(at node, into reflect.Value) {
	into.Set(reflect.MakeMap(into.Type()))
	for name, value := range at.entries() {
		element := reflect.New(into.Type().Elem()).Elem()
		decode(value, element)
		into.SetMapIndex(reflect.ValueOf(name), element)
	}
}

func decodeList(at node, into reflect.Value) {
	if at.value.Kind != yaml.SequenceNode || at.value.ShortTag() != "!!seq" {
		at.reject("must be a list, not "+describeNode(at.value), "write [...], or one line with - for each")
		return
	}
	n := len(at.value.Content)
	into.Set(reflect.MakeSlice(into.Type(), 0, 0))
	for i := range n {
		if at.loader.valueCount >= maxValues {
			return
		}
		item, element := at.item(i), reflect.New(into.Type().Elem()).Elem()
		switch d := element.Addr().Interface().(type) {
		case *Upstream:
			*d = defaultUpstream()
		case *Bearer:
			*d = defaultBearer()
		}
		if !item.isSet() {
			item.reject("is empty", "write a value behind the -, or remove the line")
		}
		decode(item, element)
		into.Set(reflect.Append(into, element))
	}
}

// decodeScalar leaves numbers and truth to the library, once their tag is right.
func decodeScalar(at node, into reflect.Value, tag, expected string) {
	if at.value.Kind != yaml.ScalarNode || at.value.ShortTag() != tag {
		hint := ""
		if at.value.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			hint = "write it without quotes"
		}
		at.reject("must be "+expected+", not "+describeNode(at.value), hint)
		return
	}
	if err := at.value.Decode(into.Addr().Interface()); err != nil {
		at.reject("must be "+expected+", and one that this machine can hold", "")
	}
}

// decodeString gives a string. Numbers and dates have to be in quotes to be one: YAML
// takes 0123 and 1.10 for other numbers than those that were typed.
func (p node) decodeString(expected, hint string) (string, bool) {
	switch {
	case p.value.Kind == yaml.ScalarNode && p.value.ShortTag() == "!!str":
		return p.value.Value, true
	case p.value.Kind != yaml.ScalarNode:
		hint = ""
	}
	p.reject("must be "+expected+", not "+describeNode(p.value), hint)
	return "", false
}

func resolveFiles(at node, v reflect.Value) {
	if v.Kind() == reflect.String {
		if cannotBePath(v.String()) {
			at.rejectPath(v.String())
		}
		v.SetString(at.loader.resolvePath(v.String()))
		return
	}
	for i := range v.Len() {
		resolveFiles(at.item(i), v.Index(i))
	}
}
