package chart_test

import (
	"encoding/json"
	"slices"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

func TestHelmLintHasNothingToSay(t *testing.T) {
	t.Parallel()
	version := chartutil.KubeVersion{Version: "v1.33.4", Major: "1", Minor: "33"}
	for _, name := range []string{"default", "monitoring", "gateway", "extras"} {
		for _, message := range lint.AllWithKubeVersion(chartDir, valuesOf(t, name), "login", &version).Messages {
			if message.Severity >= support.WarningSev {
				t.Errorf("%s: %s", name, message)
			}
		}
	}
}

// The chart rejects sections of authgate.yaml that it does not know, so that it has to
// know all.
func TestChartKnowsEverySectionOfTheConfiguration(t *testing.T) {
	t.Parallel()
	type schema struct {
		Properties map[string]struct {
			Properties map[string]any
			Items      struct {
				Properties map[string]struct{ Enum []string }
			}
		}
	}
	var config schema
	if v := authgate(t, nil, "config", "schema"); v.code != 0 || json.Unmarshal([]byte(v.stdout), &config) != nil {
		t.Fatalf("authgate config schema: exit code %d\n%s", v.code, v.stderr)
	}
	var values struct {
		Properties struct{ Config schema }
	}
	if err := json.Unmarshal(chartFile(t, "values.schema.json"), &values); err != nil {
		t.Fatal(err)
	}
	if len(config.Properties) < 10 {
		t.Fatalf("authgate.yaml has %d sections", len(config.Properties))
	}
	known := values.Properties.Config.Properties
	for section := range config.Properties {
		if _, ok := known[section]; !ok {
			t.Errorf("values.schema.json rejects config.%s", section)
		}
	}
	got, want := known["upstreams"].Items.Properties["kind"].Enum, config.Properties["upstreams"].Items.Properties["kind"].Enum
	if !slices.Equal(got, want) {
		t.Errorf("values.schema.json knows the kinds %q, authgate %q", got, want)
	}
}
