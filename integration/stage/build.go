package stage

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

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
	root, err := program.MainModule(ctx)
	if err != nil {
		return b, err
	}
	source := program.Source{Name: "authgate", Dir: root, Package: "./cmd/authgate"}
	if race {
		if cgo, err := program.GoEnv(ctx, "CGO_ENABLED"); err == nil && cgo == "1" {
			source.Flags = []string{"-race"}
		} else {
			_, _ = fmt.Fprintln(progress, "without cgo there is no -race: authgate is built plain")
		}
	}
	return b, program.Build(ctx, source, b.Authgate, progress)
}
