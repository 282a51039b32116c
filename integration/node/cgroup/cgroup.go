//go:build linux

// Package cgroup makes and removes the group of processes in which a node has its pods. It
// is the only thing of a node that is in no namespace.
package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	root     = "/sys/fs/cgroup"
	patience = 5 * time.Second // until the kernel lets go of processes that were killed
)

// groups are the paths of a group in each hierarchy, of which version 2 has one.
func groups(name string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return []string{filepath.Join(root, name)}, nil
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, entry := range entries {
		if entry.IsDir() { // others are links: cpu to cpu,cpuacct
			paths = append(paths, filepath.Join(root, entry.Name(), name))
		}
	}
	return paths, nil
}

// Create makes the group.
func Create(name string) error {
	paths, err := groups(name)
	for _, path := range paths {
		err = errors.Join(err, os.MkdirAll(path, 0o755))
	}
	return err
}

// Remove removes the group, and those below it, which no process may be in. It may be gone.
func Remove(name string) error {
	paths, err := groups(name)
	for _, path := range paths {
		deadline := time.Now().Add(patience)
		fault := remove(path)
		for ; errors.Is(fault, syscall.EBUSY) && time.Now().Before(deadline); fault = remove(path) {
			time.Sleep(10 * time.Millisecond)
		}
		if !errors.Is(fault, fs.ErrNotExist) {
			err = errors.Join(err, fault)
		}
	}
	return err
}

func remove(group string) error {
	var folders []string
	err := filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			folders = append(folders, path)
		}
		return err
	})
	for _, folder := range slices.Backward(folders) {
		if err != nil {
			break
		}
		err = syscall.Rmdir(folder)
	}
	return err
}
