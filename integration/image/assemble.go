package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	license    = "Apache-2.0"
	repository = "ghcr.io/example-org/authgate"
	sourceURL  = "https://github.com/example-org/authgate"
	user       = "65532:65532" // the nonroot user of common base images
)

var architectures = []string{"amd64", "arm64"}

// release is a multi-platform image and the SBOMs that refer to its parts.
type release struct {
	tag   string
	index v1.ImageIndex
	sboms []v1.Image
}

// names are the annotations from which containerd ("ctr images import") and others
// take the name of an image in a layout.
func (r release) names() map[string]string {
	return map[string]string{
		"io.containerd.image.name":          repository + ":" + r.tag,
		"org.opencontainers.image.ref.name": r.tag,
	}
}

// assemble compiles authgate for each architecture and puts the images together.
func (s source) assemble(ctx context.Context, progress io.Writer) (release, error) {
	out := release{tag: s.tag(), index: mutate.IndexMediaType(empty.Index, types.OCIImageIndex)}
	for _, arch := range architectures {
		compiled, err := s.compile(ctx, arch, progress)
		if err != nil {
			return release{}, err
		}
		image, err := s.image(compiled, arch)
		if err != nil {
			return release{}, fmt.Errorf("image for %s: %w", arch, err)
		}
		digest, err := image.Digest()
		if err != nil {
			return release{}, err
		}
		attached, err := s.attachedSBOM(compiled, image)
		if err != nil {
			return release{}, fmt.Errorf("SBOM for %s of %s: %w", arch, digest, err)
		}
		out.sboms = append(out.sboms, attached)
		out.index = mutate.AppendManifests(out.index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	return out, nil
}

func (s source) image(b binary, arch string) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(base, &v1.ConfigFile{
		OS: "linux", Architecture: arch, Created: v1.Time{Time: s.created},
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User: user, Entrypoint: []string{"/" + binaryPath}, Cmd: []string{"serve"}, Labels: s.labels(b),
			Env: []string{"PATH=/usr/local/bin"},
		},
	})
	if err != nil {
		return nil, err
	}
	for _, f := range []file{{rootsPath, 0o644, roots()}, {binaryPath, 0o755, b.content}} {
		packed, err := layer(f, s.created)
		if err != nil {
			return nil, err
		}
		image, err = mutate.Append(image, mutate.Addendum{
			Layer:   packed,
			History: v1.History{Created: v1.Time{Time: s.created}, CreatedBy: "/" + f.path},
		})
		if err != nil {
			return nil, err
		}
	}
	return image, nil
}

// labels are the annotation keys of the OCI image specification, annotations.md.
func (s source) labels(b binary) map[string]string {
	const key = "org.opencontainers.image."
	return map[string]string{
		key + "title":       "authgate",
		key + "description": "One login and one policy file in front of Argo CD, Argo Workflows and other dashboards",
		key + "source":      sourceURL,
		key + "version":     s.release(b),
		key + "revision":    s.commit,
		key + "licenses":    license,
		key + "created":     s.created.Format("2006-01-02T15:04:05Z07:00"),
	}
}

// attachedSBOM is an OCI artefact whose subject is the image: registries list it
// as a referrer (OCI distribution specification, "Listing Referrers").
func (s source) attachedSBOM(b binary, image v1.Image) (v1.Image, error) {
	document, err := sbom(b, s.release(b), s.created)
	if err != nil {
		return nil, err
	}
	subject, err := partial.Descriptor(image)
	if err != nil {
		return nil, err
	}
	artefact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), sbomType)
	artefact, err = mutate.Append(artefact, mutate.Addendum{Layer: static.NewLayer(document, sbomType)})
	if err != nil {
		return nil, err
	}
	attached, ok := mutate.Subject(artefact, *subject).(v1.Image)
	if !ok {
		return nil, errors.New("the library returned no image")
	}
	return attached, nil
}

// writeLayout writes the image and its SBOMs as an OCI image layout and returns
// the image's digest.
func (r release) writeLayout(dir string) (v1.Hash, error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return v1.Hash{}, fmt.Errorf("%s is not empty: name a new folder", dir)
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := path.AppendIndex(r.index, layout.WithAnnotations(r.names())); err != nil {
		return v1.Hash{}, err
	}
	for _, document := range r.sboms {
		if err := path.AppendImage(document); err != nil {
			return v1.Hash{}, err
		}
	}
	return r.index.Digest()
}

// push uploads all of it with the credentials of the Docker configuration.
func (r release) push(ctx context.Context, reference string) error {
	tag, err := name.ParseReference(reference)
	if err != nil {
		return err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if err := remote.WriteIndex(tag, r.index, options...); err != nil {
		return err
	}
	for _, document := range r.sboms {
		digest, err := document.Digest()
		if err != nil {
			return err
		}
		if err := remote.Write(tag.Context().Digest(digest.String()), document, options...); err != nil {
			return err
		}
	}
	return nil
}
