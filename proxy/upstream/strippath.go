package upstream

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/example-org/authgate/proxy/client"
)

// With stripPath the upstream serves its pages at the root. authgate sends it the prefix in a
// header, and adds the prefix to the upstream's own paths in redirects and cookies, so that
// browsers do not request another upstream of the same host.

// strippedPrefix is the prefix that is removed, without a slash at its end; empty: none is.
func (u *Upstream) strippedPrefix() string {
	if !u.StripPath {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}

// restorePrefix adds the prefix to the paths in a response header.
func (f *forwarding) restorePrefix(h http.Header) {
	prefix := f.Upstream.strippedPrefix()
	if prefix == "" {
		return
	}
	for _, name := range [...]string{"Location", "Content-Location"} {
		for i, address := range h[name] {
			h[name][i] = f.withPrefix(prefix, address)
		}
	}
	for i, cookie := range h["Set-Cookie"] {
		h["Set-Cookie"][i] = f.restrictCookiePath(prefix, cookie)
	}
}

// withPrefix adds the prefix to an address of the upstream's own. An upstream that knows its
// prefix writes it itself, so a path below it stays unchanged, as do other addresses.
func (f *forwarding) withPrefix(prefix, address string) string {
	scheme, rest, complete := strings.Cut(address, "://")
	switch {
	case address == "" || address[0] == '?' || address[0] == '#':
		return address
	case strings.HasPrefix(address, "//"):
		return f.withPrefixOnHost(prefix, address, "//", f.Client.Scheme, address[2:])
	case address[0] == '/':
		return ensurePrefix(prefix, address)
	case complete && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")):
		return f.withPrefixOnHost(prefix, address, scheme+"://", strings.ToLower(scheme), rest)
	case strings.ContainsRune(firstSegment(address), ':'): // another scheme
		return address
	default:
		return f.withPrefixRelative(prefix, address)
	}
}

// withPrefixOnHost is withPrefix for an address that contains a host. Clients cannot reach the
// host name that authgate uses for the upstream, so only the path is kept.
func (f *forwarding) withPrefixOnHost(prefix, address, schemePrefix, scheme, rest string) string {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	_, host := client.SplitHost(rest[:end], scheme)
	_, upstreamHost := client.SplitHost(f.Upstream.Host, f.Upstream.Scheme)
	_, headerHost := client.SplitHost(f.Upstream.HostHeader, scheme)
	path := rest[end:]
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	switch host {
	case "":
		return address
	case f.Client.Host:
		return schemePrefix + rest[:end] + ensurePrefix(prefix, path)
	case upstreamHost, headerHost:
		return ensurePrefix(prefix, path)
	}
	return address
}

// withPrefixRelative keeps an address that a browser resolves as the upstream would. An address
// with .., or one that is relative to the prefix itself, would leave the prefix.
func (f *forwarding) withPrefixRelative(prefix, address string) string {
	path := strings.TrimPrefix(f.Path.String(), prefix)
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

// ensurePrefix adds a prefix to a path that is not below it.
func ensurePrefix(prefix, path string) string {
	rest, inside := strings.CutPrefix(path, prefix)
	if inside && (rest == "" || strings.IndexByte("/?#", rest[0]) >= 0) {
		return path
	}
	return prefix + path
}

// restrictCookiePath restricts a cookie to the paths of its upstream. The last Path attribute
// counts (RFC 6265, 5.3). Browsers drop a cookie with __Host- that has not Path=/.
func (f *forwarding) restrictCookiePath(prefix, cookie string) string {
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
	if !hasPath && f.Path.String() == prefix { // the default would be the whole host
		parts = append(parts, " Path="+prefix)
	}
	return strings.Join(parts, ";")
}
