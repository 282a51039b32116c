package policy

// MethodsOf is a set of methods among those that are told apart.
func MethodsOf(told, among []string) Methods { return Methods{told, among} }

// WhoIs describes somebody who is one subject and nothing else.
func WhoIs(subject string) Who { return whoIs(subject) }

// BranchOverlaps asks all patterns at once what Overlaps asks of a pair.
func BranchOverlaps(patterns []string, pattern string) bool {
	return newBranch(patterns).overlaps(pattern)
}
