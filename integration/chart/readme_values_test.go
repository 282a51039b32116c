package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// value is a line of the README's table.
type value struct{ key, standard, description string }

// valuesIn walks values.yaml. A map is one value if no key in it has a comment.
func valuesIn(prefix string, node *yaml.Node) (values []value) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, content := node.Content[i], node.Content[i+1]
		name := prefix + key.Value
		if content.Kind == yaml.MappingNode && hasComments(content) {
			if text := describe(key); text != "" {
				values = append(values, value{name, "", text})
			}
			values = append(values, valuesIn(name+".", content)...)
			continue
		}
		values = append(values, value{name, standardOf(content), describe(key)})
	}
	return values
}

func hasComments(node *yaml.Node) bool {
	return slices.ContainsFunc(node.Content, func(n *yaml.Node) bool { return n.HeadComment != "" || hasComments(n) })
}

// describe takes the first paragraph of the comment above a key.
func describe(key *yaml.Node) string {
	var words []string
	for line := range strings.Lines(key.HeadComment) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "#"))
		if line == "" {
			break
		}
		words = append(words, line)
	}
	return strings.Join(words, " ")
}

func standardOf(node *yaml.Node) string {
	flow := *node
	flow.Style = yaml.FlowStyle
	text, err := yaml.Marshal(&flow)
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

func TestReadmeListsTheValues(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("\n| value | default | description |\n|---|---|---|\n")
	for _, v := range valuesIn("", document.Content[0]) {
		if v.description == "" && !strings.Contains(v.key, "Probe.") {
			t.Errorf("values.yaml does not say what %s is", v.key)
		}
		standard := v.standard
		if standard != "" {
			standard = "`" + strings.ReplaceAll(standard, "|", `\|`) + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", v.key, standard, strings.ReplaceAll(v.description, "|", `\|`))
	}

	file := filepath.Join(chartDir, "README.md")
	readme, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- values -->\n", "<!-- end of values -->"
	before, rest, found := strings.Cut(string(readme), begin)
	shown, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no %q and %q", file, begin, end)
	}
	if shown == table.String()+"\n" {
		return
	}
	if !*update {
		t.Fatalf("%s differs (go test ./chart -update):\n%s", file, firstDifference(table.String()+"\n", shown))
	}
	if err := os.WriteFile(file, []byte(before+begin+table.String()+"\n"+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The schema has a property for every value, and no other.
func TestSchemaAndValuesHaveTheSameKeys(t *testing.T) {
	t.Parallel()
	var schema map[string]any
	var values map[string]any
	for name, into := range map[string]*map[string]any{"values.schema.json": &schema, "values.yaml": &values} {
		text, err := os.ReadFile(filepath.Join(chartDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := sigsyaml.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	definitions := schema["definitions"].(map[string]any)
	var compare func(at string, schema, values map[string]any)
	compare = func(at string, schema, values map[string]any) {
		if reference, ok := schema["$ref"].(string); ok {
			schema = definitions[filepath.Base(reference)].(map[string]any)
		}
		properties, _ := schema["properties"].(map[string]any)
		if properties == nil || schema["additionalProperties"] != false {
			return // free within
		}
		for name := range properties {
			if _, ok := values[name]; !ok && at+name != "global" {
				t.Errorf("the schema has %s%s, values.yaml does not", at, name)
			}
		}
		for name, v := range values {
			property, ok := properties[name].(map[string]any)
			if !ok {
				t.Errorf("values.yaml has %s%s, the schema does not", at, name)
				continue
			}
			if inner, ok := v.(map[string]any); ok && len(inner) > 0 && name != "config" {
				compare(at+name+".", property, inner)
			}
		}
	}
	compare("", schema, values)
}
