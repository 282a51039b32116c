package program

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// MainModule is the folder of authgate's own module: the one around this.
func MainModule(ctx context.Context) (string, error) {
	file, err := GoEnv(ctx, "GOMOD")
	if err != nil {
		return "", err
	}
	if filepath.Base(filepath.Dir(file)) != "integration" {
		return "", errors.New("not inside the integration module; run it with `go run -C integration ./demo`")
	}
	return filepath.Dir(filepath.Dir(file)), nil
}

// GoEnv is a variable of `go env`.
func GoEnv(ctx context.Context, name string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", name).Output()
	if err != nil {
		return "", fmt.Errorf("asking go env %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// ModuleVersion is the version of a module that the go.mod of a folder chooses.
func ModuleVersion(ctx context.Context, dir, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", module)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("asking for the version of %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}
