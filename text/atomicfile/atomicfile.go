// Package atomicfile replaces files as a whole: a reader sees the old contents or the new
// ones, and never a part.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Pending is the new contents of a file, on the disk next to it.
type Pending struct{ temp, name string }

// Create prepares a file that may exist, with these permissions.
func Create(name string, data []byte, perm fs.FileMode) (*Pending, error) {
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return nil, err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Chmod(perm), file.Sync(), file.Close()); err != nil {
		_ = os.Remove(file.Name())
		return nil, err
	}
	return &Pending{file.Name(), name}, nil
}

// Replace prepares new contents for an existing file, and keeps its permissions. It
// follows symlinks.
func Replace(name string, data []byte) (*Pending, error) {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, err
	}
	original, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !original.Mode().IsRegular() { // a pipe or a device would no longer exist
		return nil, errors.New("it is not a regular file")
	}
	return Create(name, data, original.Mode().Perm())
}

// KeepOwner gives the new contents the owner and the group of the existing file.
func (p *Pending) KeepOwner() error { return copyOwner(p.temp, p.name) }

// Commit puts the new contents in the place of the old ones.
func (p *Pending) Commit() error { return os.Rename(p.temp, p.name) }

// Discard removes contents that were not committed. After Commit it does nothing.
func (p *Pending) Discard() { _ = os.Remove(p.temp) }
