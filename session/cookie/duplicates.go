package cookie

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/example-org/authgate/session/seal"
)

// A browser may have several cookies of one name: session.cookie.domain has changed, or a
// sibling host has planted one. Their order says nothing about their origin.
//
// Values that cannot be a session are ignored. Of several sessions of one user the latest
// counts. Anything else is ambiguous, even if only one of them is valid: the other may be
// the user's own, encrypted with a removed key, and the valid one an attacker's.

// maxDuplicates bounds the cookies of one name: one of the host, and one of each domain
// above it.
const maxDuplicates = 4

// Candidates gives the possible combinations of chunks, grouped by the first chunk. The
// error is ErrDuplicate if there are too many.
func (j *Chunked) Candidates(h http.Header, secure bool) (sets [][]Chunks, err error) {
	names := j.names(secure)
	var values [maxChunks][]string
	for name, value := range cookies(h) {
		i, match := names.index(name)
		if !match || slices.Contains(values[i], value) {
			continue
		}
		if len(values[i]) == maxDuplicates {
			return nil, ErrDuplicate
		}
		values[i] = append(values[i], value)
	}
	for _, first := range values[0] {
		if !wellFormed(first) {
			continue
		}
		set := []Chunks{{first}}
		for i := 1; i < int(first[0]-'0'); i++ {
			var extended []Chunks
			for _, p := range set {
				for _, value := range values[i] {
					p[i] = value
					extended = append(extended, p)
				}
			}
			set = extended
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// minValueSize is the size of the shortest value that a store writes: 256 random bits.
const minValueSize = 32

// wellFormed reports whether a first chunk may be authgate's.
func wellFormed(first string) bool {
	if len(first) < 2 || first[0] < '1' || first[0] > '0'+maxChunks || len(first) > seal.MaxCookie {
		return false
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return len(first)-1 >= base64.RawURLEncoding.EncodedLen(minValueSize) && strings.Trim(first[1:], alphabet) == ""
}

// ClearDuplicates removes every session cookie from the browser except those that Write
// sets: those of the other name, and of other domains that a browser sends to host. Call it
// before Write: some clients treat a cookie of the host and one of a domain with the same
// name as one.
func (j *Chunked) ClearDuplicates(w http.ResponseWriter, h http.Header, host string, secure bool) {
	for i, names := range j.presentChunks(h) {
		if names.hostPrefixed && secure && j.domain != "" {
			expireCookie(w, &http.Cookie{Name: j.hostPrefixed[i], Path: "/", Secure: true})
		}
		if !names.unprefixed {
			continue
		}
		for _, domain := range append([]string{""}, parentDomains(host)...) {
			if j.names(secure) != &j.unprefixed || domain != j.domain {
				expireCookie(w, &http.Cookie{Name: j.unprefixed[i], Path: "/", Domain: domain, Secure: secure})
			}
		}
	}
}

// ClearAll removes every session cookie from the browser, including those that a sibling
// host has planted for the path of this request.
func (j *Chunked) ClearAll(w http.ResponseWriter, h http.Header, host, path string, secure bool) {
	names, counts := j.names(secure), map[string]int{}
	for name := range cookies(h) {
		counts[name]++
	}
	j.ClearDuplicates(w, h, host, secure)
	for i := range names {
		if n := counts[names[i]]; n == 0 {
			continue
		} else if n > 1 && names == &j.unprefixed {
			for _, domain := range append([]string{""}, parentDomains(host)...) {
				for _, subpath := range parentPaths(path) {
					expireCookie(w, &http.Cookie{Name: names[i], Path: subpath, Domain: domain, Secure: secure})
				}
			}
		}
		j.expireChunk(w, names[i], secure)
	}
}

// presentChunks gives the chunks that the browser has, by either name.
func (j *Chunked) presentChunks(h http.Header) (has [maxChunks]struct{ unprefixed, hostPrefixed bool }) {
	for name := range cookies(h) {
		if i, match := j.unprefixed.index(name); match {
			has[i].unprefixed = true
		}
		if i, match := j.hostPrefixed.index(name); match {
			has[i].hostPrefixed = true
		}
	}
	return has
}

func expireCookie(w http.ResponseWriter, c *http.Cookie) {
	c.MaxAge, c.HttpOnly = -1, true
	http.SetCookie(w, c)
}

// parentDomains gives the domains whose cookies a browser sends to a host: itself and all
// above it, down to two labels.
func parentDomains(host string) []string {
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

// parentPaths gives the paths, except /, whose cookies a browser sends with a request.
func parentPaths(path string) []string {
	const maxPaths = 8
	var paths []string
	for i := 1; i < len(path) && len(paths) < maxPaths; i++ {
		if path[i] == '/' {
			paths = append(paths, path[:i], path[:i+1])
		}
	}
	if !strings.HasSuffix(path, "/") {
		paths = append(paths, path)
	}
	return paths
}
