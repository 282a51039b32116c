package server

import (
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func TestBuildInfoIsPublishedAsLabels(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	BuildInfo{Version: "v2.0.0", Revision: "4eca640-dirty", GoVersion: "go1.26.8"}.register(registry)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	const want = "\nauthgate_build_info{goversion=\"go1.26.8\",revision=\"4eca640-dirty\",version=\"v2.0.0\"} 1\n"
	if !strings.Contains(w.Body.String(), want) {
		t.Error(w.Body)
	}
	if b := ReadBuildInfo(""); b.Version == "" || b.Revision == "" || b.GoVersion != runtime.Version() {
		t.Errorf("this binary: %+v", b)
	}
}

func TestRevisionSaysWhetherFilesWereChanged(t *testing.T) {
	t.Parallel()
	for want, settings := range map[string][]debug.BuildSetting{
		"unknown":       nil,
		"4eca640":       {{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "4eca640"}, {Key: "vcs.modified", Value: "false"}},
		"afab51b-dirty": {{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "afab51b"}},
	} {
		b := BuildInfo{Revision: "unknown"}
		if b.readRevision(settings); b.Revision != want {
			t.Errorf("%s, want %s", b.Revision, want)
		}
	}
}
