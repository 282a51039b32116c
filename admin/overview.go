package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/policy"
)

// overviewPage is the start page.
type overviewPage struct {
	frame
	Status

	Policies []policyPart // the one in force, then the candidate

	Upstreams   []upstreamCounts
	Differences []audit.Entry

	SessionStore string // cookie or redis
	SessionError error
	AuditFull    bool
	Draining     bool
	MoreStreams  int
}

// policyPart is what the page shows of one policy.
type policyPart struct {
	PolicyStatus

	Name     string
	Analysis *analysis // nil: it is still being worked out
	Files    []policyFile
	Counts   map[string]int // severity → findings
	MoreRows int            // of the matrix
}

// policyFile is one file of a policy.
type policyFile struct {
	Name, Hash string // the first 12 digits that sha256sum prints
	Rows       int
}

// upstreamCounts are numbers since the start.
type upstreamCounts struct {
	Name             string
	Streams          int
	Granted, Revoked int // requests that the candidate would have decided differently
}

// Limits of what the overview lists.
const (
	maxListed      = 100
	maxDifferences = 20
)

func (h *Handler) showOverview(w http.ResponseWriter, _ *http.Request, a access) {
	status := h.Operator.Status()
	page := overviewPage{
		frame: frame{Title: "Overview", Page: "/", CSRF: a.csrf()}, Status: status,
		SessionStore: h.Operator.Store, SessionError: h.Sessions.Down(),
		AuditFull: h.AuditQueue != nil && h.AuditQueue.Full(), Draining: h.State.Draining(),
	}
	inUse := []*policy.Snapshot{status.Policy.Snapshot}
	if status.Shadow != nil {
		inUse = append(inUse, status.Shadow.Snapshot)
	}
	page.Policies = append(page.Policies, h.policyPart("Policy in force", status.Policy, inUse))
	if status.Shadow != nil {
		page.Policies = append(page.Policies, h.policyPart("Shadow policy", *status.Shadow, inUse))
		differences := h.Operator.Recent.Differences()
		page.Differences = differences[:min(len(differences), maxDifferences)]
	}
	page.Upstreams = h.upstreamCounts(status)
	if n := len(status.Streams); n > maxListed {
		page.Streams, page.MoreStreams = status.Streams[:maxListed], n-maxListed
	}
	h.writePage(w, http.StatusOK, "overview.html", page)
}

func (h *Handler) policyPart(name string, s PolicyStatus, inUse []*policy.Snapshot) policyPart {
	part := policyPart{PolicyStatus: s, Name: name, Files: policyFiles(s), Counts: map[string]int{}}
	found := h.analyses.get(s, inUse...)
	if found == nil {
		return part
	}
	shown := *found
	for _, f := range shown.Findings {
		part.Counts[f.Severity]++
	}
	shown.Findings = shown.Findings[:min(len(shown.Findings), maxListed)]
	if rows := shown.Matrix.Rows; len(rows) > maxListed {
		part.MoreRows = len(rows) - maxListed
		shown.Matrix.Rows = rows[:maxListed]
	}
	part.Analysis = &shown
	return part
}

func policyFiles(s PolicyStatus) []policyFile {
	rows := map[string]int{}
	for _, row := range s.Rows() {
		rows[row.At.File]++
	}
	for _, grant := range s.Grants() {
		rows[grant.MemberAt.File]++
	}
	files := make([]policyFile, len(s.Sources))
	for i, source := range s.Sources {
		digest := sha256.Sum256(source.Data)
		files[i] = policyFile{source.Name, hex.EncodeToString(digest[:])[:12], rows[source.Name]}
	}
	return files
}

// upstreamCounts reads the metrics, so that nothing is counted twice.
func (h *Handler) upstreamCounts(s Status) []upstreamCounts {
	differences := readMetric(h.metrics, "authgate_shadow_differences_total", "upstream", "change")
	open := map[string]int{}
	for _, stream := range s.Streams {
		open[stream.Upstream]++
	}
	counts := make([]upstreamCounts, len(s.Upstreams))
	for i, name := range s.Upstreams {
		counts[i] = upstreamCounts{
			Name: name, Streams: open[name],
			Granted: differences[name+" granted"], Revoked: differences[name+" revoked"],
		}
	}
	return counts
}

// readMetric gives the values of a counter by its labels, in the order of their names.
func readMetric(from prometheus.Gatherer, name string, labels ...string) map[string]int {
	values := map[string]int{}
	families, _ := from.Gather() // what cannot be read is shown as none
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			key := make([]string, len(labels))
			for _, label := range metric.GetLabel() {
				if i := slices.Index(labels, label.GetName()); i >= 0 {
					key[i] = label.GetValue()
				}
			}
			values[strings.Join(key, " ")] = int(metric.GetCounter().GetValue())
		}
	}
	return values
}
