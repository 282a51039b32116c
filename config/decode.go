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
)

// decode writes what the file holds over the defaults in into. It is the strict
// half of what yaml.Node.Decode does: that one stops at unknown keys without a
// word, takes 8080 for a string, and cannot say where a value stood.
func decode(at place, into reflect.Value) {
	if !at.written() {
		return
	}
	if at.report.values++; at.report.values == maxValues { // lists stop there
		at.refuse("the file holds more than "+strconv.Itoa(maxValues)+" values", "write fewer, or use fewer anchors")
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
		if s, ok := at.text("a string", "put it in quotes"); ok {
			into.SetString(s)
		}
	case reflect.Bool:
		decodePlain(at, into, "!!bool", "true or false")
	default: // int and int64 are all that is left in the tree
		decodePlain(at, into, "!!int", "a whole number")
	}
}

// decodeLeaf knows the types that read themselves from one word.
func decodeLeaf(at place, into reflect.Value) bool {
	switch v := into.Addr().Interface().(type) {
	case *Secret:
		*v = readSecret(at)
	case *Duration:
		parseInto(at, v, "a duration such as 15m", "write a number with a unit, such as 30s", parseDuration)
	case *netip.Prefix:
		parseInto(at, v, `a CIDR such as "10.0.0.0/16"`, "", parseProxy)
	case **url.URL:
		parseInto(at, v, "a URL", "", parseUpstreamURL)
	case *Template:
		parseInto(at, v, `a group such as "ci:{repository}"`, "put it in quotes", parseTemplate)
	case *HeaderTemplate:
		parseInto(at, v, `a value such as "{email}"`, "put it in quotes", parseHeaderTemplate)
	case *IdentityHeaders:
		decodeIdentityHeaders(at, v)
	case choice:
		if s, ok := at.text("one of "+list(v.words()), ""); ok {
			decodeChoice(at, into, s, v.words())
		}
	default:
		return false
	}
	return true
}

// choice is a string type of which only some words are known.
type choice interface{ words() []string }

func decodeChoice(at place, into reflect.Value, s string, words []string) {
	if slices.Contains(words, s) {
		into.SetString(s)
		return
	}
	mend := fault.DidYouMean(s, words)
	if mend == "" {
		mend = "write " + list(words)
	}
	at.refuse(quote(s)+" is not known", mend)
}

func parseInto[T any](at place, into *T, wanted, mend string, parse func(string) (T, complaint)) {
	s, ok := at.text(wanted, mend)
	if !ok {
		return
	}
	parsed, c := parse(s)
	if c.what != "" {
		at.refuse(c.what, c.mend)
		return
	}
	*into = parsed
}

func decodeStruct(at place, into reflect.Value) {
	fields := fieldsOf(into.Type())
	for name, value := range at.pairs() {
		f, known := fields.byName(name)
		if !known {
			at.unknown(value.above, fields.names())
			continue
		}
		decode(value, into.Field(f.index))
		if f.isFile {
			resolveFiles(value, into.Field(f.index))
		}
	}
}

// unknown refuses a key that the tree does not have. The key that was meant
// counts as written, or it would be reported as missing too.
func (p place) unknown(key *yaml.Node, known []string) {
	mend := "known here: " + strings.Join(known, ", ")
	if meant, ok := fault.Nearest(key.Value, known); ok {
		mend = fault.DidYouMean(key.Value, known)
		if m := p.key(meant); !m.written() {
			p.report.broken[m.path] = true
		}
	}
	p.at = key
	p.fault("unknown key "+p.word(key.Value, known...), mend)
}

func decodeMap(at place, into reflect.Value) {
	into.Set(reflect.MakeMap(into.Type()))
	for name, value := range at.pairs() {
		element := reflect.New(into.Type().Elem()).Elem()
		decode(value, element)
		into.SetMapIndex(reflect.ValueOf(name), element)
	}
}

func decodeList(at place, into reflect.Value) {
	if at.value.Kind != yaml.SequenceNode || at.value.ShortTag() != "!!seq" {
		at.refuse("must be a list, not "+describe(at.value), "write [...], or one line with - for each")
		return
	}
	n := len(at.value.Content)
	into.Set(reflect.MakeSlice(into.Type(), 0, 0))
	for i := range n {
		if at.report.values >= maxValues {
			return
		}
		item, element := at.item(i), reflect.New(into.Type().Elem()).Elem()
		switch d := element.Addr().Interface().(type) {
		case *Upstream:
			*d = defaultUpstream()
		case *Bearer:
			*d = defaultBearer()
		}
		if !item.written() {
			item.refuse("is empty", "write a value behind the -, or remove the line")
		}
		decode(item, element)
		into.Set(reflect.Append(into, element))
	}
}

// decodePlain leaves numbers and truth to the library, once their tag is right.
func decodePlain(at place, into reflect.Value, tag, wanted string) {
	if at.value.Kind != yaml.ScalarNode || at.value.ShortTag() != tag {
		mend := ""
		if at.value.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			mend = "write it without quotes"
		}
		at.refuse("must be "+wanted+", not "+describe(at.value), mend)
		return
	}
	if err := at.value.Decode(into.Addr().Interface()); err != nil {
		at.refuse("must be "+wanted+", and one that this machine can hold", "")
	}
}

// text gives a string. Numbers and dates have to be in quotes to be one: YAML
// takes 0123 and 1.10 for other numbers than those that were typed.
func (p place) text(wanted, mend string) (string, bool) {
	switch {
	case p.value.Kind == yaml.ScalarNode && p.value.ShortTag() == "!!str":
		return p.value.Value, true
	case p.value.Kind != yaml.ScalarNode:
		mend = ""
	}
	p.refuse("must be "+wanted+", not "+describe(p.value), mend)
	return "", false
}

func resolveFiles(at place, v reflect.Value) {
	if v.Kind() == reflect.String {
		if notPath(v.String()) {
			at.refusePath(v.String())
		}
		v.SetString(at.report.resolve(v.String()))
		return
	}
	for i := range v.Len() {
		resolveFiles(at.item(i), v.Index(i))
	}
}
