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
	settle   = 100 * time.Millisecond // an editor or a kubelet makes several events of one change
	poll     = time.Second            // what no event tells (a network file system, a lost watch) shows in names, times and sizes
	reread   = 30                     // polls, until contents are compared whatever those say
	patience = 10                     // looks that find something new each time, until it is judged all the same
)

// fileWatch takes changed files: policies, candidates beside them, a certificate.
// It watches folders and not files: a ConfigMap changes by a symlink beside the
// files that is swapped, and a watch on the old file would hear nothing.
type fileWatch struct {
	follows []*followed
	settle  time.Duration
	poll    time.Duration
	log     *slog.Logger
	reloads *prometheus.CounterVec // of secrets and CAs, by key and result; nil: not counted
}

func newFileWatch(log *slog.Logger) *fileWatch {
	return &fileWatch{settle: settle, poll: poll, log: log}
}

func (w *fileWatch) follow(f *followed) {
	f.last = f.judged
	w.follows = append(w.follows, f)
}

// run follows the files until ctx ends; again asks for a look now.
func (w *fileWatch) run(ctx context.Context, again <-chan os.Signal) {
	var events <-chan fsnotify.Event
	var faults <-chan error
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		events, faults = watcher.Events, watcher.Errors
		err = w.watchFolders(watcher)
	}
	if err != nil {
		w.log.Warn("changed files are only looked for every "+w.poll.String(), "error", err,
			"mend", "raise the kernel's inotify limits (fs.inotify.max_user_instances, max_user_watches)")
	}
	ticker := time.NewTicker(w.poll)
	defer ticker.Stop()
	soon := time.NewTimer(w.settle) // once at the start: a change since the files were loaded
	defer soon.Stop()
	waiting := true // soon is running: more events must not put the look off, a busy folder has them all the time
	lookSoon := func() {
		if !waiting {
			soon.Reset(w.settle)
			waiting = true
		}
	}
	look := func() {
		if watcher != nil {
			_ = w.watchFolders(watcher) // others may matter by now; what cannot be read, reading tells
		}
		if w.look() {
			lookSoon()
		}
	}
	for polls := 1; ; {
		select {
		case <-ctx.Done():
			return
		case <-again:
			w.ask()
			lookSoon()
		case <-events:
			lookSoon()
		case <-faults: // events were lost
			lookSoon()
		case <-soon.C:
			waiting = false
			look()
		case <-ticker.C:
			if polls++; w.moved() || polls%reread == 0 {
				look()
			}
		}
	}
}

// look looks at all files and reports whether to look again soon.
func (w *fileWatch) look() (unsettled bool) {
	for _, f := range w.follows {
		if f.look(w.log) {
			unsettled = true
		}
	}
	return unsettled
}

// moved reports whether a file is another one than at the last poll, or was written to.
func (w *fileWatch) moved() (moved bool) {
	for _, f := range w.follows {
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
			moved = moved || (was == nil) != (info == nil) ||
				info != nil && (!os.SameFile(was, info) || !was.ModTime().Equal(info.ModTime()) || was.Size() != info.Size())
		}
	}
	return moved
}

// ask makes the coming look answer in any case: complain again of what was refused
// before, or say where there is nothing to do.
func (w *fileWatch) ask() {
	for _, f := range w.follows {
		f.asked = true
	}
}

// followed is a list of files that mean something together, and what became of
// their last content.
type followed struct {
	what  string
	files []string
	read  func(files ...string) ([][]byte, error)
	take  func(contents [][]byte) error // puts what is sound in force, or says why not
	keep  func(error)                   // told why the last good one stays

	stats []os.FileInfo // of files at the last poll; nil: not there

	judged   [sha256.Size]byte // one change is one reload, or one complaint
	refused  bool              // it was a complaint
	last     [sha256.Size]byte // what the last look found
	restless int               // looks in a row that found something new
	asked    bool              // somebody waits for an answer
}

// look judges what two looks in a row have found: a file that is just being
// written may be cut anywhere, whoever asks. It reports whether to look again soon.
func (f *followed) look(log *slog.Logger) (unsettled bool) {
	contents, err := f.read(f.files...)
	content := sum(contents, err)
	settled := content == f.last
	f.last = content
	switch {
	case content != f.judged:
		if f.restless++; !settled && f.restless < patience {
			return true
		}
		f.judge(contents, content, err)
	case f.asked && f.refused:
		f.judge(contents, content, err)
	case f.asked:
		log.Info(f.what+" is unchanged", "files", f.files)
	}
	f.asked, f.restless = false, 0
	return false
}

func (f *followed) judge(contents [][]byte, content [sha256.Size]byte, err error) {
	f.judged = content
	if err == nil {
		err = f.take(contents)
	}
	if f.refused = err != nil; f.refused {
		f.keep(err)
	}
}

// sum tells apart what the files held, or why they could not be read.
func sum(contents [][]byte, err error) [sha256.Size]byte {
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
