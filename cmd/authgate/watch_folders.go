package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// watchFolders watches the folders in which a change may be one of policy, and no
// others. A folder may have been replaced by one of the same name, so each is
// watched anew.
func (w *fileWatch) watchFolders(watcher *fsnotify.Watcher) error {
	folders := w.folders()
	for range patience { // something may change before it is watched
		for _, watched := range watcher.WatchList() {
			if !slices.Contains(folders, watched) {
				_ = watcher.Remove(watched) // first: by another name it may be among the folders
			}
		}
		var errs []error
		for _, folder := range folders {
			errs = append(errs, watcher.Add(folder))
		}
		before := folders
		if folders = w.folders(); slices.Equal(folders, before) {
			return errors.Join(errs...)
		}
	}
	return errors.New("links on the way to the policy change all the time")
}

func (w *fileWatch) folders() []string {
	var folders []string
	for _, f := range w.follows {
		for _, file := range f.files {
			folders = append(folders, foldersOf(file)...)
		}
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}

// foldersOf gives the folders that decide what a file holds: the one that it is
// in, and that of each link on the way there. Whoever checks out a repository
// beside the last one swaps a link far above the file. Where the way ends early,
// the last folder is the one in which the next step will appear.
func foldersOf(file string) []string {
	const most = 40 // links that the kernel follows, too
	file, err := filepath.Abs(file)
	if err != nil {
		return nil
	}
	var folders []string
	at, ahead := string(filepath.Separator), steps(file)
	for links := 0; len(ahead) > 0 && links < most; {
		next := filepath.Join(at, ahead[0]) // at holds no link, so that .. leads up
		info, err := os.Lstat(next)
		if err != nil {
			return append(folders, at)
		}
		ahead = ahead[1:]
		switch isLink := info.Mode()&os.ModeSymlink != 0; {
		case isLink:
			target, err := os.Readlink(next)
			folders = append(folders, at)
			if err != nil {
				return folders
			}
			if filepath.IsAbs(target) {
				at = string(filepath.Separator)
			}
			ahead = append(steps(target), ahead...)
			links++
		case len(ahead) == 0:
			folders = append(folders, at)
		default:
			at = next
		}
	}
	return folders
}

// steps takes a path apart.
func steps(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}
