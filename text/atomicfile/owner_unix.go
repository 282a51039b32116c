//go:build unix

package atomicfile

import (
	"fmt"
	"os"
	"syscall"
)

// copyOwner gives a new file the owner and the group of the one that it replaces.
func copyOwner(file, of string) error {
	was, err := os.Stat(of)
	if err != nil {
		return err
	}
	is, err := os.Stat(file)
	if err != nil {
		return err
	}
	wanted, known := was.Sys().(*syscall.Stat_t)
	has, knownToo := is.Sys().(*syscall.Stat_t)
	switch {
	case !known || !knownToo:
		return fmt.Errorf("the owner of %s is not known", of)
	case wanted.Uid == has.Uid && wanted.Gid == has.Gid:
		return nil
	}
	return os.Chown(file, int(wanted.Uid), int(wanted.Gid))
}
