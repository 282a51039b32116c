package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/example-org/authgate/integration/visitor"
)

// Metrics is the text of authgate's /metrics.
func (s *Stage) Metrics(ctx context.Context) (string, error) {
	a, err := visitor.Curl(ctx, http.MethodGet, s.Admin+"/metrics")
	if err != nil {
		return "", err
	}
	if a.Status != http.StatusOK {
		return "", fmt.Errorf("/metrics answers %d: %s", a.Status, a.Body)
	}
	return a.Body, nil
}

// MetricFamilies is /metrics, parsed.
func (s *Stage) MetricFamilies(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	text, err := s.Metrics(ctx)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("parsing /metrics: %w", err)
	}
	return families, nil
}

// Metric sums the series of a counter or gauge that have the labels, which come
// in pairs. A family that is not there counts as 0.
func (s *Stage) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	families, err := s.MetricFamilies(ctx)
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, m := range families[name].GetMetric() {
		if hasLabels(m, labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum, nil
}

func hasLabels(m *dto.Metric, labels []string) bool {
	has := map[string]string{}
	for _, l := range m.GetLabel() {
		has[l.GetName()] = l.GetValue()
	}
	for i := 0; i+1 < len(labels); i += 2 {
		if has[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

// ReadLog is what authgate has written to stderr so far.
func (f Files) ReadLog() (string, error) {
	text, err := os.ReadFile(f.Log)
	return string(text), err
}

// ReadAudit is the audit so far, a map for each line.
func (f Files) ReadAudit() ([]map[string]any, error) {
	text, err := os.ReadFile(f.Audit)
	if err != nil {
		return nil, err
	}
	var records []map[string]any
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // still being written
		}
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			return nil, fmt.Errorf("audit line %q: %w", line, err)
		}
		records = append(records, record)
	}
	return records, nil
}
