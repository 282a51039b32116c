package stage

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/example-org/authgate/integration/visitor"
)

// Token is what `authgate token` prints for a test user, who logs in with a
// browser on the way.
func (s *Stage) Token(ctx context.Context, login string) (token string, err error) {
	v, err := s.Visitor(login)
	if err != nil {
		return "", err
	}
	return Token(ctx, v, s.binary, s.ArgoCD+"/api/dex", filepath.Join(s.Files.Dir, "home-of-"+login), s.Backchannel.server.URL)
}

// Token runs `authgate token` for a user at a browser, with its files in the folder home.
// The proxy finds names below localhost.
func Token(ctx context.Context, v *visitor.Visitor, binary, issuer, home, proxy string) (token string, err error) {
	cmd := exec.CommandContext(ctx, binary, "token", "--issuer", issuer, "--client-id", "authgate-cli",
		"--audience", dexClient, "--no-browser")
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, ".config"),
		"HTTP_PROXY="+proxy) // where names below .localhost are known
	var printed strings.Builder
	cmd.Stdout = &printed
	said, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	var all strings.Builder
	for lines := bufio.NewScanner(said); lines.Scan(); {
		all.WriteString(lines.Text() + "\n")
		if _, address, ok := strings.Cut(lines.Text(), "http://"); ok && strings.Contains(address, "/auth?") {
			if _, err := v.Open(ctx, "http://"+address); err != nil {
				return "", fmt.Errorf("logging in: %w", err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("authgate token: %w\n%s", err, &all)
	}
	return strings.TrimSpace(printed.String()), nil
}
