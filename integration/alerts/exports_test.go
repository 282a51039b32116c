package alerts_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/program"
	"github.com/example-org/authgate/integration/wait"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const limit = 60 * time.Second

// built gives authgate's binary, which the first test that needs it builds.
var built func() (string, error)

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "authgate-alerts-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built = sync.OnceValues(func() (string, error) { return program.Authgate(dir) })
	code := m.Run()
	_ = os.RemoveAll(dir) // a temporary folder
	os.Exit(code)
}

// gate is an authgate whose issuer cannot be reached.
type gate struct{ admin string }

// start runs authgate, with a candidate policy, so that every metric has its series.
func start(t testing.TB) gate {
	t.Helper()
	dir := t.TempDir()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	key := strings.Repeat("QUJD", 11) // 33 bytes
	port, admin := reserve(t), reserve(t)
	files := map[string]string{
		"session-keys": key + "\n",
		"policy.csv":   "p, role:admin, *, /**, *, allow\ng, example-org:argo, role:admin\n",
		"authgate.yaml": fmt.Sprintf(`
listen: "127.0.0.1:%s"
adminListen: "127.0.0.1:%s"
issuer: {url: "http://127.0.0.1:1/dex", clientID: authgate, clientSecret: not-a-real-secret}
session: {keys: {file: session-keys}}
policy: {files: [policy.csv], shadow: [policy.csv]}
timeouts: {shutdownDelay: 0s, shutdown: 1s}
upstreams: [{name: argocd, hosts: ["*"], url: "http://127.0.0.1:1"}]
`, port, admin),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, program.Command{Name: "authgate", Path: binary, Args: []string{"serve", "--config", "authgate.yaml"}, Dir: dir})
	g := gate{admin: "127.0.0.1:" + admin}
	wait.For(t, limit, "authgate's metrics", func() bool { _, err := get(t.Context(), "http://"+g.admin+"/metrics"); return err == nil })
	// The first request that no policy decides, for a series of authgate_requests_total.
	if _, err := get(t.Context(), "http://127.0.0.1:"+port+"/"); err != nil {
		t.Logf("the request: %v", err) // any answer counts
	}
	return g
}

func reserve(t testing.TB) string {
	t.Helper()
	port, err := program.ReservePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Release() })
	return strconv.Itoa(port.Number)
}

func run(t testing.TB, c program.Command) {
	t.Helper()
	c.Stdout = filepath.Join(t.TempDir(), "log")
	c.Stderr = c.Stdout
	process, err := program.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s:\n%s", c.Name, process.Tail(20))
		}
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() // read to its end
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return string(body), err
}

