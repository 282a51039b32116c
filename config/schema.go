package config

import (
	_ "embed"
	"encoding/json"
	"net/netip"
	"net/url"
	"reflect"

	"github.com/example-org/authgate/yamlfile"
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
	f := yamlfile.NewFile("reference.yaml")
	annotated, ok := f.Parse(reference, "")
	if !ok {
		return nil, f.Err()
	}
	root := describeStruct(reflect.ValueOf(Default()), annotated)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "authgate.yaml"
	return json.MarshalIndent(root, "", "  ")
}

// describeValue describes one key.
func describeValue(v reflect.Value, at yamlfile.Node) schema {
	switch v.Interface().(type) {
	case Secret:
		source := schema{"type": []string{"string", "null"}}
		return schema{"anyOf": []schema{
			{"type": "string"},
			{"type": "object", "additionalProperties": false, "properties": schema{"file": source, "env": source}},
		}}
	case Duration:
		return withDefault(schema{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}, v)
	case netip.Prefix, *url.URL, GroupTemplate, HeaderTemplate, URLTemplate, yamlfile.FileRef:
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
		item := reflect.New(v.Type().Elem())
		if d, ok := item.Interface().(yamlfile.Defaulter); ok {
			d.SetDefaults()
		}
		return withDefault(schema{"type": "array", "items": describeValue(item.Elem(), at.Item(0))}, v)
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

func describeStruct(v reflect.Value, at yamlfile.Node) schema {
	properties, required := schema{}, []string{}
	for _, f := range yamlfile.Fields(v.Type()) {
		below := at.Key(f.Name)
		property := describeValue(v.Field(f.Index), below)
		if about := below.Comment(); about != "" {
			property["description"] = about
		}
		properties[f.Name] = property
		if f.Required {
			required = append(required, f.Name)
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
