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

// stepTimeout limits a step. authgate applies an edited policy within 2 s, but a busy
// machine may need longer.
const stepTimeout = 15 * time.Second

// walk is the walk through the demo: its users, and the number of failed steps.
type walk struct {
	*stage.Stage
	out    io.Writer
	failed int

	alice, bob, carol *visitor.Visitor
}

// runChecks runs every step of steps.go, also after a failed one.
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

func (w *walk) line(step, want, got, result string) {
	_, _ = fmt.Fprintf(w.out, "%-50s  %-34s  %-34s  %s\n", step, want, got, result)
}

// step compares the result of do with the expected one.
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

// fetch is a step that sends a request as a page's script does.
func (w *walk) fetch(ctx context.Context, name, want string, who *visitor.Visitor, method, address string) {
	w.step(ctx, name, want, func(ctx context.Context) (string, error) {
		a, err := who.Fetch(ctx, method, address, "")
		return summary(a), err
	})
}

// summary is the status and, of a refusal, the content type.
func summary(a visitor.Answer) string {
	kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	if a.Status < 400 {
		return fmt.Sprint(a.Status)
	}
	return fmt.Sprintf("%d %s", a.Status, strings.TrimPrefix(strings.TrimPrefix(kind, "application/"), "text/"))
}

// until repeats do until it returns want. When ctx ends, it returns the last result.
func until(ctx context.Context, want string, do func() (string, error)) (string, error) {
	last := "no result in time"
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

// words lists the words that the text contains.
func words(text string, any ...string) string {
	return strings.Join(slices.DeleteFunc(any, func(word string) bool { return !strings.Contains(text, word) }), ", ")
}
