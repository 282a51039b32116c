// Package doctor checks what a configuration needs on the network: an issuer, its client,
// upstreams. It changes nothing, sends no secret but the
// client's own to its issuer, and prints no part of a response except names.
package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// State is the result of a check.
type State string

// The states. Skipped means that the check is impossible from here.
const (
	OK      State = "ok"
	Warn    State = "warn"
	Fail    State = "fail"
	Skipped State = "skipped"
)

// Finding is one line of the report.
type Finding struct {
	Check   string `json:"check"`
	State   State  `json:"state"`
	Message string `json:"message"`
	Hint    string `json:"fix,omitempty"`
}

// Check looks at one thing.
type Check struct {
	Name string
	Run  func(ctx context.Context) []Finding
}

// checkTimeout bounds each check: a set-up that is not there yet answers nothing.
const checkTimeout = 8 * time.Second

// Run looks at everything at once, and reports in the order of the checks.
func Run(ctx context.Context, checks []Check) []Finding {
	found := make([][]Finding, len(checks))
	var running sync.WaitGroup
	for i, c := range checks {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			found[i] = c.Run(ctx)
			for n := range found[i] {
				if found[i][n].Check == "" {
					found[i][n].Check = c.Name
				}
			}
		})
	}
	running.Wait()
	var all []Finding
	for _, some := range found {
		all = append(all, some...)
	}
	return all
}

func ok(format string, args ...any) Finding {
	return Finding{State: OK, Message: fmt.Sprintf(format, args...)}
}

func warn(hint, format string, args ...any) Finding {
	return Finding{State: Warn, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func fail(hint, format string, args ...any) Finding {
	return Finding{State: Fail, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func skipped(format string, args ...any) Finding {
	return Finding{State: Skipped, Message: fmt.Sprintf(format, args...)}
}
