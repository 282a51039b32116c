package program

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Authgate builds authgate into a folder, for tests of its command line, and gives
// the binary. They run one folder below this module, as all packages here do.
func Authgate(dir string) (binary string, err error) {
	binary = filepath.Join(dir, "authgate")
	build := exec.Command("go", "build", "-o", binary, "./cmd/authgate")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building authgate: %w\n%s", err, out)
	}
	return binary, nil
}
