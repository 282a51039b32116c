package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/example-org/authgate/integration/dex"
	"github.com/example-org/authgate/integration/program"
)

// Binaries are the two programs that a stage runs.
type Binaries struct{ Dex, Authgate string }

// Build compiles both into dir/bin. With race, authgate watches for data races and
// says so on stderr; that needs cgo, and where there is none it is left out.
func Build(ctx context.Context, dir string, race bool, progress io.Writer) (Binaries, error) {
	bin := filepath.Join(dir, "bin")
	b := Binaries{Dex: filepath.Join(bin, "dex"), Authgate: filepath.Join(bin, "authgate")}
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return b, err
	}
	if err := dex.Build(ctx, b.Dex, progress); err != nil {
		return b, err
	}
	root, err := mainModule(ctx)
	if err != nil {
		return b, err
	}
	source := program.Source{Name: "authgate", Dir: root, Package: "./cmd/authgate"}
	if race {
		if cgo, err := goEnv(ctx, "CGO_ENABLED"); err == nil && cgo == "1" {
			source.Flags = []string{"-race"}
		} else {
			_, _ = fmt.Fprintln(progress, "without cgo there is no -race: authgate is built plain")
		}
	}
	return b, program.Build(ctx, source, b.Authgate, progress)
}

// mainModule is the folder of authgate's own module: the one around this.
func mainModule(ctx context.Context) (string, error) {
	file, err := goEnv(ctx, "GOMOD")
	if err != nil {
		return "", err
	}
	if filepath.Base(filepath.Dir(file)) != "integration" {
		return "", errors.New("not inside the integration module; run it with `go run -C integration ./demo`")
	}
	return filepath.Dir(filepath.Dir(file)), nil
}

func goEnv(ctx context.Context, name string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", name).Output()
	if err != nil {
		return "", fmt.Errorf("asking go env %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}
