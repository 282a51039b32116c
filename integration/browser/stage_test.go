package browser_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/browser"
	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/wait"
)

const operatorToken = "operator-token-of-the-browser"

// further are upstreams that show pages which no other shows.
const further = `
  - {name: down, hosts: [argo-cd.localhost], path: /down, url: "http://127.0.0.1:1"}
  - {name: closed, hosts: [argo-cd.localhost], path: /closed, url: "http://127.0.0.1:1", maintenance: "Back at noon."}
adminToken: {file: ADMIN}
`

// setStage starts Dex, fake GitHub, two dashboards and authgate.
func setStage(t *testing.T, changes ...string) *stage.Stage {
	t.Helper()
	dir := t.TempDir()
	token := filepath.Join(dir, "admin-token")
	if err := os.WriteFile(token, []byte(operatorToken), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := stage.Start(t.Context(), slog.New(slog.DiscardHandler), stage.Options{
		Dir: dir, Dex: binaries.Dex, Authgate: binaries.Authgate,
		Config: func(yaml string, _ stage.Files) string {
			return strings.NewReplacer(changes...).Replace(yaml + strings.Replace(further, "ADMIN", token, 1))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if log, err := s.Files.ReadLog(); err != nil || strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") || t.Failed() {
			t.Errorf("authgate's log: %v\n%s", err, log)
		}
	})
	return s
}

// signIn opens a page of Argo CD and signs in on the way.
func signIn(t *testing.T, s *stage.Stage, login, path string) *browser.Tab {
	t.Helper()
	tab := chromium.Profile(t)
	tab.Open(s.ArgoCD + path)
	tab.Click("button[value=" + login + "]") // fake GitHub's page
	arrive(t, tab, s.ArgoCD)
	return tab
}

// arrive waits for a page whose address begins with one.
func arrive(t *testing.T, tab *browser.Tab, address string) {
	t.Helper()
	wait.For(t, time.Minute, address, func() bool {
		return strings.HasPrefix(tab.Address(), address) && browser.Script[string](tab, "document.readyState") == "complete"
	})
}

// status opens a page, and gives the status of the answer.
func status(tab *browser.Tab, address string) int {
	tab.Open(address)
	return browser.Script[int](tab, `performance.getEntriesByType("navigation")[0].responseStatus`)
}
