package e2e_test

import (
	"os"
	"testing"
	"time"

	"github.com/example-org/authgate/integration/stage"
	"github.com/example-org/authgate/integration/wait"
)

func TestARotatedClientSecretIsUsedWithoutARestart(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{ClientSecret: "not-what-dex-knows"})
	if a := open(t, arrive(t, s, "alice"), s.ArgoCD+"/"); a.Status < 500 {
		t.Fatalf("signed in with another secret: %d", a.Status)
	}
	if err := os.WriteFile(s.Files.ClientSecret, []byte(stage.DexSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wait.For(t, 2*time.Second, "the changed secret", func() bool {
		return logHolds(t, s, "secret or CA reloaded", "issuer.clientSecret")
	})
	if a := open(t, arrive(t, s, "alice"), s.ArgoCD+"/"); a.Status != 200 {
		t.Errorf("with the changed secret: %d: %s", a.Status, shown(a))
	}
}
