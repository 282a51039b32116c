package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Paths inside of the image. Go looks for the CA certificates there
// (crypto/x509/root_linux.go).
const (
	binaryPath = "usr/local/bin/authgate"
	rootsPath  = "etc/ssl/certs/ca-certificates.crt"
)

// roots are the CA certificates that Mozilla trusts, of the version that go.mod
// pins. A root with a constraint that a PEM file cannot express is left out.
func roots() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a Buffer takes all
		}
	}
	return out.Bytes()
}

// file is one file of a layer, owned by root.
type file struct {
	path    string
	mode    int64
	content []byte
}

// layer packs a file and its folders. Equal input gives equal bytes.
func layer(f file, created time.Time) (v1.Layer, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for i, c := range f.path {
		if c != '/' {
			continue
		}
		header := tar.Header{Typeflag: tar.TypeDir, Name: f.path[:i+1], Mode: 0o755, ModTime: created}
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
	}
	header := tar.Header{Typeflag: tar.TypeReg, Name: f.path, Mode: f.mode, Size: int64(len(f.content)), ModTime: created}
	if err := w.WriteHeader(&header); err != nil {
		return nil, err
	}
	if _, err := w.Write(f.content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}
