package policy

// What lint builds on, for tests that hold it to matching itself.
var (
	Covers          = covers
	CoversMethods   = coversMethods
	OverlapsMethods = overlapsMethods
	MatchMethod     = matchMethod
)

// Overlaps is what two patterns have in common.
func Overlaps(a, b string) bool { return overlaps(a, b) }
