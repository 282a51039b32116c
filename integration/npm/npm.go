// Package npm installs what a package-lock.json pins, by its checksums.
package npm

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Install installs the packages of a folder, unless they are there already. No install script
// of a package runs.
func Install(ctx context.Context, dir string, log io.Writer) error {
	if isInstalled(dir) {
		return nil
	}
	return Run(ctx, dir, log, nil, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
}

// isInstalled reports whether npm has installed since the lock file changed.
func isInstalled(dir string) bool {
	locked, err := os.Stat(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return false
	}
	installed, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json"))
	return err == nil && installed.ModTime().After(locked.ModTime())
}

// Run runs npm in a folder, with further environment variables.
func Run(ctx context.Context, dir string, log io.Writer, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "npm", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("npm %s: %w", args[0], err)
	}
	return nil
}
