// Package browser runs a real headless Chromium, for what only a browser does: it keeps
// fragments, runs scripts under a Content-Security-Policy, and has its own rules for
// cookies. Each browser has its own profile, and every name below .localhost resolves to
// this machine (RFC 6761, 6.3).
package browser

import (
	"context"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// timeout is for one action, on a machine that is busy with other tests.
const timeout = 60 * time.Second

// Tab is one tab of a browser.
type Tab struct {
	t   testing.TB
	ctx context.Context
}

// Start runs a browser until the test ends, and gives its first tab.
func Start(t testing.TB) *Tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("Chromium is missing (on Debian: apt-get install chromium): %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(timeout),
	)
	process, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, closed := chromedp.NewContext(process)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the process, which writes to its profile to the end
		closed()
	})
	tab := &Tab{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil { // the context of the first run is that of the process
		t.Fatalf("starting Chromium: %v", err)
	}
	return tab
}

// NewTab opens one more tab of the same browser.
func (b *Tab) NewTab() *Tab {
	b.t.Helper()
	ctx, closed := chromedp.NewContext(b.ctx)
	b.t.Cleanup(closed)
	if err := chromedp.Do(ctx); err != nil {
		b.t.Fatalf("opening a tab: %v", err)
	}
	return &Tab{t: b.t, ctx: ctx}
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

// Open types an address, and waits for the page.
func (b *Tab) Open(address string) {
	b.t.Helper()
	run(b, "opening "+address, chromedp.Navigate(address))
}

// Await waits until an element is to be seen, and gives its text.
func (b *Tab) Await(selector string) (text string) {
	b.t.Helper()
	return run(b, "waiting for "+selector, chromedp.Text(chromedp.CSS(selector), chromedp.NodeVisible))
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
