package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// watchDirs watches the folders in which a change may be one of policy, and no
// others. A folder may have been replaced by one of the same name, so each is
// watched anew.
func (w *fileWatcher) watchDirs(watcher *fsnotify.Watcher) error {
	dirs := w.dirs()
	for range maxUnsettled { // something may change before it is watched
		for _, watched := range watcher.WatchList() {
			if !slices.Contains(dirs, watched) {
				_ = watcher.Remove(watched) // first: by another name it may be among the folders
			}
		}
		var errs []error
		for _, dir := range dirs {
			errs = append(errs, watcher.Add(dir))
		}
		before := dirs
		if dirs = w.dirs(); slices.Equal(dirs, before) {
			return errors.Join(errs...)
		}
	}
	return errors.New("links on the way to the policy change all the time")
}

func (w *fileWatcher) dirs() []string {
	var dirs []string
	for _, f := range w.watched {
		for _, file := range f.files {
			dirs = append(dirs, dirsOnPath(file)...)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// dirsOnPath gives the folders that decide what a file holds: the one that it is
// in, and that of each link on the way there. Whoever checks out a repository
// beside the last one swaps a link far above the file. Where the way ends early,
// the last folder is the one in which the next step will appear.
func dirsOnPath(file string) []string {
	const maxLinks = 40 // links that the kernel follows, too
	file, err := filepath.Abs(file)
	if err != nil {
		return nil
	}
	var dirs []string
	resolved, remaining := string(filepath.Separator), splitPath(file)
	for links := 0; len(remaining) > 0 && links < maxLinks; {
		next := filepath.Join(resolved, remaining[0]) // at holds no link, so that .. leads up
		info, err := os.Lstat(next)
		if err != nil {
			return append(dirs, resolved)
		}
		remaining = remaining[1:]
		switch isLink := info.Mode()&os.ModeSymlink != 0; {
		case isLink:
			target, err := os.Readlink(next)
			dirs = append(dirs, resolved)
			if err != nil {
				return dirs
			}
			if filepath.IsAbs(target) {
				resolved = string(filepath.Separator)
			}
			remaining = append(splitPath(target), remaining...)
			links++
		case len(remaining) == 0:
			dirs = append(dirs, resolved)
		default:
			resolved = next
		}
	}
	return dirs
}

// splitPath takes a path apart.
func splitPath(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}
