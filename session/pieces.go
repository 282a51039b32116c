package session

import (
	"net/http"
	"strings"
	"time"
)

// A value that is too long for one cookie goes in up to three: NAME, NAME-1 and
// NAME-2. The first begins with how many there are; what stands behind that is the
// value, cut anywhere. Nothing else says that pieces belong together: the value is
// sealed as a whole, and opens with every piece in its place or not at all.
const (
	maxPieces = 3

	// maxCookies is for all pieces with their names. A load balancer takes 16 KiB of
	// cookies for a host, and the upstreams have theirs.
	maxCookies = 8 << 10

	// attributes is more than those of a cookie take, but for its domain. Some
	// browsers count them.
	attributes = 128
)

type pieceNames [maxPieces]string

func namePieces(name string) pieceNames { return pieceNames{name, name + "-1", name + "-2"} }

// index tells which piece a name is.
func (n *pieceNames) index(name string) (int, bool) {
	rest, ours := strings.CutPrefix(name, n[0])
	switch {
	case !ours:
		return 0, false
	case rest == "":
		return 0, true
	case len(rest) == 2 && rest[0] == '-' && '1' <= rest[1] && rest[1] < '0'+maxPieces:
		return int(rest[1] - '0'), true
	default:
		return 0, false
	}
}

// pieces are the values of a set of cookies, as many as the first one says.
type pieces [maxPieces]string

// join gives the value.
func (p *pieces) join() string {
	if p[0] == "" {
		return ""
	}
	if p[1] == "" {
		return p[0][1:]
	}
	return p[0][1:] + p[1] + p[2]
}

// pieces finds those of the browser. The error is ErrNone, ErrAmbiguous or
// ErrBroken. Pieces beyond the number that the first one says are not looked at,
// unless they are doubled: they are left over, or planted, and change nothing.
func (j *Jar) pieces(h http.Header, secure bool) (p pieces, err error) {
	names := j.names(secure)
	var found [maxPieces]bool
	for name, value := range cookies(h) {
		i, ours := names.index(name)
		if !ours {
			continue
		}
		if found[i] {
			return p, ErrAmbiguous
		}
		found[i], p[i] = true, value
	}
	if !found[0] {
		return p, ErrNone
	}
	if len(p[0]) < 2 || p[0][0] < '1' || p[0][0] > '0'+maxPieces {
		return p, ErrBroken
	}
	total := 0
	for i := range p {
		switch {
		case i >= int(p[0][0]-'0'):
			p[i] = ""
		case p[i] == "" || len(p[i]) > maxCookie:
			return p, ErrBroken
		}
		total += len(p[i])
	}
	if total > maxCookies {
		return p, ErrBroken
	}
	return p, nil
}

// Read gives the value that the browser was given. ErrNone, ErrAmbiguous, ErrBroken.
func (j *Jar) Read(h http.Header, secure bool) (string, error) {
	p, err := j.pieces(h, secure)
	if err != nil {
		return "", err
	}
	return p.join(), nil
}

// fits reports whether a value of so many bytes goes into the cookies, on https or
// not.
func (j *Jar) fits(size int) bool {
	room := j.room()
	size++ // how many there are
	n := (size + room - 1) / max(room, 1)
	return room > 0 && n <= maxPieces && size+n*(len(j.bound[1])+len("=; ")) <= maxCookies
}

// room is for the value of one piece.
func (j *Jar) room() int {
	return maxCookie - attributes - len("; Domain=") - len(j.domain) - len(j.bound[1]) - len("=")
}

// Write gives the browser a value, in as many pieces as it needs, and takes older
// pieces, which h shows, away. ErrTooLarge.
func (j *Jar) Write(w http.ResponseWriter, h http.Header, value string, expires time.Time, secure bool) error {
	if !j.fits(len(value)) {
		return ErrTooLarge
	}
	room, names := j.room(), j.names(secure)
	n := max(1, (len(value)+room)/room)
	value = string(rune('0'+n)) + value
	for i := range n {
		part := value[:min(len(value), room)]
		value = value[len(part):]
		c := j.cookie(names[i], part, secure)
		c.Expires = expires
		http.SetCookie(w, c)
	}
	j.clear(w, h, n, secure)
	return nil
}

// Clear takes all pieces that h shows from the browser, and the first in any case.
func (j *Jar) Clear(w http.ResponseWriter, h http.Header, secure bool) {
	j.drop(w, j.Name(secure), secure)
	j.clear(w, h, 1, secure)
}

// clear takes away the pieces that h shows, from one on.
func (j *Jar) clear(w http.ResponseWriter, h http.Header, from int, secure bool) {
	names := j.names(secure)
	var shown [maxPieces]bool
	for name := range cookies(h) {
		if i, ours := names.index(name); ours {
			shown[i] = true
		}
	}
	for i := from; i < maxPieces; i++ {
		if shown[i] {
			j.drop(w, names[i], secure)
		}
	}
}

func (j *Jar) drop(w http.ResponseWriter, name string, secure bool) {
	c := j.cookie(name, "", secure)
	c.MaxAge = -1
	http.SetCookie(w, c)
}

func (j *Jar) cookie(name, value string, secure bool) *http.Cookie {
	sameSite := j.sameSite
	if sameSite == http.SameSiteNoneMode && !secure { // browsers refuse None on a cookie that is not Secure
		sameSite = http.SameSiteLaxMode
	}
	return &http.Cookie{Name: name, Value: value, Path: "/", Domain: j.domain, Secure: secure, HttpOnly: true, SameSite: sameSite}
}
