package credential

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/example-org/authgate/text"
)

// File is a token that another program refreshes, such as a projected one of Kubernetes,
// whose file is swapped by a symlink. It is read again every second, which costs less than a
// watch, and works for every way to change a file.
func File(path string, log *slog.Logger) *Source {
	fetch := func(context.Context) (issuedToken, error) { return readFile(path) }
	return newSource("tokenFile "+path, fetch, log, time.Now)
}

func readFile(path string) (issuedToken, error) {
	file, err := os.Open(path)
	if err != nil {
		return issuedToken{}, &FileError{path, text.WithoutPath(err)}
	}
	defer file.Close() // only read
	data, err := io.ReadAll(io.LimitReader(file, maxToken+2))
	if err != nil {
		return issuedToken{}, &FileError{path, text.WithoutPath(err)}
	}
	return issuedToken{token: strings.TrimSpace(string(data))}, nil
}
