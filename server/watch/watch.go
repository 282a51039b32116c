// Package watch detects changed files and reads them again. It polls: a second is
// soon enough for a reload, and polling works for every way to change a file, such as
// an edit in place, a rename, a swapped symlink above it, or a network file system.
// The package knows files and nothing of what they mean.
package watch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"time"
)

// The intervals between looks at files. Only stat is called every PollInterval.
const (
	PollInterval = time.Second
	SettleDelay  = 100 * time.Millisecond // before a changed file is read again

	rereadEvery  = 30 // polls, after which contents are compared even if stat shows no change
	maxUnsettled = 10 // consecutive looks at changing contents, until they are used nevertheless
)

// Files are files that have a meaning together, and what to do when they change.
type Files struct {
	Name  string   // for the log
	Paths []string // none: Read has another source, which calls Notify

	Read    func() ([][]byte, error)      // the contents that Apply receives
	Apply   func(contents [][]byte) error // uses valid contents; an error keeps the previous ones
	OnError func(error)                   // reports an error of Read or Apply

	stats []os.FileInfo // of Paths at the last poll; nil: the file does not exist

	processed       [sha256.Size]byte // contents that Apply or OnError received: each gets one call
	rejected        bool              // it was OnError
	lastSeen        [sha256.Size]byte // contents at the last look
	unsettled       int               // consecutive looks that found other contents
	reloadRequested bool
}

// Watcher reloads changed files.
type Watcher struct {
	log                       *slog.Logger
	files                     []*Files
	settleDelay, pollInterval time.Duration
	notified                  chan struct{}
}

// New returns a Watcher without files.
func New(log *slog.Logger) *Watcher {
	return &Watcher{log: log, settleDelay: SettleDelay, pollInterval: PollInterval, notified: make(chan struct{}, 1)}
}

// Notify requests a look soon, for contents that are not in files. It never waits, and may be
// called at any time.
func (w *Watcher) Notify() {
	select {
	case w.notified <- struct{}{}:
	default: // a look is due already
	}
}

// Add has Run watch f, whose contents were loaded before. It must not be called
// after Run.
func (w *Watcher) Add(f *Files, loaded [][]byte) {
	f.processed = contentHash(loaded, nil)
	f.lastSeen = f.processed
	w.files = append(w.files, f)
}

// Run watches until ctx ends. A value of reload requests a look now, and a report even
// if nothing changed.
func (w *Watcher) Run(ctx context.Context, reload <-chan os.Signal) {
	timer := time.NewTimer(w.settleDelay)
	defer timer.Stop()
	soon := true // the timer runs for settleDelay; first because files may have changed since they were loaded
	for polls := 1; ; {
		select {
		case <-ctx.Done():
			return
		case <-reload:
			w.requestReload()
			if !soon {
				timer.Reset(w.settleDelay)
				soon = true
			}
		case <-w.notified:
			if !soon {
				timer.Reset(w.settleDelay)
				soon = true
			}
		case <-timer.C:
			polls++
			if changed := w.statChanged(); changed || soon || polls%rereadEvery == 0 {
				soon = w.Check()
			}
			timer.Reset(w.nextDelay(soon))
		}
	}
}

func (w *Watcher) nextDelay(soon bool) time.Duration {
	if soon {
		return w.settleDelay
	}
	return w.pollInterval
}

// Check reads all files once, and reports whether to read them again after SettleDelay.
func (w *Watcher) Check() (unsettled bool) {
	for _, f := range w.files {
		if f.check(w.log) {
			unsettled = true
		}
	}
	return unsettled
}

// statChanged reports whether a path names another file than at the last poll, or its
// file was written to.
func (w *Watcher) statChanged() (changed bool) {
	for _, f := range w.files {
		if f.stats == nil {
			f.stats = make([]os.FileInfo, len(f.Paths))
		}
		for i, file := range f.Paths {
			info, err := os.Stat(file)
			if err != nil {
				info = nil
			}
			changed = changed || !sameFile(f.stats[i], info)
			f.stats[i] = info
		}
	}
	return changed
}

func sameFile(before, now os.FileInfo) bool {
	if before == nil || now == nil {
		return before == nil && now == nil
	}
	return os.SameFile(before, now) && before.ModTime().Equal(now.ModTime()) && before.Size() == now.Size()
}

// requestReload has the next look report in any case: it repeats the error of rejected
// contents, or logs that nothing changed.
func (w *Watcher) requestReload() {
	for _, f := range w.files {
		f.reloadRequested = true
	}
}

// check processes changed contents once two consecutive looks found the same, because a
// file that is being written is incomplete. It reports whether to look again soon.
func (f *Files) check(log *slog.Logger) (unsettled bool) {
	contents, err := f.Read()
	content := contentHash(contents, err)
	stable := content == f.lastSeen
	f.lastSeen = content
	switch {
	case content != f.processed:
		if f.unsettled++; !stable && f.unsettled < maxUnsettled {
			return true
		}
		f.process(contents, content, err)
	case f.reloadRequested && f.rejected:
		f.process(contents, content, err)
	case f.reloadRequested:
		log.Info(f.Name+" is unchanged", "files", f.Paths)
	}
	f.reloadRequested, f.unsettled = false, 0
	return false
}

func (f *Files) process(contents [][]byte, content [sha256.Size]byte, err error) {
	f.processed = content
	if err == nil {
		err = f.Apply(contents)
	}
	if f.rejected = err != nil; f.rejected {
		f.OnError(err)
	}
}

// contentHash identifies contents, or the reason why they cannot be read.
func contentHash(contents [][]byte, err error) [sha256.Size]byte {
	if err != nil {
		return sha256.Sum256([]byte(err.Error()))
	}
	var all bytes.Buffer
	for _, data := range contents {
		one := sha256.Sum256(data)
		all.Write(one[:])
	}
	return sha256.Sum256(all.Bytes())
}
