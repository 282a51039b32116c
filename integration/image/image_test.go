package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const testVersion = "v9.8.7"

// TestImage builds what the command builds, reads it back from disk, and looks at
// it as a registry, a container runtime and a scanner do.
func TestImage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	src, err := readSource(t.Context(), "../..", testVersion)
	if err != nil {
		t.Fatal(err)
	}
	built, err := src.assemble(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	digest, err := built.writeLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := built.writeLayout(dir); err == nil {
		t.Error("a second image was written over the first")
	}
	stored, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := stored.ImageIndex(digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Errorf("the index is invalid: %v", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
		image, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(m.Platform.Architecture, func(t *testing.T) {
			checkConfig(t, image, src)
			checkFiles(t, image, m.Platform.Architecture)
			checkSBOM(t, stored, m.Digest)
			if m.Platform.Architecture == runtime.GOARCH {
				runImage(t, image)
			}
		})
	}
	if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(platforms, want) {
		t.Errorf("platforms %v, want %v", platforms, want)
	}
	again, err := src.assemble(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if second, err := again.index.Digest(); err != nil || second != digest {
		t.Errorf("the second build is %s (%v), the first %s", second, err, digest)
	}
}

func checkConfig(t *testing.T, image v1.Image, src source) {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if file.Config.User != "65532:65532" {
		t.Errorf("user %q", file.Config.User)
	}
	for key, want := range map[string]string{
		"source": "https://github.com/example-org/authgate", "version": testVersion, "revision": src.commit, "licenses": "Apache-2.0",
	} {
		if got := file.Config.Labels["org.opencontainers.image."+key]; got != want {
			t.Errorf("label %s is %q, want %q", key, got, want)
		}
	}
}

// checkFiles checks that a binary and the CA certificates are all that there is.
func checkFiles(t *testing.T, image v1.Image, arch string) {
	t.Helper()
	files := unpack(t, image)
	if want := []string{"etc/ssl/certs/ca-certificates.crt", "usr/local/bin/authgate"}; !slices.Equal(slices.Sorted(maps.Keys(files)), want) {
		t.Fatalf("files %q, want %q", slices.Sorted(maps.Keys(files)), want)
	}
	if n := certificates(t, files[rootsPath]); n < 100 {
		t.Errorf("%d CA certificates", n)
	}
	program, err := elf.NewFile(bytes.NewReader(files[binaryPath]))
	if err != nil {
		t.Fatal(err)
	}
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	if program.Machine != machines[arch] {
		t.Errorf("the binary is for %s", program.Machine)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary wants a dynamic linker")
		}
	}
}

func unpack(t *testing.T, image v1.Image) map[string][]byte {
	t.Helper()
	packed := mutate.Extract(image)
	defer packed.Close()
	files := make(map[string][]byte)
	for archive := tar.NewReader(packed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Mode&0o022 != 0 {
			t.Errorf("%s belongs to %d:%d with mode %o", header.Name, header.Uid, header.Gid, header.Mode)
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

func certificates(t *testing.T, text []byte) (n int) {
	t.Helper()
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return n
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			t.Error(err)
		}
		n++
	}
}

// checkSBOM finds the document as a client of the referrers API does: by its
// subject.
func checkSBOM(t *testing.T, stored v1.ImageIndex, subject v1.Hash) {
	t.Helper()
	manifest, err := stored.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		if m.ArtifactType != sbomType {
			continue
		}
		artefact, err := stored.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if described, err := artefact.Manifest(); err != nil || described.Subject == nil || described.Subject.Digest != subject {
			continue
		}
		document := onlyLayer(t, artefact)
		for _, want := range []string{`"bomFormat": "CycloneDX"`, "pkg:golang/github.com/casbin/casbin/v2@v2.", "pkg:golang/std@1.", `"version": "` + testVersion + `"`} {
			if !bytes.Contains(document, []byte(want)) {
				t.Errorf("the SBOM lacks %s", want)
			}
		}
		return
	}
	t.Errorf("no SBOM refers to %s", subject)
}

func onlyLayer(t *testing.T, artefact v1.Image) []byte {
	t.Helper()
	layers, err := artefact.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	document, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// runImage starts the image as a kubelet would under the restricted Pod Security
// standard: not as root, without capabilities, on a read-only root.
func runImage(t *testing.T, image v1.Image) {
	t.Helper()
	runc, err := exec.LookPath("runc")
	if err != nil || os.Getuid() != 0 {
		t.Logf("not run: runc and root are needed (%v)", err)
		return
	}
	bundle := t.TempDir()
	for path, content := range unpack(t, image) {
		write(t, filepath.Join(bundle, "rootfs", path), content)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(bundle, "config.json"), runtimeSpec(t, file.Config, "version"))
	state := filepath.Join(t.TempDir(), "state")
	id := fmt.Sprintf("authgate-image-%d", time.Now().UnixNano())
	out, err := exec.CommandContext(t.Context(), runc, "--root", state, "run", "--bundle", bundle, id).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "authgate "+testVersion+" ") {
		t.Errorf("the container printed %q, %v", out, err)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, fs.FileMode(0o755)); err != nil {
		t.Fatal(err)
	}
}

// runtimeSpec is what a container runtime makes of an image's configuration
// (OCI image specification, conversion.md).
func runtimeSpec(t *testing.T, config v1.Config, args ...string) []byte {
	t.Helper()
	var uid, gid int
	if _, err := fmt.Sscanf(config.User, "%d:%d", &uid, &gid); err != nil {
		t.Fatal(err)
	}
	object := func(pairs ...any) map[string]any {
		m := make(map[string]any)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	}
	var namespaces []any
	for _, kind := range []string{"pid", "network", "ipc", "uts", "mount"} {
		namespaces = append(namespaces, object("type", kind))
	}
	spec, err := json.Marshal(object(
		"ociVersion", "1.0.2",
		"process", object("cwd", "/", "env", config.Env, "noNewPrivileges", true,
			"args", append(slices.Clone(config.Entrypoint), args...), "user", object("uid", uid, "gid", gid)),
		"root", object("path", "rootfs", "readonly", true),
		"mounts", []any{object("destination", "/proc", "type", "proc", "source", "proc")},
		"linux", object("namespaces", namespaces)))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}
