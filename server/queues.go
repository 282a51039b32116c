package server

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
)

// startQueue runs a queue. The function that it returns ends it, and waits until
// what is left is written.
func startQueue(q *audit.Queue) (end func()) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { q.Run(ctx) })
	return func() {
		stop()
		running.Wait()
	}
}

// openLog returns a log that holds nothing up when its reader stalls.
func openLog(stderr io.Writer, o LogOptions) (levelLogger, *audit.Queue) {
	deferred := &deferredWriter{}
	log := newLevelLogger(deferred, o)
	deferred.Queue = audit.NewQueue(audit.NewOutput(stderr), audit.QueueOptions{Label: "log lines", Log: log.Logger})
	return log, deferred.Queue
}

// deferredWriter breaks the circle of a log that writes to a queue that reports to it.
type deferredWriter struct{ *audit.Queue }

// openAudit gives a queue in front of what the configuration names; nil where
// nothing is recorded.
func openAudit(c config.Audit, stdout, stderr io.Writer, log *slog.Logger) (*audit.Queue, error) {
	out, err := audit.Open(c.Output, stdout, stderr)
	if out == nil || err != nil {
		return nil, err
	}
	block := c.OnFull == config.OnFullBlock
	return audit.NewQueue(out, audit.QueueOptions{
		Label: "audit records", Block: block, Gather: 2 * time.Millisecond, Log: log,
	}), nil
}

// auditWriter writes to a queue, or nowhere where there is none.
func auditWriter(q *audit.Queue, log *slog.Logger) *audit.Writer {
	if q == nil {
		return audit.New(nil, log)
	}
	return audit.New(q, log)
}

// reopenOn opens the audit's file again at each SIGHUP, as logrotate asks for it.
func reopenOn(ctx context.Context, signals <-chan os.Signal, q *audit.Queue) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			if q != nil {
				q.Reopen()
			}
		}
	}
}

// registerQueueMetrics publishes what becomes of audit records and log lines.
func registerQueueMetrics(registry prometheus.Registerer, records, lines *audit.Queue) {
	counter := func(q *audit.Queue, name, help string, read func(audit.QueueStats) int64) {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 {
			if q == nil {
				return 0
			}
			return float64(read(q.Stats()))
		}))
	}
	lost := func(n audit.QueueStats) int64 { return n.Lost }
	counter(records, "authgate_audit_lost_total", "Audit records that were lost, because their queue was full.", lost)
	counter(records, "authgate_audit_write_errors_total", "Attempts to write audit records that failed.",
		func(n audit.QueueStats) int64 { return n.Failures })
	counter(lines, "authgate_log_lost_total", "Lines of the log that were lost, because its reader was too slow.", lost)
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "authgate_audit_queue_bytes", Help: "Audit records that are not written yet.",
	}, func() float64 {
		if records == nil {
			return 0
		}
		return float64(records.Stats().Bytes)
	}))
}
