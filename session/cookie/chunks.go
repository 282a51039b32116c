package cookie

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/example-org/authgate/session/seal"
)

// A value that is too long for one cookie is split over up to three: NAME, NAME-1 and
// NAME-2. The first begins with their number, and the value follows, split anywhere. Nothing
// else says which chunks belong together: the value is encrypted as a whole, and decrypts
// with every chunk in its place or not at all.
const (
	maxChunks = 3

	// maxCookies is for all chunks with their names. A load balancer takes 16 KiB of cookies
	// per host, and the upstreams have theirs.
	maxCookies = 8 << 10

	// maxAttributes is more than the attributes of a cookie need, except for its domain.
	// Some browsers count them.
	maxAttributes = 128
)

// Why there is no value in a browser's cookies.
var (
	ErrNone      = errors.New("no session cookie")
	ErrDuplicate = errors.New("several session cookies that contradict each other: one of them may have been planted")
)

type chunkNames [maxChunks]string

func newChunkNames(name string) chunkNames { return chunkNames{name, name + "-1", name + "-2"} }

// index gives the chunk that a cookie name stands for.
func (n *chunkNames) index(name string) (int, bool) {
	rest, match := strings.CutPrefix(name, n[0])
	switch {
	case !match:
		return 0, false
	case rest == "":
		return 0, true
	case len(rest) == 2 && rest[0] == '-' && '1' <= rest[1] && rest[1] < '0'+maxChunks:
		return int(rest[1] - '0'), true
	default:
		return 0, false
	}
}

// Chunks are the values of the chunks of a cookie, as many as the first one says.
type Chunks [maxChunks]string

// Value joins the chunks.
func (p *Chunks) Value() string {
	if p[0] == "" {
		return ""
	}
	if p[1] == "" {
		return p[0][1:]
	}
	return p[0][1:] + p[1] + p[2]
}

// ReadChunks finds the chunks in request headers. The error is ErrNone, ErrDuplicate or
// ErrInvalid. Chunks beyond the number in the first one are ignored unless they are
// duplicates: they are left over or planted, and change nothing.
func (j *Chunked) ReadChunks(h http.Header, secure bool) (p Chunks, err error) {
	names := j.names(secure)
	var found [maxChunks]bool
	for name, value := range cookies(h) {
		i, match := names.index(name)
		if !match {
			continue
		}
		if found[i] {
			return p, ErrDuplicate
		}
		found[i], p[i] = true, value
	}
	if !found[0] {
		return p, ErrNone
	}
	if len(p[0]) < 2 || p[0][0] < '1' || p[0][0] > '0'+maxChunks {
		return p, seal.ErrInvalid
	}
	total := 0
	for i := range p {
		switch {
		case i >= int(p[0][0]-'0'):
			p[i] = ""
		case p[i] == "" || len(p[i]) > seal.MaxCookie:
			return p, seal.ErrInvalid
		}
		total += len(p[i])
	}
	if total > maxCookies {
		return p, seal.ErrInvalid
	}
	return p, nil
}

// Read gives the value in request headers. ErrNone, ErrDuplicate, ErrInvalid.
func (j *Chunked) Read(h http.Header, secure bool) (string, error) {
	p, err := j.ReadChunks(h, secure)
	if err != nil {
		return "", err
	}
	return p.Value(), nil
}

// Fits reports whether a value of so many bytes fits into the cookies, on https or not.
func (j *Chunked) Fits(size int) bool {
	room := j.chunkCapacity()
	size++ // the digit of the number of chunks
	n := (size + room - 1) / max(room, 1)
	return room > 0 && n <= maxChunks && size+n*(len(j.hostPrefixed[1])+len("=; ")) <= maxCookies
}

// chunkCapacity is the room for the value of one chunk.
func (j *Chunked) chunkCapacity() int {
	return seal.MaxCookie - maxAttributes - len("; Domain=") - len(j.domain) - len(j.hostPrefixed[1]) - len("=")
}

// Write sets the cookies for a value, as many as it needs, and removes older chunks that h
// has. ErrTooLarge.
func (j *Chunked) Write(w http.ResponseWriter, h http.Header, value string, expires time.Time, secure bool) error {
	if !j.Fits(len(value)) {
		return seal.ErrTooLarge
	}
	room, names := j.chunkCapacity(), j.names(secure)
	n := max(1, (len(value)+room)/room)
	value = string(rune('0'+n)) + value
	for i := range n {
		part := value[:min(len(value), room)]
		value = value[len(part):]
		c := j.cookie(names[i], part, secure)
		c.Expires = expires
		http.SetCookie(w, c)
	}
	j.clearFrom(w, h, n, secure)
	return nil
}

// Clear removes all chunks that h has from the browser, and always the first one.
func (j *Chunked) Clear(w http.ResponseWriter, h http.Header, secure bool) {
	j.expireChunk(w, j.Name(secure), secure)
	j.clearFrom(w, h, 1, secure)
}

// clearFrom removes the chunks that h has, from one on.
func (j *Chunked) clearFrom(w http.ResponseWriter, h http.Header, from int, secure bool) {
	names := j.names(secure)
	var present [maxChunks]bool
	for name := range cookies(h) {
		if i, match := names.index(name); match {
			present[i] = true
		}
	}
	for i := from; i < maxChunks; i++ {
		if present[i] {
			j.expireChunk(w, names[i], secure)
		}
	}
}

func (j *Chunked) expireChunk(w http.ResponseWriter, name string, secure bool) {
	c := j.cookie(name, "", secure)
	c.MaxAge = -1
	http.SetCookie(w, c)
}

func (j *Chunked) cookie(name, value string, secure bool) *http.Cookie {
	sameSite := j.sameSite
	if sameSite == http.SameSiteNoneMode && !secure { // browsers refuse None on a cookie that is not Secure
		sameSite = http.SameSiteLaxMode
	}
	return &http.Cookie{
		Name: name, Value: value, Path: "/", Domain: j.domain, Secure: secure, HttpOnly: true, SameSite: sameSite,
	}
}
