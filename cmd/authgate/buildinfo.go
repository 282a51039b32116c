package main

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// version is set by release builds: -ldflags "-X main.version=v1.2.3".
var version string

// buildInfo says what a binary was built from. `authgate version`, the log and the
// metrics all read it here.
type buildInfo struct {
	version   string // of the release, or what the toolchain derives from the checkout
	revision  string // commit, with -dirty if files were changed; "unknown" outside of a checkout
	goVersion string
}

func readBuildInfo() buildInfo {
	b := buildInfo{version: version, revision: "unknown", goVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if ok && b.version == "" && info.Main.Version != "(devel)" { // which says nothing
		b.version = info.Main.Version
	}
	if b.version == "" {
		b.version = "unknown"
	}
	if ok {
		b.readRevision(info.Settings)
	}
	return b
}

func (b *buildInfo) readRevision(settings []debug.BuildSetting) {
	dirty := false
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			b.revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && b.revision != "unknown" {
		b.revision += "-dirty"
	}
}

// register publishes it, so that a query can tell which replica runs what.
func (b buildInfo) register(registry prometheus.Registerer) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "authgate_build_info", Help: "Always 1: what this binary was built from.",
		ConstLabels: prometheus.Labels{"version": b.version, "revision": b.revision, "goversion": b.goVersion},
	}, func() float64 { return 1 }))
}
