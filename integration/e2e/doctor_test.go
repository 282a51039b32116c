package e2e_test

import (
	"strings"
	"testing"

	"github.com/example-org/authgate/integration/stage"
)

func TestTheDoctorFindsAStageThatWorksWellAndSaysWhatIsWrongWithAnother(t *testing.T) {
	t.Parallel()
	s := set(t, stage.Options{})
	out, _ := authgate(t, "doctor", "--config", s.Files.Config)
	for _, want := range []string{
		"client secret: the issuer accepts it for the client authgate", "upstream argocd: ", "upstream workflows: ", "argo-admin-token: its token is available",
		"the session of a user in 100 groups fits into cookies", "its clock and this machine's agree",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	for _, secret := range s.Backchannel.Secrets() {
		if strings.Contains(out, secret) {
			t.Error("it prints a token")
		}
	}
	// The stage speaks http on a port of its own.
	if !strings.Contains(out, "ok       redirect URIs: http://argo-cd.localhost:") || strings.Contains(out, "not registered") {
		t.Errorf("%s", out)
	}
	if err := s.Dex.Stop(); err != nil {
		t.Fatal(err)
	}
	out, code := authgate(t, "doctor", "--config", s.Files.Config, "-o", "json")
	if code != 1 || !strings.Contains(out, `"state":"fail"`) || !strings.Contains(out, "cannot be reached from here") {
		t.Errorf("exit %d: %s", code, out)
	}
}
