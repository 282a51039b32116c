// Package browser runs a real headless Chromium, for what only a browser does: it keeps
// fragments, runs scripts under a Content-Security-Policy, lays pages out, and has its own
// rules for cookies. Every name below .localhost resolves to this machine (RFC 6761, 6.3).
//
// One [Chromium] is enough for a package: each profile has its own cookies. What a page
// complains about on the console, such as a violation of its policy, fails the test.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// timeout is for one action, on a machine that is busy with other tests.
const timeout = 60 * time.Second

// TB is a test, or a command that is one for the browser.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// Chromium is a browser that runs.
type Chromium struct {
	ctx   context.Context
	close func() error
}

// Launch starts a browser. It takes any certificate, because test servers have made theirs
// themselves.
func Launch() (*Chromium, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("Chromium is missing (on Debian: apt-get install chromium): %w", err)
	}
	profile, err := os.MkdirTemp("", "authgate-chromium-")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.IgnoreCertErrors,
		chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(timeout),
	)
	process, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closed := chromedp.NewContext(process)
	c := &Chromium{ctx: ctx, close: func() error {
		_ = chromedp.Cancel(ctx) // waits for the process, which writes to its profile to the end
		closed()
		end()
		return os.RemoveAll(profile)
	}}
	if err := chromedp.Do(ctx); err != nil { // the context of the first run is that of the process
		return nil, errors.Join(fmt.Errorf("starting Chromium: %w", err), c.Close())
	}
	return c, nil
}

// Close ends the browser.
func (c *Chromium) Close() error { return c.close() }

// Start launches a browser for one test, and gives its first tab.
func Start(t TB) *Tab {
	t.Helper()
	c, err := Launch()
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing Chromium: %v", err)
		}
	})
	return c.Profile(t)
}

// Profile gives the first tab of a profile without cookies, which the end of the test removes.
func (c *Chromium) Profile(t TB) *Tab {
	t.Helper()
	return open(t, c.ctx, new(console), chromedp.WithNewBrowserContext())
}

// Tab is one tab of a profile. It belongs to one goroutine.
type Tab struct {
	t       TB
	ctx     context.Context
	console *console // of all tabs of the profile
}

// NewTab opens one more tab of the same profile.
func (b *Tab) NewTab() *Tab {
	b.t.Helper()
	return open(b.t, b.ctx, b.console)
}

func open(t TB, parent context.Context, shared *console, options ...chromedp.ContextOption) *Tab {
	t.Helper()
	ctx, closed := chromedp.NewContext(parent, append(options, chromedp.WithListener(shared.listen))...)
	b := &Tab{t: t, ctx: ctx, console: shared}
	t.Cleanup(func() {
		t.Helper()
		for _, complaint := range shared.take() {
			t.Errorf("the browser's console: %s", complaint)
		}
		closed()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, struct{}{}); err != nil {
		t.Fatalf("listening to the console: %v", err)
	}
	return b
}

func run[T any](b *Tab, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, done := context.WithTimeout(b.ctx, timeout)
	defer done()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("%s, at %s: %v", what, b.Address(), err)
	}
	return value
}

// read is run for an action that changes nothing: if the page goes away meanwhile, the next one
// is asked.
func read[T any](b *Tab, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, done := context.WithTimeout(b.ctx, timeout)
	defer done()
	for {
		value, err := chromedp.Run(ctx, action)
		switch {
		case err == nil:
			return value
		case ctx.Err() != nil || !isPageGone(err):
			b.t.Fatalf("%s, at %s: %v", what, b.Address(), err)
		}
	}
}

// isPageGone reports whether an action failed because the browser has opened another page.
func isPageGone(err error) bool {
	return slices.ContainsFunc([]string{"No node with given id", "Cannot find context", "context was destroyed", "target navigated"},
		func(words string) bool { return strings.Contains(err.Error(), words) })
}

// Open types an address, and waits for the page.
func (b *Tab) Open(address string) {
	b.t.Helper()
	run(b, "opening "+address, chromedp.Navigate(address))
}

// Await waits until an element is to be seen, and gives its text.
func (b *Tab) Await(selector string) (text string) {
	b.t.Helper()
	return read(b, "waiting for "+selector, chromedp.Text(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Click presses what is to be seen.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	run(b, "clicking "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Type enters text into a field that is to be seen.
func (b *Tab) Type(selector, text string) {
	b.t.Helper()
	run(b, "typing into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// Press presses keys, such as kb.Tab, wherever the focus is.
func (b *Tab) Press(keys string) {
	b.t.Helper()
	run(b, "pressing a key", chromedp.KeyEvent(keys))
}

// Reload loads the page again.
func (b *Tab) Reload() {
	b.t.Helper()
	run(b, "reloading", chromedp.Reload())
}

// Back goes to the page before, and does not wait for it: the browser may have kept it.
func (b *Tab) Back() {
	b.t.Helper()
	run(b, "going back", chromedp.Evaluate[chromedp.Void]("history.back()"))
}

// Follow clicks a link to an address on the page that is shown.
func (b *Tab) Follow(address string) {
	b.t.Helper()
	run(b, "following a link to "+address, chromedp.Evaluate[chromedp.Void](`{
		const link = document.createElement("a")
		link.href = `+strconv.Quote(address)+`
		document.body.replaceChildren(link)
		link.click()
	}`))
}

// Script gives the value of an expression on the page; of a promise, what it resolves to. It may
// run again on the next page.
func Script[T any](b *Tab, expression string) T {
	b.t.Helper()
	return read(b, "running a script", chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// DisableScripts has pages run none from now on.
func (b *Tab) DisableScripts() {
	b.t.Helper()
	off := emulation.SetScriptExecutionDisabledParams{Value: true}
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, off); err != nil {
		b.t.Fatalf("switching scripts off: %v", err)
	}
}

// Address is what the address bar shows.
func (b *Tab) Address() string {
	ctx, done := context.WithTimeout(b.ctx, timeout)
	defer done()
	history, err := chromedp.Run(ctx, chromedp.NavigationEntries())
	if at := history.CurrentIndex; err == nil && at >= 0 && at < int64(len(history.Entries)) {
		return history.Entries[at].URL
	}
	return "an unknown address"
}
