package main

import (
	"bytes"
	"runtime/debug"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// sbomType is the media type of a CycloneDX document in JSON
// (https://cyclonedx.org/specification/overview/#registered-media-types).
const sbomType = "application/vnd.cyclonedx+json"

// sbom lists the modules that the toolchain recorded in a binary, with the version
// of Go itself. It holds no serial number, so that two builds are equal.
func sbom(b binary, version string, created time.Time) ([]byte, error) {
	main := cyclonedx.Component{
		BOMRef: purl(b.info.Main.Path, version), Type: cyclonedx.ComponentTypeApplication,
		Name: b.info.Main.Path, Version: version, PackageURL: purl(b.info.Main.Path, version),
		Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: license}}},
	}
	toolchain := strings.TrimPrefix(b.info.GoVersion, "go")
	components := []cyclonedx.Component{component("std", toolchain)}
	depends := []string{purl("std", toolchain)}
	for _, module := range b.info.Deps {
		module = replaced(module)
		components = append(components, component(module.Path, module.Version))
		depends = append(depends, purl(module.Path, module.Version))
	}
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Timestamp: created.Format(time.RFC3339), Component: &main}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: main.BOMRef, Dependencies: &depends}}
	var out bytes.Buffer
	err := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	return out.Bytes(), err
}

func component(path, version string) cyclonedx.Component {
	url := purl(path, version)
	return cyclonedx.Component{BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: url}
}

// purl is the package URL by which vulnerability scanners know a Go module
// (https://github.com/package-url/purl-spec, type golang).
func purl(path, version string) string { return "pkg:golang/" + path + "@" + version }

func replaced(m *debug.Module) *debug.Module {
	if m.Replace != nil {
		return m.Replace
	}
	return m
}
