package server

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// BuildInfo describes the source of a binary. `authgate version`, the log and the
// metrics all read it here.
type BuildInfo struct {
	Version   string // of the release, or what the toolchain derives from the checkout
	Revision  string // commit, with -dirty if files were changed; "unknown" outside of a checkout
	GoVersion string
}

// ReadBuildInfo adds to the version of a release what the toolchain recorded.
func ReadBuildInfo(version string) BuildInfo {
	b := BuildInfo{Version: version, Revision: "unknown", GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" && info.Main.Version != "(devel)" { // carries no information
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "unknown"
	}
	if ok {
		b.readRevision(info.Settings)
	}
	return b
}

func (b *BuildInfo) readRevision(settings []debug.BuildSetting) {
	dirty := false
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && b.Revision != "unknown" {
		b.Revision += "-dirty"
	}
}

// register publishes it, so that a query can tell which replica runs what.
func (b BuildInfo) register(registry prometheus.Registerer) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "authgate_build_info", Help: "Always 1: what this binary was built from.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "goversion": b.GoVersion},
	}, func() float64 { return 1 }))
}

func (b BuildInfo) String() string {
	return fmt.Sprintf("authgate %s (revision %s) %s %s/%s", b.Version, b.Revision, b.GoVersion, runtime.GOOS,
		runtime.GOARCH)
}
