package lint

import (
	"github.com/example-org/authgate/policy"
)

// What lint builds on, for tests that hold it to matching itself.
var (
	Covers          = covers
	CoversMethods   = coversMethods
	OverlapsMethods = overlapsMethods
	MatchMethod     = policy.MatchMethod
)
