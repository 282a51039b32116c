package proxy

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/example-org/authgate/proxy/client"
)

// With stripPath the upstream sees itself at the root. It is told its prefix, and where
// it leads people to a path of its own the prefix comes back, so that they do not end up
// at another upstream of the same host.

// strippedPrefix is the prefix that is taken off, without a slash at its end; empty: none is.
func (u *upstream) strippedPrefix() string {
	if !u.stripPath {
		return ""
	}
	return strings.TrimSuffix(u.path, "/")
}

// restorePrefix gives the paths in an answer's header their prefix back.
func (x *exchange) restorePrefix(h http.Header) {
	prefix := x.route.strippedPrefix()
	if prefix == "" {
		return
	}
	for _, name := range [...]string{"Location", "Content-Location"} {
		for i, address := range h[name] {
			h[name][i] = x.withPrefix(prefix, address)
		}
	}
	for i, cookie := range h["Set-Cookie"] {
		h["Set-Cookie"][i] = x.restrictCookiePath(prefix, cookie)
	}
}

// withPrefix rewrites an address of the upstream's own. An upstream that knows its
// prefix writes it itself, so that a path within it stays. What leads elsewhere stays.
func (x *exchange) withPrefix(prefix, address string) string {
	scheme, rest, complete := strings.Cut(address, "://")
	switch {
	case address == "" || address[0] == '?' || address[0] == '#':
		return address
	case strings.HasPrefix(address, "//"):
		return x.withPrefixOnHost(prefix, address, "//", x.client.Scheme, address[2:])
	case address[0] == '/':
		return ensurePrefix(prefix, address)
	case complete && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")):
		return x.withPrefixOnHost(prefix, address, scheme+"://", strings.ToLower(scheme), rest)
	case strings.ContainsRune(firstSegment(address), ':'): // of another scheme
		return address
	default:
		return x.withPrefixRelative(prefix, address)
	}
}

// withPrefixOnHost is withPrefix for an address with a host in it. Under the name by which only
// authgate reaches the upstream it would lead nowhere: the path alone is left of it.
func (x *exchange) withPrefixOnHost(prefix, address, schemePrefix, scheme, rest string) string {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	_, host := client.SplitHost(rest[:end], scheme)
	ownScheme, ownHost := x.route.base()
	_, upstreamHost := client.SplitHost(ownHost, ownScheme)
	_, headerHost := client.SplitHost(x.route.hostHeader, scheme)
	path := rest[end:]
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	switch host {
	case "":
		return address
	case x.client.Host:
		return schemePrefix + rest[:end] + ensurePrefix(prefix, path)
	case upstreamHost, headerHost:
		return ensurePrefix(prefix, path)
	}
	return address
}

// withPrefixRelative leaves an address that a browser resolves as the upstream would. One that
// climbs, or that is relative to the prefix itself, would leave it.
func (x *exchange) withPrefixRelative(prefix, address string) string {
	path := strings.TrimPrefix(x.path.String(), prefix)
	if path != "" && !strings.Contains(address, "..") {
		return address
	}
	ref, err := url.Parse(address)
	if err != nil {
		return address
	}
	if path == "" {
		path = "/"
	}
	base := &url.URL{Path: path}
	return ensurePrefix(prefix, base.ResolveReference(ref).String())
}

func firstSegment(address string) string {
	if end := strings.IndexAny(address, "/?#"); end >= 0 {
		return address[:end]
	}
	return address
}

// ensurePrefix puts a prefix before a path that is not below it.
func ensurePrefix(prefix, path string) string {
	rest, inside := strings.CutPrefix(path, prefix)
	if inside && (rest == "" || strings.IndexByte("/?#", rest[0]) >= 0) {
		return path
	}
	return prefix + path
}

// restrictCookiePath keeps a cookie to the paths of its upstream. The last Path of it counts
// (RFC 6265, 5.3). One with __Host- has to have Path=/, or browsers drop it.
func (x *exchange) restrictCookiePath(prefix, cookie string) string {
	const hostPrefix = "__host-"
	if len(cookie) >= len(hostPrefix) && strings.EqualFold(cookie[:len(hostPrefix)], hostPrefix) {
		return cookie
	}
	parts := strings.Split(cookie, ";")
	hasPath := false
	for i, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "path") {
			continue
		}
		path := strings.TrimSpace(value)
		hasPath = strings.HasPrefix(path, "/")
		switch {
		case path == "/":
			parts[i+1] = name + "=" + prefix
		case hasPath:
			parts[i+1] = name + "=" + ensurePrefix(prefix, path)
		}
	}
	if !hasPath && x.path.String() == prefix { // of which the default would be the whole host
		parts = append(parts, " Path="+prefix)
	}
	return strings.Join(parts, ";")
}
