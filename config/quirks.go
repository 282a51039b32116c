package config

import (
	"slices"

	"github.com/example-org/authgate/target"
	"github.com/example-org/authgate/text"
	"github.com/example-org/authgate/yamlfile"
)

// Quirk is something that paths hold which some dashboards need and servers read in
// more than one way.
type Quirk string

// The quirks.
const (
	QuirkEmptySegments Quirk = "emptySegments" // //
	QuirkSemicolon     Quirk = "semicolon"     // ; and %3B
	QuirkPercent       Quirk = "percent"       // %25 before two hex digits
)

func (Quirk) values() []string {
	return []string{string(QuirkEmptySegments), string(QuirkSemicolon), string(QuirkPercent)}
}

// Quirks gives what the paths of an upstream may hold.
func (u Upstream) Quirks() target.Quirks {
	var all target.Quirks
	for _, q := range u.PathQuirks {
		switch q {
		case QuirkEmptySegments:
			all |= target.EmptySegments
		case QuirkSemicolon:
			all |= target.Semicolon
		case QuirkPercent:
			all |= target.Percent
		}
	}
	return all
}

// checkAnyPattern is for a pattern that is not of one upstream: it may hold what the
// paths of any one of them may hold.
func checkAnyPattern(upstreams []Upstream, pattern string) problem {
	message, hint := target.CheckPattern(pattern)
	for _, u := range upstreams {
		if message == "" {
			break
		}
		if quirks := u.Quirks(); quirks != 0 {
			message, hint = target.CheckPatternWith(pattern, quirks)
		}
	}
	return problem{message, hint}
}

func (u Upstream) checkQuirks(at yamlfile.Node) {
	for i, q := range u.PathQuirks {
		if slices.Contains(u.PathQuirks[:i], q) {
			at.Key("pathQuirks").Item(i).AddFault(text.Quote(string(q))+" duplicates an earlier entry",
				"take one of the two out")
		}
	}
}
