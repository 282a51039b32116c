package cli

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteTempFile writes a text to a new file in the folder of another one, with the
// mode of that one.
func WriteTempFile(name string, text []byte) (temp string, err error) {
	original, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !original.Mode().IsRegular() { // a pipe or a device would be gone
		return "", errors.New("it is not a regular file")
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	if _, err = file.Write(text); err != nil {
		return "", err
	}
	if err = file.Chmod(original.Mode().Perm()); err != nil {
		return "", err
	}
	return file.Name(), file.Sync()
}
