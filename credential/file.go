package credential

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"
)

// File is a token that somebody else renews: a projected one of Kubernetes, whose
// file is swapped by a symlink. It is read again every second, which costs less
// than a watch, and follows any way to change a file.
func File(path string, log *slog.Logger) *Source {
	return newSource("tokenFile "+path, func(context.Context) (issuedToken, error) { return readFile(path) }, log, time.Now)
}

func readFile(path string) (issuedToken, error) {
	file, err := os.Open(path)
	if err != nil {
		return issuedToken{}, &FileError{path, withoutPath(err)}
	}
	defer file.Close() // only read
	text, err := io.ReadAll(io.LimitReader(file, maxToken+2))
	if err != nil {
		return issuedToken{}, &FileError{path, withoutPath(err)}
	}
	return issuedToken{token: strings.TrimSpace(string(text))}, nil
}

// withoutPath leaves out the path, which is said already.
func withoutPath(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
