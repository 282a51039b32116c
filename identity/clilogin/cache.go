package clilogin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/example-org/authgate/text/atomicfile"
	"github.com/gofrs/flock"
)

// cachedToken is what is kept of a login. It is a file of mode 0600, as those of kubectl
// and the argocd command are. A keyring would need D-Bus or a desktop session, which
// neither CI nor ssh has, and would still give the token to every program of this
// person: the same people can read it.
type cachedToken struct {
	Issuer       string    `json:"issuer"`
	ClientID     string    `json:"client_id"`
	Scopes       []string  `json:"scopes"`
	IDToken      string    `json:"id_token,omitempty"`
	Expiry       time.Time `json:"expiry"`
	RefreshToken string    `json:"refresh_token,omitempty"`

	// What a refreshed ID token must repeat: OpenID Connect Core 1.0, 12.2.
	Subject  string   `json:"subject"`
	Audience []string `json:"audience"`
	Nonce    string   `json:"nonce,omitempty"`
}

func (r cachedToken) token() Token { return Token{Raw: r.IDToken, Expiry: r.Expiry} }

// String and GoString keep a record out of messages.
func (cachedToken) String() string   { return "[redacted]" }
func (cachedToken) GoString() string { return "[redacted]" }

// maxCacheFile is about ten times the token of a user in a thousand teams.
const maxCacheFile = 1 << 20

// cache is one file for each issuer, client and scopes: a token must not be handed
// out for an audience that was not requested. The lock is that of issuer and client,
// for which Dex keeps a single refresh token.
type cache struct {
	dir        string
	filePrefix string      // begins the names of all files of this issuer and client
	key        cachedToken // whose file it is
}

func newCache(cfg Config) cache {
	return cache{
		dir: cfg.Dir, filePrefix: digest(cfg.Issuer, cfg.ClientID),
		key: cachedToken{Issuer: cfg.Issuer, ClientID: cfg.ClientID, Scopes: cfg.Scopes},
	}
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

func (c cache) file() string {
	return filepath.Join(c.dir, c.filePrefix+"-"+digest(c.key.Scopes...)+".json")
}

func (c cache) exists() bool {
	_, err := os.Stat(c.dir)
	return !errors.Is(err, fs.ErrNotExist)
}

// read returns the cached token; it is empty if there is none. An error says why the
// file is not used.
func (c cache) read() (cachedToken, error) {
	file, err := os.Open(c.file())
	if errors.Is(err, fs.ErrNotExist) {
		return cachedToken{}, nil
	}
	if err != nil {
		return cachedToken{}, err
	}
	defer file.Close() // only read
	info, err := file.Stat()
	if err != nil {
		return cachedToken{}, err
	}
	// A user who can write the file could make this user act under another identity.
	if mode := info.Mode(); !mode.IsRegular() || runtime.GOOS != "windows" && mode.Perm()&0o077 != 0 {
		return cachedToken{}, fmt.Errorf("%s has mode %v and is open to others", c.file(), mode)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxCacheFile))
	if err != nil {
		return cachedToken{}, fmt.Errorf("reading %s: %w", c.file(), err)
	}
	r, err := parseCachedToken(data)
	if err != nil {
		return cachedToken{}, fmt.Errorf("%s %w", c.file(), err)
	}
	if r.Issuer != c.key.Issuer || r.ClientID != c.key.ClientID || !slices.Equal(r.Scopes, c.key.Scopes) {
		return cachedToken{}, fmt.Errorf("%s belongs to another issuer or client", c.file())
	}
	return r, nil
}

// parseCachedToken repeats nothing of what it reads.
func parseCachedToken(data []byte) (cachedToken, error) {
	var r cachedToken
	if json.Unmarshal(data, &r) != nil {
		return cachedToken{}, errors.New("was not written by authgate")
	}
	// It goes to standard output, into a header or a script.
	if strings.ContainsFunc(r.IDToken, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return cachedToken{}, errors.New("does not hold an ID token")
	}
	return r, nil
}

// write replaces the file as a whole, because other processes read it without the lock.
func (c cache) write(r cachedToken) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	pending, err := atomicfile.Create(c.file(), data, 0o600)
	if err != nil {
		return err
	}
	defer pending.Discard()
	return pending.Commit()
}

// clear also removes the hidden files of writes that did not finish.
func (c cache) clear() (int, error) {
	files, err := filepath.Glob(filepath.Join(escapeGlob(c.dir), "*"+c.filePrefix+"-*"))
	if err != nil {
		return 0, err
	}
	var errs []error
	removed := 0
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			errs = append(errs, err)
			continue
		}
		removed++
	}
	return removed, errors.Join(errs...)
}

// escapeGlob lets a folder be called [work]. Windows has no escapes.
func escapeGlob(dir string) string {
	if runtime.GOOS == "windows" {
		return dir
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// lockRetryInterval is how often a lock that another process has is tried again.
const lockRetryInterval = 100 * time.Millisecond

// lock waits until it is this process's turn. The file stays: one that is removed
// could be locked by two. The system unlocks it when the process ends, however.
func (c cache) lock(ctx context.Context, printf func(string, ...any)) (unlock func(), err error) {
	if err := c.ensureDir(); err != nil {
		return nil, fmt.Errorf("keeping tokens: %w; XDG_CONFIG_HOME names another folder on Linux, HOME elsewhere", err)
	}
	name := filepath.Join(c.dir, c.filePrefix+".lock")
	lock := flock.New(name)
	locked, err := lock.TryLock()
	if err == nil && !locked {
		printf("another `authgate token` is logging in; waiting for it")
		_, err = lock.TryLockContext(ctx, lockRetryInterval)
	}
	switch {
	case err == nil:
		return func() { _ = lock.Unlock() }, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("waiting for another `authgate token`, which has %s: %w", name, context.Cause(ctx))
	default:
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
}

// ensureDir makes the folder, and takes it from others if it was theirs to see.
func (c cache) ensureDir() error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(c.dir)
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	return os.Chmod(c.dir, 0o700)
}
