// Package oci makes container images of files, without a container engine.
package oci

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Image is what an image has. All of it is in one layer.
type Image struct {
	Name       string            // with its tag
	Entrypoint []string          //
	Files      map[string]string // :: path in the image → path here; a program, which all may run
}

// user is not root: Pod Security's restricted standard asks for that.
const user = "65532:65532"

// Write makes the archive that `ctr images import` and `kind load image-archive` read.
func Write(archive string, i Image) error {
	layer, err := i.layer()
	if err != nil {
		return fmt.Errorf("making the image %s: %w", i.Name, err)
	}
	packed, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil })
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, packed)
	if err != nil {
		return err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return err
	}
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{User: user, Entrypoint: i.Entrypoint, Env: []string{"PATH=/usr/bin:/bin", "HOME=/tmp"}}
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return err
	}
	tag, err := name.NewTag(i.Name)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(archive, tag, image)
}

func (i Image) layer() ([]byte, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	folders := map[string]bool{}
	for _, to := range slices.Sorted(maps.Keys(i.Files)) {
		if err := addFolders(w, strings.TrimPrefix(path.Dir(to), "/"), folders); err != nil {
			return nil, err
		}
		content, err := os.ReadFile(i.Files[to])
		if err != nil {
			return nil, err
		}
		header := tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(to, "/"), Mode: 0o755, Size: int64(len(content))}
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	// Servers write here, where a pod mounts nothing else.
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
		return nil, err
	}
	err := w.Close()
	return packed.Bytes(), err
}

func addFolders(w *tar.Writer, folder string, made map[string]bool) error {
	if folder == "" || folder == "." || made[folder] {
		return nil
	}
	if err := addFolders(w, path.Dir(folder), made); err != nil {
		return err
	}
	made[folder] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755})
}
