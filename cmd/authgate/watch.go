package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	settleDelay  = 100 * time.Millisecond // an editor or a kubelet makes several events of one change
	pollInterval = time.Second            // what no event tells (a network file system, a lost watch) shows in names, times and sizes
	rereadEvery  = 30                     // polls, until contents are compared whatever those say
	maxUnsettled = 10                     // looks that find something new each time, until it is judged all the same
)

// fileWatcher takes changed files: policies, candidates beside them, a certificate.
// It watches folders and not files: a ConfigMap changes by a symlink beside the
// files that is swapped, and a watch on the old file would hear nothing.
type fileWatcher struct {
	watched      []*watchedFiles
	settleDelay  time.Duration
	pollInterval time.Duration
	log          *slog.Logger
	reloads      *prometheus.CounterVec // of secrets and CAs, by key and result; nil: not counted
}

func newFileWatcher(log *slog.Logger) *fileWatcher {
	return &fileWatcher{settleDelay: settleDelay, pollInterval: pollInterval, log: log}
}

func (w *fileWatcher) add(f *watchedFiles) {
	f.lastSeen = f.processed
	w.watched = append(w.watched, f)
}

// run follows the files until ctx ends; again asks for a look now.
func (w *fileWatcher) run(ctx context.Context, reload <-chan os.Signal) {
	var events <-chan fsnotify.Event
	var watchErrors <-chan error
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		events, watchErrors = watcher.Events, watcher.Errors
		err = w.watchDirs(watcher)
	}
	if err != nil {
		w.log.Warn("changed files are only looked for every "+w.pollInterval.String(), "error", err,
			"mend", "raise the kernel's inotify limits (fs.inotify.max_user_instances, max_user_watches)")
	}
	ticker := time.NewTicker(w.pollInterval)
	defer ticker.Stop()
	timer := time.NewTimer(w.settleDelay) // once at the start: a change since the files were loaded
	defer timer.Stop()
	pending := true // soon is running: more events must not put the look off, a busy folder has them all the time
	checkSoon := func() {
		if !pending {
			timer.Reset(w.settleDelay)
			pending = true
		}
	}
	check := func() {
		if watcher != nil {
			_ = w.watchDirs(watcher) // others may matter by now; what cannot be read, reading tells
		}
		if w.check() {
			checkSoon()
		}
	}
	for polls := 1; ; {
		select {
		case <-ctx.Done():
			return
		case <-reload:
			w.requestReload()
			checkSoon()
		case <-events:
			checkSoon()
		case <-watchErrors: // events were lost
			checkSoon()
		case <-timer.C:
			pending = false
			check()
		case <-ticker.C:
			if polls++; w.statChanged() || polls%rereadEvery == 0 {
				check()
			}
		}
	}
}

// check looks at all files and reports whether to look again soon.
func (w *fileWatcher) check() (unsettled bool) {
	for _, f := range w.watched {
		if f.check(w.log) {
			unsettled = true
		}
	}
	return unsettled
}

// statChanged reports whether a file is another one than at the last poll, or was written to.
func (w *fileWatcher) statChanged() (changed bool) {
	for _, f := range w.watched {
		for i, file := range f.files {
			info, err := os.Stat(file)
			if err != nil {
				info = nil
			}
			if len(f.stats) < len(f.files) {
				f.stats = make([]os.FileInfo, len(f.files))
			}
			was := f.stats[i]
			f.stats[i] = info
			changed = changed || (was == nil) != (info == nil) ||
				info != nil && (!os.SameFile(was, info) || !was.ModTime().Equal(info.ModTime()) || was.Size() != info.Size())
		}
	}
	return changed
}

// requestReload makes the coming look answer in any case: complain again of what was refused
// before, or say where there is nothing to do.
func (w *fileWatcher) requestReload() {
	for _, f := range w.watched {
		f.reloadRequested = true
	}
}

// watchedFiles is a list of files that mean something together, and what became of
// their last content.
type watchedFiles struct {
	what    string
	files   []string
	read    func(files ...string) ([][]byte, error)
	apply   func(contents [][]byte) error // puts what is sound in force, or says why not
	onError func(error)                   // told why the last good one stays

	stats []os.FileInfo // of files at the last poll; nil: not there

	processed       [sha256.Size]byte // one change is one reload, or one complaint
	rejected        bool              // it was a complaint
	lastSeen        [sha256.Size]byte // what the last look found
	unsettled       int               // looks in a row that found something new
	reloadRequested bool              // somebody waits for an answer
}

// check judges what two looks in a row have found: a file that is just being
// written may be cut anywhere, whoever asks. It reports whether to look again soon.
func (f *watchedFiles) check(log *slog.Logger) (unsettled bool) {
	contents, err := f.read(f.files...)
	content := contentHash(contents, err)
	stable := content == f.lastSeen
	f.lastSeen = content
	switch {
	case content != f.processed:
		if f.unsettled++; !stable && f.unsettled < maxUnsettled {
			return true
		}
		f.reload(contents, content, err)
	case f.reloadRequested && f.rejected:
		f.reload(contents, content, err)
	case f.reloadRequested:
		log.Info(f.what+" is unchanged", "files", f.files)
	}
	f.reloadRequested, f.unsettled = false, 0
	return false
}

func (f *watchedFiles) reload(contents [][]byte, content [sha256.Size]byte, err error) {
	f.processed = content
	if err == nil {
		err = f.apply(contents)
	}
	if f.rejected = err != nil; f.rejected {
		f.onError(err)
	}
}

// contentHash tells apart what the files held, or why they could not be read.
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
