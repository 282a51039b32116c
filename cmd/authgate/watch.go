package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/proxy"
)

const (
	settle = 100 * time.Millisecond // an editor or a kubelet makes several events of one change
	poll   = 30 * time.Second       // what no event tells: a network file system, a lost watch
)

// watchPolicy puts changed policy files in force until ctx ends. It watches the
// folders and not the files: a ConfigMap changes by a symlink beside them that
// is swapped, and a watch on the old file would hear nothing.
func watchPolicy(ctx context.Context, p *parts, gate *proxy.Proxy, log *slog.Logger) {
	w := policyWatch{files: p.config.Policy.Files, upstreams: p.config.UpstreamNames(), gate: gate, seen: sum(p.sources)}

	var events <-chan fsnotify.Event
	var faults <-chan error
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		events, faults = watcher.Events, watcher.Errors
		err = w.watchFolders(watcher)
	}
	if err != nil {
		log.Warn("policy files are only looked at every "+poll.String(), "error", err,
			"mend", "raise the kernel's inotify limits (fs.inotify.max_user_instances, max_user_watches)")
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	soon := time.NewTimer(settle) // once at the start: a change since the files were loaded
	defer soon.Stop()
	waiting := true // soon is running: more events must not put the look off, a busy folder has them all the time
	lookSoon := func() {
		if !waiting {
			soon.Reset(settle)
			waiting = true
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			lookSoon()
		case <-faults: // events were lost
			lookSoon()
		case <-soon.C:
			waiting = false
			w.look()
		case <-ticker.C:
			w.look()
		}
	}
}

// policyWatch remembers what it saw last, so that one change is one reload and
// one complaint.
type policyWatch struct {
	files     []string
	upstreams []string
	gate      *proxy.Proxy
	seen      [sha256.Size]byte
}

// watchFolders watches the folder of each file, and of what it links to.
func (w *policyWatch) watchFolders(watcher *fsnotify.Watcher) error {
	for _, file := range w.files {
		if err := watcher.Add(filepath.Dir(file)); err != nil {
			return err
		}
		if real, err := filepath.EvalSymlinks(file); err == nil {
			if err := watcher.Add(filepath.Dir(real)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *policyWatch) look() {
	sources, err := policy.ReadFiles(w.files...)
	now := sum(sources)
	if err != nil {
		now = sha256.Sum256([]byte(err.Error()))
	}
	if now == w.seen {
		return
	}
	w.seen = now
	if err != nil {
		w.gate.KeepPolicy(err)
		return
	}
	snapshot, err := policy.Load(sources, w.upstreams)
	if err != nil {
		w.gate.KeepPolicy(err)
		return
	}
	w.gate.SetPolicy(snapshot)
}

// sum tells apart what the files held.
func sum(sources []policy.Source) [sha256.Size]byte {
	var all bytes.Buffer
	for _, s := range sources {
		one := sha256.Sum256(s.Data)
		all.Write(one[:])
	}
	return sha256.Sum256(all.Bytes())
}
