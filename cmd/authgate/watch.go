package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
)

const (
	settle   = 100 * time.Millisecond // an editor or a kubelet makes several events of one change
	poll     = 30 * time.Second       // what no event tells: a network file system, a lost watch
	patience = 10                     // looks that find something new each time, until it is judged all the same
)

// policyWatch puts changed policy files in force, and changed candidates beside
// them. It watches folders and not files: a ConfigMap changes by a symlink beside
// the files that is swapped, and a watch on the old file would hear nothing.
type policyWatch struct {
	follows []*followed
	settle  time.Duration
	poll    time.Duration
	log     *slog.Logger
}

func newPolicyWatch(p *parts, gate *proxy.Proxy, log *slog.Logger) *policyWatch {
	upstreams, inForce := p.config.UpstreamNames(), p.policy.Rows()
	w := &policyWatch{settle: settle, poll: poll, log: log}
	w.follow(&followed{
		what: "policy", files: p.config.Policy.Files, judged: sum(p.sources, nil), upstreams: upstreams,
		take: func(s *policy.Snapshot) error {
			if err := shrunk(inForce, s.Rows()); err != nil && !p.config.Policy.AllowShrink {
				return err
			}
			inForce = s.Rows()
			gate.SetPolicy(s)
			return nil
		},
		keep: gate.KeepPolicy,
	})
	if len(p.config.Policy.Shadow) > 0 {
		w.follow(&followed{
			what: "candidate policy", files: p.config.Policy.Shadow, judged: sum(p.shadowSources, nil), upstreams: upstreams,
			take: func(s *policy.Snapshot) error { gate.SetShadow(s); return nil },
			keep: gate.KeepShadow,
		})
	}
	return w
}

func (w *policyWatch) follow(f *followed) {
	f.last = f.judged
	w.follows = append(w.follows, f)
}

// shrunk complains about a policy that lost more than half of its rows: a file
// that was cut between two rows loads well, and a deny may be what is missing.
func shrunk(had, has int) error {
	if 2*has >= had {
		return nil
	}
	return fmt.Errorf("only %d of %d rows would be left; "+
		"if that is meant, restart authgate, or set policy.allowShrink: true in its configuration beforehand", has, had)
}

// run follows the files until ctx ends; again asks for a look now.
func (w *policyWatch) run(ctx context.Context, again <-chan os.Signal) {
	var events <-chan fsnotify.Event
	var faults <-chan error
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		events, faults = watcher.Events, watcher.Errors
		err = w.watchFolders(watcher)
	}
	if err != nil {
		w.log.Warn("policy files are only looked at every "+w.poll.String(), "error", err,
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
	for {
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
			look()
		}
	}
}

// look looks at all files and reports whether to look again soon.
func (w *policyWatch) look() (unsettled bool) {
	for _, f := range w.follows {
		if f.look(w.log) {
			unsettled = true
		}
	}
	return unsettled
}

// ask makes the coming look answer in any case: complain again of what was refused
// before, or say where there is nothing to do.
func (w *policyWatch) ask() {
	for _, f := range w.follows {
		f.asked = true
	}
}

// followed is a list of policy files and what became of their last content.
type followed struct {
	what      string
	files     []string
	upstreams []string
	take      func(*policy.Snapshot) error // puts a sound policy in force, or says why not
	keep      func(error)                  // told why the last good one stays

	judged   [sha256.Size]byte // one change is one reload, or one complaint
	refused  bool              // it was a complaint
	last     [sha256.Size]byte // what the last look found
	restless int               // looks in a row that found something new
	asked    bool              // somebody waits for an answer
}

// look judges what two looks in a row have found: a file that is just being
// written may be cut anywhere, whoever asks. It reports whether to look again soon.
func (f *followed) look(log *slog.Logger) (unsettled bool) {
	sources, content, err := f.read()
	settled := content == f.last
	f.last = content
	switch {
	case content != f.judged:
		if f.restless++; !settled && f.restless < patience {
			return true
		}
		f.judge(sources, content, err)
	case f.asked && f.refused:
		f.judge(sources, content, err)
	case f.asked:
		log.Info(f.what+" is unchanged", "files", f.files)
	}
	f.asked, f.restless = false, 0
	return false
}

func (f *followed) read() (sources []policy.Source, content [sha256.Size]byte, err error) {
	sources, err = policy.ReadFiles(f.files...)
	return sources, sum(sources, err), err
}

func (f *followed) judge(sources []policy.Source, content [sha256.Size]byte, err error) {
	f.judged = content
	if err == nil {
		err = f.load(sources)
	}
	if f.refused = err != nil; f.refused {
		f.keep(err)
	}
}

func (f *followed) load(sources []policy.Source) error {
	snapshot, err := loadPolicy(sources, f.upstreams)
	if err != nil {
		return err
	}
	return f.take(snapshot)
}

// sum tells apart what the files held, or why they could not be read.
func sum(sources []policy.Source, err error) [sha256.Size]byte {
	if err != nil {
		return sha256.Sum256([]byte(err.Error()))
	}
	var all bytes.Buffer
	for _, s := range sources {
		one := sha256.Sum256(s.Data)
		all.Write(one[:])
	}
	return sha256.Sum256(all.Bytes())
}
