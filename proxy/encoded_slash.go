package proxy

import (
	"slices"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/target"
)

// AllowsEncodedSlash reports whether an upstream may be sent a path with %2F in it:
// one character to some servers and a separator to the others (RFC 3986, 2.2), so
// only a path of which it is known that the server keeps it together, by its kind
// or by encodedSlash in the configuration.
func AllowsEncodedSlash(u *config.Upstream, path target.Path) bool {
	return slices.ContainsFunc(EncodedSlashPatterns(u), func(pattern string) bool { return target.MatchPattern(path.String(), pattern) })
}

// EncodedSlashPatterns gives the patterns of the paths that may hold %2F.
func EncodedSlashPatterns(u *config.Upstream) []string {
	return slices.Concat(upstreamKindOf(u.Kind).under(u.Path).encodedSlash, u.EncodedSlash)
}
