package lint

import (
	"strings"

	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/target"
)

// starFiller stands in a pattern for what its stars stand for. No pattern names
// this character, so where another pattern matches it, a star does, and that star
// would match anything else in its place: one question to target.MatchPattern
// tells of all the paths of a pattern.
const starFiller = "\x00"

// covers reports whether a pattern matches every path that another one matches.
func covers(wide, narrow string) bool {
	prefix, endsInRest := strings.CutSuffix(narrow, "/"+target.AnyRest)
	if endsInRest && !strings.HasSuffix(wide, "/"+target.AnyRest) {
		return false
	}
	if prefix == "" {
		prefix = "/"
	}
	if strings.Contains(prefix, target.AnySegment) {
		prefix = strings.ReplaceAll(prefix, target.AnySegment, starFiller)
	}
	return target.MatchPattern(prefix, wide)
}

// coversUpstream, coversMethods and coversRow ask the same of the other fields,
// and of whole rows, subjects and effects aside.
func coversUpstream(wide, narrow string) bool { return wide == policy.AnyUpstream || wide == narrow }

func coversMethods(wide, narrow string) bool {
	if wide == policy.AnyMethod || narrow == policy.AnyMethod {
		return wide == policy.AnyMethod
	}
	for m := range strings.SplitSeq(narrow, policy.MethodSeparator) {
		if !policy.MatchMethod(m, wide) {
			return false
		}
	}
	return true
}

func coversRow(wide, narrow *policy.Row) bool {
	return coversUpstream(wide.Upstream, narrow.Upstream) && coversMethods(wide.Methods, narrow.Methods) &&
		covers(wide.Path, narrow.Path)
}

func overlapsUpstream(a, b string) bool { return coversUpstream(a, b) || coversUpstream(b, a) }

func overlapsMethods(a, b string) bool {
	if a == policy.AnyMethod || b == policy.AnyMethod {
		return true
	}
	for m := range strings.SplitSeq(a, policy.MethodSeparator) {
		if policy.MatchMethod(m, b) || m == "GET" && policy.MatchMethod("HEAD", b) {
			return true
		}
	}
	return false
}

func overlapsRow(a, b *policy.Row) bool {
	return overlapsUpstream(a.Upstream, b.Upstream) && overlapsMethods(a.Methods, b.Methods) &&
		target.Overlaps(a.Path, b.Path)
}
