package yamlfile

import (
	"reflect"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// ValueDecoder reads a value into a pointer to a type that it knows, and reports false for
// all others. It is asked before the kind of the type is.
type ValueDecoder func(at Node, into any) bool

// Defaulter is a type with defaults of its own, for the elements of lists.
type Defaulter interface{ SetDefaults() }

// Decode writes what the file holds over the defaults in into, a pointer to a struct. It is
// the strict half of yaml.Node.Decode, which ignores unknown keys, takes 8080 for a
// string, and cannot say where a value is.
func Decode(at Node, into any, values ValueDecoder) {
	decoder{values}.decode(at, reflect.ValueOf(into).Elem())
}

type decoder struct{ values ValueDecoder }

func (d decoder) decode(at Node, into reflect.Value) {
	if !at.IsSet() {
		return
	}
	if at.file.valueCount++; at.file.valueCount == maxValues { // lists stop there
		at.Reject("the file holds more than "+strconv.Itoa(maxValues)+" values", "write fewer, or use fewer anchors")
		return
	}
	if d.values(at, into.Addr().Interface()) {
		return
	}
	if file, ok := into.Addr().Interface().(*FileRef); ok {
		file.decode(at)
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		d.decodeStruct(at, into)
	case reflect.Map:
		d.decodeMap(at, into)
	case reflect.Slice:
		d.decodeList(at, into)
	case reflect.String:
		if s, ok := at.String("a string", "put it in quotes"); ok {
			into.SetString(s)
		}
	case reflect.Bool:
		decodeScalar(at, into, "!!bool", "true or false")
	default: // int and int64 are all that is left
		decodeScalar(at, into, "!!int", "a whole number")
	}
}

func (d decoder) decodeStruct(at Node, into reflect.Value) {
	fields := Fields(into.Type())
	for name, value := range at.Entries() {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })
		if i < 0 {
			at.RejectUnknownKey(value, fieldNames(fields))
			continue
		}
		f := fields[i]
		d.decode(value, into.Field(f.Index))
		if f.IsFile {
			resolveFiles(value, into.Field(f.Index))
		}
	}
}

func (d decoder) decodeMap(at Node, into reflect.Value) {
	into.Set(reflect.MakeMap(into.Type()))
	for name, value := range at.Entries() {
		element := reflect.New(into.Type().Elem()).Elem()
		d.decode(value, element)
		into.SetMapIndex(reflect.ValueOf(name), element)
	}
}

func (d decoder) decodeList(at Node, into reflect.Value) {
	if at.value.Kind != yaml.SequenceNode || at.value.ShortTag() != "!!seq" {
		at.Reject("must be a list, not "+Describe(at.value), "write [...], or one line with - for each")
		return
	}
	n := len(at.value.Content)
	into.Set(reflect.MakeSlice(into.Type(), 0, 0))
	for i := range n {
		if at.file.valueCount >= maxValues {
			return
		}
		item, element := at.Item(i), reflect.New(into.Type().Elem())
		if v, ok := element.Interface().(Defaulter); ok {
			v.SetDefaults()
		}
		if !item.IsSet() {
			item.Reject("is empty", "write a value after the -, or remove the line")
		}
		d.decode(item, element.Elem())
		into.Set(reflect.Append(into, element.Elem()))
	}
}

// decodeScalar leaves numbers and booleans to the library, once their tag is right.
func decodeScalar(at Node, into reflect.Value, tag, expected string) {
	if at.value.Kind != yaml.ScalarNode || at.value.ShortTag() != tag {
		hint := ""
		if at.value.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			hint = "write it without quotes"
		}
		at.Reject("must be "+expected+", not "+Describe(at.value), hint)
		return
	}
	if err := at.value.Decode(into.Addr().Interface()); err != nil {
		at.Reject("must be "+expected+", and one that this machine can hold", "")
	}
}

// String reads a string. Numbers and dates must be in quotes to be one: YAML takes
// 0123 and 1.10 for other numbers than those that were typed.
func (n Node) String(expected, hint string) (string, bool) {
	switch {
	case n.value.Kind == yaml.ScalarNode && n.value.ShortTag() == "!!str":
		return n.value.Value, true
	case n.value.Kind != yaml.ScalarNode:
		hint = ""
	}
	n.Reject("must be "+expected+", not "+Describe(n.value), hint)
	return "", false
}

// Bool reads true or false, and reports whether the value is one of them.
func (n Node) Bool() (value, ok bool) {
	ok = n.value.ShortTag() == "!!bool" && n.value.Decode(&value) == nil
	return value, ok
}

// Field is a key of a section.
type Field struct {
	Name     string
	Index    int
	IsFile   bool // a path, relative to the file that names it
	Required bool // without a default; the check next to the type asks for it
}

// Fields reads the tags of a struct that say what a section looks like in YAML.
func Fields(section reflect.Type) []Field {
	var fields []Field
	for i := range section.NumField() {
		f := section.Field(i)
		if name := f.Tag.Get("yaml"); name != "" {
			fields = append(fields, Field{name, i, f.Tag.Get("is") == "file", f.Tag.Get("is") == "required"})
		}
	}
	return fields
}

func fieldNames(fields []Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}
