// Package doctor asks the network what a configuration needs of it: an issuer, a
// client that it knows, upstreams. It changes nothing, sends no secret but the
// client's own to its issuer, and repeats nothing that it was told but names.
package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// State is what a check came to.
type State string

// The states. Skipped is what could not be looked at from here.
const (
	OK      State = "ok"
	Warn    State = "warn"
	Fail    State = "fail"
	Skipped State = "skipped"
)

// Finding is one line of the report.
type Finding struct {
	Check string `json:"check"`
	State State  `json:"state"`
	Said  string `json:"said"`
	Mend  string `json:"mend,omitempty"`
}

// Check looks at one thing.
type Check struct {
	Name string
	Look func(ctx context.Context) []Finding
}

// patience bounds each check: a set-up that is not there yet answers nothing.
const patience = 8 * time.Second

// Run looks at everything at once, and reports in the order of the checks.
func Run(ctx context.Context, checks []Check) []Finding {
	found := make([][]Finding, len(checks))
	var looking sync.WaitGroup
	for i, c := range checks {
		looking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			found[i] = c.Look(ctx)
			for n := range found[i] {
				if found[i][n].Check == "" {
					found[i][n].Check = c.Name
				}
			}
		})
	}
	looking.Wait()
	var all []Finding
	for _, some := range found {
		all = append(all, some...)
	}
	return all
}

func ok(format string, args ...any) Finding {
	return Finding{State: OK, Said: fmt.Sprintf(format, args...)}
}

func warn(mend, format string, args ...any) Finding {
	return Finding{State: Warn, Said: fmt.Sprintf(format, args...), Mend: mend}
}

func fail(mend, format string, args ...any) Finding {
	return Finding{State: Fail, Said: fmt.Sprintf(format, args...), Mend: mend}
}

func skipped(format string, args ...any) Finding {
	return Finding{State: Skipped, Said: fmt.Sprintf(format, args...)}
}
