package page_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/example-org/authgate/proxy/respond/page"
)

var templateRow = regexp.MustCompile("(?m)^\\| `([a-z]+\\.(?:html|css))` \\|[^|]*\\|([^|]*)\\|$")

// Operators write templates by the list of fields in docs/pages.md.
func TestTheFieldsOfEachTemplateAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/pages.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string][]string)
	for _, row := range templateRow.FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = strings.Fields(strings.ReplaceAll(row[2], "`", ""))
	}
	for _, name := range page.Names() {
		if _, ok := documented[name]; !ok {
			t.Errorf("%s is not documented", name)
		}
	}
	for _, p := range page.Samples() {
		fields := exported(reflect.TypeOf(p))
		got := slices.Sorted(slices.Values(documented[p.Template()]))
		if !slices.Equal(got, fields) {
			t.Errorf("%s: docs/pages.md has %q, want %q", p.Template(), got, fields)
		}
	}
}

// exported are the fields and methods without arguments that a template can use, but for those
// of every page.
func exported(of reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(of) {
		if f.IsExported() && !f.Anonymous && !slices.Contains([]string{"ID", "Portal"}, f.Name) {
			names = append(names, f.Name)
		}
	}
	if _, ok := of.MethodByName("Scripted"); ok {
		names = append(names, "Scripted")
	}
	slices.Sort(names)
	return slices.Compact(names)
}
