package proxy

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/proxy/stream"
)

// metrics are authgate's numbers. Labels never hold paths, users or groups.
type metrics struct {
	requests *prometheus.CounterVec
	// those of requests; each map is never written again
	counters   atomic.Pointer[map[requestLabels]prometheus.Counter]
	countersMu sync.Mutex // one map at a time
	// :: upstream, empty for authgate itself → how long its requests took
	requestSeconds  map[string]prometheus.Observer
	decisionSeconds prometheus.Histogram
	upstreamSeconds map[string]prometheus.Observer // :: upstream → how long its response headers took
	refreshes       map[string]prometheus.Counter  // :: what a renewal came to → how often
	reloads         *prometheus.CounterVec
	policyInfo      *prometheus.GaugeVec
	cuts            map[string]prometheus.Counter // :: why a stream was cut → how often

	disagreements    prometheus.Counter
	granted, revoked map[string]prometheus.Counter // :: upstream → what the candidate would have changed
}

var (
	requestBuckets  = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	decisionBuckets = []float64{1e-7, 2.5e-7, 5e-7, 1e-6, 2.5e-6, 1e-5, 1e-4, 1e-3}
)

func newMetrics(r prometheus.Registerer, p *Proxy) *metrics {
	register := promauto.With(r)
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets, NativeHistogramBucketFactor: 1.1}
	}
	requestSeconds := register.NewHistogramVec(histogram("authgate_request_seconds",
		"Time until a request was served; for streams, until the upstream's header.", requestBuckets), []string{"upstream"})
	upstreamSeconds := register.NewHistogramVec(histogram("authgate_upstream_seconds",
		"Time until the upstream's response header.", requestBuckets), []string{"upstream"})
	m := &metrics{
		requests: register.NewCounterVec(prometheus.CounterOpts{
			Name: "authgate_requests_total", Help: "Requests answered or forwarded.",
		}, []string{"upstream", "decision", "code"}),
		requestSeconds: map[string]prometheus.Observer{"": requestSeconds.WithLabelValues("")},
		decisionSeconds: register.NewHistogram(histogram("authgate_decision_seconds", "Time of one policy decision.",
			decisionBuckets)),
		upstreamSeconds: make(map[string]prometheus.Observer),
		reloads: register.NewCounterVec(prometheus.CounterOpts{
			Name: "authgate_policy_reloads_total",
			Help: "Policies put in force (ok); changed ones, candidates among them, refused (error).",
		}, []string{"result"}),
		policyInfo: register.NewGaugeVec(prometheus.GaugeOpts{
			Name: "authgate_policy_info", Help: "Always 1: the hash of the policy in force, to compare replicas.",
		}, []string{"hash"}),
		disagreements: register.NewCounter(prometheus.CounterOpts{
			Name: "authgate_policy_disagreements_total", Help: "Decisions in which the index and casbin differed: a bug.",
		}),
		granted: make(map[string]prometheus.Counter),
		revoked: make(map[string]prometheus.Counter),
	}
	differences := register.NewCounterVec(prometheus.CounterOpts{
		Name: "authgate_shadow_differences_total", Help: "Requests that the candidate policy would have decided differently.",
	}, []string{"upstream", "change"})
	refreshes := register.NewCounterVec(prometheus.CounterOpts{
		Name: "authgate_refreshes_total", Help: "Attempts to read the groups of a session again.",
	}, []string{"result"})
	m.refreshes = make(map[string]prometheus.Counter, len(refreshResults))
	for _, result := range refreshResults {
		m.refreshes[result] = refreshes.WithLabelValues(result)
	}
	register.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "authgate_session_store_up", Help: "1 while the session store answers; with cookies, always.",
	}, func() float64 {
		if p.sessions.Down() != nil {
			return 0
		}
		return 1
	})
	cuts := register.NewCounterVec(prometheus.CounterOpts{
		Name: "authgate_streams_cut_total", Help: "Open streams that authgate ended.",
	}, []string{"reason"})
	m.cuts = make(map[string]prometheus.Counter, len(stream.Reasons))
	for _, reason := range stream.Reasons {
		m.cuts[reason] = cuts.WithLabelValues(reason)
	}
	for _, u := range p.upstreams {
		register.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "authgate_streams", Help: "WebSockets, event streams and gRPC calls that are open.",
			ConstLabels: prometheus.Labels{"upstream": u.Name},
		}, func() float64 { return float64(p.streams.LongLived(u.Name)) })
		m.requestSeconds[u.Name] = requestSeconds.WithLabelValues(u.Name)
		m.upstreamSeconds[u.Name] = upstreamSeconds.WithLabelValues(u.Name)
		m.granted[u.Name] = differences.WithLabelValues(u.Name, "granted")
		m.revoked[u.Name] = differences.WithLabelValues(u.Name, "revoked")
	}
	m.reloads.WithLabelValues("error") // rate() misses a counter's first step
	gauge := func(name, help string, read func() float64) {
		register.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
	}
	gauge("authgate_policy_generation", "How many policies were put in force since the start.",
		func() float64 { return float64(p.state.Load().generation) })
	gauge("authgate_policy_age_seconds", "Time since the policy in force was loaded.",
		func() float64 { return p.state.Load().age(p.now()) })
	gauge("authgate_issuer_up", "Whether the issuer answered at the last look.",
		func() float64 {
			if p.issuer.Up() {
				return 1
			}
			return 0
		})
	return m
}

// requestLabels is what requests are counted by.
type requestLabels struct {
	upstream string
	decision audit.Decision
	code     int // 0: none that HTTP knows
}

// observeRequest counts one finished request. Statuses come from upstreams and are
// bounded to what HTTP knows, or a label could take any value.
func (m *metrics) observeRequest(upstream string, decision audit.Decision, code int, elapsed time.Duration) {
	if code < 100 || code >= 600 {
		code = 0
	}
	m.requestCounter(requestLabels{upstream, decision, code}).Inc()
	m.requestSeconds[upstream].Observe(elapsed.Seconds())
}

// observeUpstream records how long an upstream took until its response header.
func (m *metrics) observeUpstream(upstream string, elapsed time.Duration) {
	m.upstreamSeconds[upstream].Observe(elapsed.Seconds())
}

// requestCounter finds the counter of a kind without joining and hashing its labels again. There
// are as many as series, so that the map is soon complete.
func (m *metrics) requestCounter(kind requestLabels) prometheus.Counter {
	if known := m.counters.Load(); known != nil {
		if c, ok := (*known)[kind]; ok {
			return c
		}
	}
	m.countersMu.Lock()
	defer m.countersMu.Unlock()
	label := "other"
	if kind.code != 0 {
		label = strconv.Itoa(kind.code)
	}
	c := m.requests.WithLabelValues(kind.upstream, string(kind.decision), label)
	next := map[requestLabels]prometheus.Counter{kind: c}
	if known := m.counters.Load(); known != nil {
		maps.Copy(next, *known)
	}
	m.counters.Store(&next)
	return c
}
