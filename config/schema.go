package config

import (
	_ "embed"
	"encoding/json"
	"net/netip"
	"net/url"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reference is the annotated file of docs/configuration.md: every key that this
// version acts on, with its default or an example, and a comment that says what
// it does. The schema takes its descriptions from here.
//
//go:embed reference.yaml
var reference []byte

type schema map[string]any

// Schema is the tree as JSON Schema (draft 2020-12), for editors and for Helm's
// values.schema.json. It knows keys, types, words and defaults; what one value
// says about another only [Load] checks.
func Schema() ([]byte, error) {
	var annotated yaml.Node
	if err := yaml.Unmarshal(reference, &annotated); err != nil {
		return nil, err
	}
	defaults := Default()
	at := node{loader: &loader{}, value: annotated.Content[0]}
	root := describeStruct(reflect.ValueOf(defaults), at)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "authgate.yaml"
	return json.MarshalIndent(root, "", "  ")
}

// describeValue describes one key.
func describeValue(v reflect.Value, at node) schema {
	switch v.Interface().(type) {
	case Secret:
		source := schema{"type": []string{"string", "null"}}
		return schema{"anyOf": []schema{
			{"type": "string"},
			{"type": "object", "additionalProperties": false, "properties": schema{"file": source, "env": source}},
		}}
	case Duration:
		return withDefault(schema{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}, v)
	case netip.Prefix, *url.URL, GroupTemplate, HeaderTemplate:
		return schema{"type": "string"}
	case IdentityHeaders:
		return schema{"enum": []any{true, false, HeadersForwarded, HeadersAuthRequest}, "default": true}
	case enum:
		return withDefault(schema{"enum": v.Interface().(enum).values()}, v)
	}
	switch v.Kind() {
	case reflect.Struct:
		return describeStruct(v, at)
	case reflect.Slice:
		item := reflect.New(v.Type().Elem()).Elem()
		switch item.Interface().(type) {
		case Upstream:
			item.Set(reflect.ValueOf(defaultUpstream()))
		case Bearer:
			item.Set(reflect.ValueOf(defaultBearer()))
		}
		return withDefault(schema{"type": "array", "items": describeValue(item, at.item(0))}, v)
	case reflect.Map:
		return schema{
			"type":                 "object",
			"additionalProperties": describeValue(reflect.New(v.Type().Elem()).Elem(), at),
		}
	case reflect.Bool:
		return withDefault(schema{"type": "boolean"}, v)
	case reflect.String:
		return withDefault(schema{"type": "string"}, v)
	default:
		return withDefault(schema{"type": "integer", "minimum": 0}, v)
	}
}

func describeStruct(v reflect.Value, at node) schema {
	properties, required := schema{}, []string{}
	for _, f := range fieldsOf(v.Type()) {
		below := at.key(f.name)
		property := describeValue(v.Field(f.index), below)
		if about := descriptionOf(below); about != "" {
			property["description"] = about
		}
		properties[f.name] = property
		if f.required {
			required = append(required, f.name)
		}
	}
	s := schema{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// withDefault adds the default where there is more to it than emptiness.
func withDefault(s schema, v reflect.Value) schema {
	if v.Interface() != inheritTimeout && !v.IsZero() && (v.Kind() != reflect.Slice || v.Len() > 0) {
		s["default"] = v.Interface()
	}
	return s
}

// descriptionOf gives what stands above a key or behind its value, as one sentence.
func descriptionOf(at node) string {
	var words []string
	for _, n := range []*yaml.Node{at.keyNode, at.value} {
		if n == nil || !at.isSet() {
			continue
		}
		for _, c := range []string{n.HeadComment, n.LineComment} {
			for line := range strings.Lines(c) {
				words = append(words, strings.Fields(strings.TrimLeft(line, "# "))...)
			}
		}
	}
	return strings.Join(words, " ")
}
