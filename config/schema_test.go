package config_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/example-org/authgate/config"
)

// tree is a JSON Schema of what this package writes.
type tree struct {
	Description          string
	Const, Default       any
	MaxItems             *int
	Properties           map[string]tree
	Required             []string
	Items                *tree
	AdditionalProperties any
}

func schemaTree(t *testing.T) tree {
	t.Helper()
	text, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root tree
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// walk visits every key.
func (s tree) walk(path string, visit func(path string, s tree)) {
	for name, below := range s.Properties {
		at := strings.TrimPrefix(path+"."+name, ".")
		visit(at, below)
		below.walk(at, visit)
		if below.Items != nil {
			below.Items.walk(at+"[]", visit)
		}
	}
}

// block is the annotated file in the documentation.
func block(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(doc), "```yaml\n")
	text, _, closed := strings.Cut(after, "```\n")
	if !ok || !closed {
		t.Fatal("docs/configuration.md has no yaml block")
	}
	return text
}

func TestTheDocumentedFileLoadsAndIsTheReference(t *testing.T) {
	t.Parallel()
	text := block(t)
	if _, err := config.Parse("authgate.yaml", []byte(text)); err != nil {
		t.Error(err)
	}
	if want := string(read(t, "reference.yaml")); text != want {
		t.Error("the block in docs/configuration.md and config/reference.yaml differ: copy one over the other")
	}
}

// TestExamplesInTheDocumentationLoad gives each what every file needs.
func TestExamplesInTheDocumentationLoad(t *testing.T) {
	t.Parallel()
	const rest = "issuer: {url: https://dex.example.com, clientID: a, clientSecret: {file: s}}\nsession: {keys: {file: k}}\n"
	examples := strings.Split(string(read(t, "../docs/configuration.md")), "```yaml\n")[2:]
	if len(examples) < 2 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, example := range examples {
		text, _, _ := strings.Cut(example, "```")
		c, err := config.Parse("authgate.yaml", []byte(rest+text))
		if err != nil {
			t.Errorf("%v in\n%s", err, text)
		} else if advice := c.Warnings(); advice != nil {
			t.Errorf("%q about\n%s", advice, text)
		}
	}
}

func TestEverySupportedKeyIsDocumentedAndNoOther(t *testing.T) {
	t.Parallel()
	var want []string
	schemaTree(t).walk("", func(path string, s tree) {
		want = append(want, path)
		if s.Description == "" && path != "upstreams[].identity" && !strings.HasSuffix(path, ".tokenFile") { // which stands in another item
			t.Errorf("%s has no comment in reference.yaml", path)
		}
	})
	var document map[string]any
	if err := yaml.Unmarshal([]byte(block(t)), &document); err != nil {
		t.Fatal(err)
	}
	got := written("", document)
	slices.Sort(want)
	slices.Sort(got)
	got = slices.Compact(got) // items of one list share keys
	if !slices.Equal(got, want) {
		t.Errorf("documented:\n%s\nsupported:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// written lists the keys of a file; {file: ...} and {env: ...} are values, and so
// are the claims in require.
func written(path string, section map[string]any) []string {
	var keys []string
	for name, value := range section {
		at := strings.TrimPrefix(path+"."+name, ".")
		if name == "file" || name == "env" {
			continue
		}
		keys = append(keys, at)
		switch v := value.(type) {
		case map[string]any:
			if name == "require" {
				continue
			}
			keys = append(keys, written(at, v)...)
		case []any:
			for _, item := range v {
				if m, ok := item.(map[string]any); ok {
					keys = append(keys, written(at+"[]", m)...)
				}
			}
		}
	}
	return keys
}

func TestTheDocumentedDefaultsAreTheDefaults(t *testing.T) {
	t.Parallel()
	documented, err := config.Parse("authgate.yaml", []byte(block(t)))
	if err != nil {
		t.Fatal(err)
	}
	// What has no default is taken from the documented file, the rest must agree.
	want := config.Default()
	want.Issuer.URL, want.Issuer.ClientID = documented.Issuer.URL, documented.Issuer.ClientID
	want.Issuer.ClientSecret, want.Session.Keys = documented.Issuer.ClientSecret, documented.Session.Keys
	want.Upstreams = documented.Upstreams
	want.TrustedProxies, want.Policy.Shadow = documented.TrustedProxies, documented.Policy.Shadow
	want.Policy.OtherUpstreams = documented.Policy.OtherUpstreams
	want.Audit.Exclude = documented.Audit.Exclude
	want.Bearer, want.Issuer.Audiences = documented.Bearer, documented.Issuer.Audiences
	if got, want := asJSON(t, documented), asJSON(t, want); got != want {
		t.Errorf("documented %s\ndefault    %s", got, want)
	}

	least, err := config.Load("testdata/good-minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	u, d := least.Upstreams[0], documented.Upstreams[0]
	u.Name, u.Hosts, u.URL = d.Name, d.Hosts, d.URL
	u.AllowedOrigins, u.EncodedSlash = d.AllowedOrigins, d.EncodedSlash
	u.PathQuirks, u.StripHeaders, u.SetHeaders = d.PathQuirks, d.StripHeaders, d.SetHeaders // empty, not missing
	if d.Timeouts.Dial(least.Timeouts) != u.Timeouts.Dial(least.Timeouts) || d.Timeouts.Header(least.Timeouts) != u.Timeouts.Header(least.Timeouts) {
		t.Errorf("documented %+v", d.Timeouts)
	}
	u.Timeouts.UpstreamDial, u.Timeouts.UpstreamHeader = d.Timeouts.UpstreamDial, d.Timeouts.UpstreamHeader
	u.Identity.Credential, u.Identity.ServiceAccounts = d.Identity.Credential, d.Identity.ServiceAccounts
	if got, want := asJSON(t, d), asJSON(t, u); got != want {
		t.Errorf("documented upstream %s\ndefault             %s", got, want)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheSchemaKnowsDefaultsAndWhatIsRequired(t *testing.T) {
	t.Parallel()
	root := schemaTree(t)
	for _, key := range []struct {
		what      string
		got, want any
	}{
		{"listen", root.Properties["listen"].Default, ":8080"},
		{"lifetime", root.Properties["session"].Properties["lifetime"].Default, "12h"},
		{"headerBytes", root.Properties["limits"].Properties["headerBytes"].Default, 65536.0},
		{"path", root.Properties["upstreams"].Items.Properties["path"].Default, "/"},
		{"store", root.Properties["session"].Properties["store"].Default, "cookie"},
		{"credential", root.Properties["upstreams"].Items.Properties["identity"].Properties["credential"].Default, "none"},
		{"subjectClaim", root.Properties["bearer"].Items.Properties["subjectClaim"].Default, "sub"},
		{"bearer", strings.Join(root.Properties["bearer"].Items.Required, " "), "issuer audience"},
		{"root", strings.Join(root.Required, " "), "issuer session upstreams"},
		{"issuer", strings.Join(root.Properties["issuer"].Required, " "), "url clientID clientSecret"},
		{"upstreams", strings.Join(root.Properties["upstreams"].Items.Required, " "), "name hosts url"},
		{"unknown keys", root.Properties["issuer"].AdditionalProperties, false},
	} {
		if key.got != key.want {
			t.Errorf("%s: got %v, want %v", key.what, key.got, key.want)
		}
	}
}
