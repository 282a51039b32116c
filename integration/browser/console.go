package browser

import (
	"fmt"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
)

// console collects what pages complain about. It is safe for concurrent use.
type console struct {
	mu         sync.Mutex
	complaints []string
}

// listen is called by the goroutine that reads the messages of a tab.
func (c *console) listen(event any) {
	complaint := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		complaint = entryComplaint(e.Entry)
	case *runtime.EventExceptionThrown:
		complaint = "uncaught exception: " + e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			complaint += " " + thrown.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			complaint = "console.error"
			for _, arg := range e.Args {
				complaint += " " + string(arg.Value) + arg.Description
			}
		}
	}
	if complaint != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.complaints = append(c.complaints, complaint)
	}
}

// entryComplaint is empty for what is no mistake of a page. A status such as 403 is what many
// tests ask for.
func entryComplaint(e *log.Entry) string {
	isStatus := e.Source == log.EntrySourceNetwork && strings.Contains(e.Text, "the server responded with a status of")
	isFrame := strings.Contains(e.Text, "chrome-error://") // the page that takes the place of a refused frame
	if e.Level != log.EntryLevelError || isStatus || isFrame {
		return ""
	}
	return fmt.Sprintf("%s: %s (%s)", e.Source, e.Text, e.URL)
}

// take gives the complaints so far, once.
func (c *console) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.complaints
	c.complaints = nil
	return taken
}

// Complaints gives what pages of the profile complained about, which then fails no test.
func (b *Tab) Complaints() []string { return b.console.take() }
