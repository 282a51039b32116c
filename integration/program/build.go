// Package program knows how to turn Go source into running processes: building
// with progress on the screen, starting with logs in files, and stopping so that
// nothing is left behind. It knows nothing of what the programs do.
package program

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// reportEvery is how often a long build says that it is still alive.
const reportEvery = 5 * time.Second

// Source names a main package and how it is built.
type Source struct {
	Name    string   // as progress lines call it
	Dir     string   // any folder of the module; "" is the current one
	Package string   // import path, or ./path
	More    []string // further packages; out is then a folder that ends with a slash
	Flags   []string // further flags of go build
	Env     []string // on top of the process's own
	Hint    string   // what to expect of a first build, for the first progress line
}

// Build writes the program to out. A line goes to progress when it starts, every
// few seconds while it compiles, and when it is done. An unchanged program
// comes from Go's own cache and takes as long as linking does.
func Build(ctx context.Context, src Source, out string, progress io.Writer) error {
	begun := time.Now()
	_, _ = fmt.Fprintf(progress, "building %s%s\n", src.Name, src.Hint)

	args := append([]string{"build", "-v", "-o", out}, src.Flags...)
	cmd := exec.CommandContext(ctx, "go", append(append(args, src.Package), src.More...)...)
	cmd.Dir = src.Dir
	cmd.Env = append(os.Environ(), src.Env...)
	cmd.WaitDelay = 5 * time.Second
	said, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("building %s: %w", src.Name, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("building %s: is Go on the PATH? %w", src.Name, err)
	}

	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(said); s.Scan(); {
			lines <- s.Text()
		}
	}()
	var heard counts
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for open := true; open; {
		select {
		case line, ok := <-lines:
			if open = ok; ok {
				heard.add(line)
			}
		case <-tick.C:
			_, _ = fmt.Fprintf(progress, "  %s: %s, %s so far\n", src.Name, heard, since(begun))
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", src.Name, err, strings.Join(heard.other, "\n"))
	}
	_, _ = fmt.Fprintf(progress, "  %s: built in %s\n", src.Name, since(begun))
	return nil
}

// counts sorts what `go build -v` says: downloads, packages as they are
// compiled, and all else, which is what went wrong.
type counts struct {
	downloads, packages int
	other               []string
}

func (c *counts) add(line string) {
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		c.downloads++
	case !strings.ContainsAny(line, " :#"):
		c.packages++
	default:
		c.other = append(c.other, line)
	}
}

func (c counts) String() string {
	switch {
	case c.packages > 0:
		return fmt.Sprintf("%d packages compiled", c.packages)
	case c.downloads > 0:
		return fmt.Sprintf("%d modules downloaded", c.downloads)
	default:
		return "looking and linking"
	}
}

func since(t time.Time) string { return time.Since(t).Round(100 * time.Millisecond).String() }
