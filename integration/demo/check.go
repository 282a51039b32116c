package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/visitor"
)

// stepTimeout is how long a step may take, and how long an edited policy may take
// to be in force: the contract says 2 s, a busy machine says otherwise.
const stepTimeout = 15 * time.Second

// walk is the walk through the demo: people, and what came of each step so far.
type walk struct {
	*stage.Stage
	out    io.Writer
	failed int

	alice, bob, carol *visitor.Visitor
}

// runChecks takes every step of steps.go, also after one has failed.
func runChecks(ctx context.Context, s *stage.Stage, out io.Writer) error {
	w := &walk{Stage: s, out: out}
	for _, p := range []struct {
		who   **visitor.Visitor
		login string
	}{{&w.alice, "alice"}, {&w.bob, "bob"}, {&w.carol, "carol"}} {
		v, err := s.Visitor(p.login)
		if err != nil {
			return err
		}
		*p.who = v
	}
	w.line("step", "expected", "got", "")
	for _, part := range []func(context.Context){w.unauthenticated, w.admin, w.viewer, w.unauthorized, w.rules, w.signOut} {
		part(ctx)
	}
	if w.failed > 0 {
		return fmt.Errorf("%d steps failed", w.failed)
	}
	_, _ = fmt.Fprintln(out, "all steps ok")
	return nil
}

func (w *walk) line(step, want, got, verdict string) {
	_, _ = fmt.Fprintf(w.out, "%-50s  %-34s  %-34s  %s\n", step, want, got, verdict)
}

// step holds what came out to what was expected.
func (w *walk) step(ctx context.Context, name, want string, do func(context.Context) (string, error)) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	got, err := do(ctx)
	if err != nil {
		got = "error: " + err.Error()
	}
	if got == want {
		w.line(name, want, got, "ok")
		return
	}
	w.failed++
	w.line(name, want, got, "FAIL")
}

// fetch is a step that asks as a script in a page does.
func (w *walk) fetch(ctx context.Context, name, want string, who *visitor.Visitor, method, address string) {
	w.step(ctx, name, want, func(ctx context.Context) (string, error) {
		a, err := who.Fetch(ctx, method, address, "")
		return summary(a), err
	})
}

// summary is the status, and the kind of a refusal.
func summary(a visitor.Answer) string {
	kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	if a.Status < 400 {
		return fmt.Sprint(a.Status)
	}
	return fmt.Sprintf("%d %s", a.Status, strings.TrimPrefix(strings.TrimPrefix(kind, "application/"), "text/"))
}

// until repeats do until it gives want; patience ends it with what it gave last.
func until(ctx context.Context, want string, do func() (string, error)) (string, error) {
	last := "nothing in time"
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := do()
		switch {
		case ctx.Err() != nil:
			return last, nil
		case got == want || err != nil:
			return got, err
		}
		last = got
		select {
		case <-ctx.Done():
			return last, nil
		case <-tick.C:
		}
	}
}

// words is those of the words that the text holds.
func words(text string, any ...string) string {
	return strings.Join(slices.DeleteFunc(any, func(word string) bool { return !strings.Contains(text, word) }), ", ")
}