// families are the metrics that authgate exports.
func (g gate) families(t testing.TB) map[string]*dto.MetricFamily {
	t.Helper()
	text, err := get(t.Context(), "http://"+g.admin+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

var (
	selector = regexp.MustCompile(`\b((?:authgate|process)_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!=|=|!~)\s*"([^"]*)"`)
	suffix   = regexp.MustCompile(`_(bucket|count|sum)$`)
	grouping = regexp.MustCompile(`\b(?:by|on)\s*\(([^)]*)\)`)
)

// closed are labels whose values authgate exports from the start: others come with
// traffic.
var closed = []string{"result", "change"}

// scraped are labels that Prometheus adds.
var scraped = []string{"job", "namespace", "instance", "le"}

func TestExpressionsNameWhatAuthgateExports(t *testing.T) {
	t.Parallel()
	families := start(t).families(t)
	expressions := grafana(t).expressions()
	for _, r := range rules(t) {
		expressions = append(expressions, r.Expr)
	}
	labels := map[string]bool{}
	named := map[string]bool{}
	for _, expr := range expressions {
		for _, match := range selector.FindAllStringSubmatch(expr, -1) {
			name, matchers := match[1], match[2]
			family := families[name]
			if base := suffix.ReplaceAllString(name, ""); family == nil && families[base].GetType() == dto.MetricType_HISTOGRAM {
				family = families[base]
			}
			if family == nil {
				// A vector without a series is not exported: the documentation's test has its name.
				if !strings.Contains(read(t, "docs/operations.md"), "`"+name+"`") {
					t.Errorf("%s does not exist; it is in\n%s", name, expr)
				}
				continue
			}
			named[family.GetName()] = true
			for _, m := range matcher.FindAllStringSubmatch(matchers, -1) {
				label, operator, value := m[1], m[2], m[3]
				if slices.Contains(scraped, label) {
					continue
				}
				values, ok := valuesOf(family, label)
				if !ok {
					t.Errorf("%s has no label %s; it is in\n%s", name, label, expr)
				}
				if !slices.Contains(closed, label) || operator == "!=" || operator == "!~" {
					continue
				}
				for _, wanted := range strings.Split(value, "|") {
					if !slices.Contains(values, wanted) {
						t.Errorf("%s has no %s %q, but %q; it is in\n%s", name, label, wanted, values, expr)
					}
				}
			}
			for _, metric := range family.Metric {
				for _, pair := range metric.Label {
					labels[pair.GetName()] = true
				}
			}
		}
	}
	for _, expr := range expressions {
		for _, match := range grouping.FindAllStringSubmatch(expr, -1) {
			for label := range strings.SplitSeq(match[1], ",") {
				label = strings.TrimSpace(label)
				if !labels[label] && !slices.Contains(scraped, label) && label != "key" && label != "reason" {
					t.Errorf("no metric has the label %s; it is in\n%s", label, expr)
				}
			}
		}
	}
	if len(named) < 12 {
		t.Errorf("only %d metrics were found in the expressions", len(named))
	}
}

// valuesOf gives the values of a label, and whether there is such a label.
func valuesOf(family *dto.MetricFamily, label string) (values []string, ok bool) {
	for _, metric := range family.Metric {
		for _, pair := range metric.Label {
			if pair.GetName() == label {
				values, ok = append(values, pair.GetValue()), true
			}
		}
	}
	return values, ok
}

// A real Prometheus evaluates the rules on the metrics of an authgate whose issuer is
// down.
func TestPrometheusEvaluatesTheRulesOnRealMetrics(t *testing.T) {
	t.Parallel()
	target := start(t).admin
	dir := t.TempDir()
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [alerts.yaml]
scrape_configs: [{job_name: authgate, static_configs: [{targets: [%q], labels: {namespace: authgate}}]}]
`, target)
	// No alert waits here.
	text := regexp.MustCompile(`(?m)^ +for: .*\n`).ReplaceAllString(read(t, "deploy/prometheus/alerts.yaml"), "")
	for name, content := range map[string]string{"prometheus.yml": config, "alerts.yaml": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := net.JoinHostPort("127.0.0.1", reserve(t))
	run(t, program.Command{Name: "prometheus", Path: "prometheus", Dir: dir, Args: []string{
		"--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=" + address,
	}})
	firing := func() (names []string) {
		var answer struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, LastError, State string }
				}
			}
		}
		body, err := get(t.Context(), "http://"+address+"/api/v1/rules?type=alert")
		if err != nil || json.Unmarshal([]byte(body), &answer) != nil {
			return nil
		}
		for _, group := range answer.Data.Groups {
			for _, rule := range group.Rules {
				if rule.Health == "err" {
					t.Fatalf("%s: %s", rule.Name, rule.LastError)
				}
				if rule.State == "firing" {
					names = append(names, rule.Name)
				}
			}
		}
		return names
	}
	wait.For(t, limit, "AuthgateIssuerDown", func() bool { return slices.Contains(firing(), "AuthgateIssuerDown") })
	wait.For(t, limit, "no other alert", func() bool { return slices.Equal(firing(), []string{"AuthgateIssuerDown"}) })
}
