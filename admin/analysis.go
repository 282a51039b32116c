package admin

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/example-org/authgate/policy"
)

// Limits of what is worked out about a policy for the overview.
const (
	maxAnalysedRows = 20_000
	analysisWait    = 2 * time.Second // after which the page is shown without it
)

// analysis is what takes a while to work out about a policy.
type analysis struct {
	Findings    []Finding
	Matrix      Matrix
	MatrixError string // why there is no matrix
	TooLarge    bool   // the policy has too many rows for either
}

// analyses are those of the policies in use. They are worked out when someone first looks, not
// while requests wait, and kept as long as the policy. It is safe for concurrent use.
type analyses struct {
	tools PolicyTools
	log   *slog.Logger

	mu      sync.Mutex
	results map[*policy.Snapshot]*pendingAnalysis
}

type pendingAnalysis struct {
	analysis

	done chan struct{} // closed when the analysis is complete
}

// get gives the analysis of a policy; nil: it takes longer than a page may. inUse are the
// policies whose analyses are worth keeping.
func (a *analyses) get(of PolicyStatus, inUse ...*policy.Snapshot) *analysis {
	p := a.start(of, inUse)
	timer := time.NewTimer(analysisWait)
	defer timer.Stop()
	select {
	case <-p.done:
		return &p.analysis
	case <-timer.C:
		return nil
	}
}

func (a *analyses) start(of PolicyStatus, inUse []*policy.Snapshot) *pendingAnalysis {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := make(map[*policy.Snapshot]*pendingAnalysis)
	for _, snapshot := range inUse {
		if known := a.results[snapshot]; known != nil {
			kept[snapshot] = known
		}
	}
	a.results = kept
	p := kept[of.Snapshot]
	if p == nil {
		p = &pendingAnalysis{done: make(chan struct{})}
		kept[of.Snapshot] = p
		go a.run(of, p)
	}
	return p
}

// run must not end the process: it is about a page, and requests are served meanwhile.
func (a *analyses) run(of PolicyStatus, p *pendingAnalysis) {
	defer close(p.done)
	defer func() {
		if failure := recover(); failure != nil {
			a.log.Error("the policy could not be analysed for the admin port", "hash", of.Hash(), "error", failure)
			p.MatrixError = "The analysis failed. The log has the reason."
		}
	}()
	if of.RowCount() > maxAnalysedRows {
		p.TooLarge = true
		return
	}
	p.Findings = a.tools.Lint(of.Sources)
	matrix, err := a.tools.Matrix(of.Snapshot)
	if p.Matrix = matrix; err != nil {
		p.MatrixError = fmt.Sprintf("There is no matrix: %v.", err)
	}
}
