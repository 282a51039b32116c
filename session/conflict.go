package session

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// A browser may hold several cookies of one name: session.cookie.domain has changed, or
// a sibling host has planted one. Their order tells nothing of where they come from.
//
// What can be no session at all is ignored. Sessions of one user are no conflict: the
// latest counts. Anything else is one, also where only one of them opens: the other may
// be the user's own, sealed with a key that is gone, and the one that opens an attacker's.

// mostValues bounds the cookies of one name: a host, and each domain above it.
const mostValues = 4

// candidates gives what may be the pieces of a session, grouped by their first one. The
// error is ErrAmbiguous where there are too many.
func (j *Jar) candidates(h http.Header, secure bool) (sets [][]pieces, err error) {
	names := j.names(secure)
	var values [maxPieces][]string
	for name, value := range cookies(h) {
		i, ours := names.index(name)
		if !ours || slices.Contains(values[i], value) {
			continue
		}
		if len(values[i]) == mostValues {
			return nil, ErrAmbiguous
		}
		values[i] = append(values[i], value)
	}
	for _, first := range values[0] {
		if !wellFormed(first) {
			continue
		}
		set := []pieces{{first}}
		for i := 1; i < int(first[0]-'0'); i++ {
			var longer []pieces
			for _, p := range set {
				for _, value := range values[i] {
					p[i] = value
					longer = append(longer, p)
				}
			}
			set = longer
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// wellFormed reports whether a first piece may once have been authgate's.
func wellFormed(first string) bool {
	if len(first) < 2 || first[0] < '1' || first[0] > '0'+maxPieces || len(first) > maxCookie {
		return false
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return len(first)-1 >= base64.RawURLEncoding.EncodedLen(secretSize) && strings.Trim(first[1:], alphabet) == ""
}

// latest gives the session that counts among those that the cookies of a browser open
// as. open gives false for what does not open.
func latest(sets [][]pieces, open func(*pieces) (Session, bool, error)) (s Session, p pieces, err error) {
	if len(sets) == 0 {
		return Session{}, pieces{}, ErrBroken
	}
	found := false
	for _, set := range sets {
		opened := false
		for i := range set {
			one, ok, err := open(&set[i])
			if err != nil {
				return Session{}, pieces{}, err
			}
			if !ok {
				continue
			}
			if found && !sameUser(&one, &s) {
				return Session{}, pieces{}, ErrAmbiguous
			}
			opened = true
			if !found || newer(&one, &s) {
				s, p, found = one, set[i], true
			}
		}
		if !opened {
			return Session{}, pieces{}, ErrAmbiguous
		}
	}
	return s, p, nil
}

func sameUser(a, b *Session) bool {
	return a.Principal.Issuer == b.Principal.Issuer && a.Principal.Subject == b.Principal.Subject
}

func newer(a, b *Session) bool {
	if !a.Begun.Equal(b.Begun) {
		return a.Begun.After(b.Begun)
	}
	return a.shown.version > b.shown.version
}

// resolve is Open where the browser has several cookies of one name.
func (c *Cookies) resolve(h http.Header, secure bool) (Session, error) {
	sets, err := c.candidates(h, secure)
	if err != nil {
		return Session{}, err
	}
	name := c.Name(secure)
	s, _, err := latest(sets, func(p *pieces) (Session, bool, error) {
		s, err := c.decrypt(name, p)
		return s, err == nil, nil
	})
	if err != nil {
		return Session{}, err
	}
	now := c.o.Now()
	if s.Over(now) {
		return Session{}, ErrOver
	}
	s.shown.conflict = true
	return c.newest(c.lives.of(&s, now), &s, now)
}

// ClearOthers takes every cookie of a session from the browser but those that Write
// makes: of the other name, and of other domains that a browser sends to host. It comes
// before Write in a response: some clients take a cookie of the host and one of a domain
// of the same name for one.
func (j *Jar) ClearOthers(w http.ResponseWriter, h http.Header, host string, secure bool) {
	for i, names := range j.shown(h) {
		if names.bound && secure && j.domain != "" {
			drop(w, &http.Cookie{Name: j.bound[i], Path: "/", Secure: true})
		}
		if !names.plain {
			continue
		}
		for _, domain := range append([]string{""}, domainsOf(host)...) {
			if j.names(secure) != &j.plain || domain != j.domain {
				drop(w, &http.Cookie{Name: j.plain[i], Path: "/", Domain: domain, Secure: secure})
			}
		}
	}
}

// ClearAll takes every cookie of a session from the browser, those that a sibling host
// has planted for the path of this request, too.
func (j *Jar) ClearAll(w http.ResponseWriter, h http.Header, host, path string, secure bool) {
	names, doubled := j.names(secure), map[string]int{}
	for name := range cookies(h) {
		doubled[name]++
	}
	j.ClearOthers(w, h, host, secure)
	for i := range names {
		if n := doubled[names[i]]; n == 0 {
			continue
		} else if n > 1 && names == &j.plain {
			for _, domain := range append([]string{""}, domainsOf(host)...) {
				for _, below := range pathsOf(path) {
					drop(w, &http.Cookie{Name: names[i], Path: below, Domain: domain, Secure: secure})
				}
			}
		}
		j.drop(w, names[i], secure)
	}
}

// shown tells which pieces the browser has, by either name.
func (j *Jar) shown(h http.Header) (has [maxPieces]struct{ plain, bound bool }) {
	for name := range cookies(h) {
		if i, ours := j.plain.index(name); ours {
			has[i].plain = true
		}
		if i, ours := j.bound.index(name); ours {
			has[i].bound = true
		}
	}
	return has
}

func drop(w http.ResponseWriter, c *http.Cookie) {
	c.MaxAge, c.HttpOnly = -1, true
	http.SetCookie(w, c)
}

// domainsOf gives those of which a browser sends cookies to a host: itself and all above
// it, down to two labels.
func domainsOf(host string) []string {
	if strings.ContainsAny(host, ":*") || strings.Trim(host, "0123456789.") == "" {
		return nil // an address has none
	}
	var domains []string
	for strings.Contains(host, ".") {
		domains = append(domains, host)
		_, host, _ = strings.Cut(host, ".")
	}
	return domains
}

// pathsOf gives the paths, but for /, of which a browser sends cookies with a request.
func pathsOf(path string) []string {
	const most = 8
	var paths []string
	for i := 1; i < len(path) && len(paths) < most; i++ {
		if path[i] == '/' {
			paths = append(paths, path[:i], path[:i+1])
		}
	}
	if !strings.HasSuffix(path, "/") {
		paths = append(paths, path)
	}
	return paths
}
