package explain

// WhyNot says what keeps a path from a pattern; empty where nothing does.
func WhyNot(path, pattern string) (why string, near bool) {
	g := diffPaths(path, pattern)
	return g.String(), g.isNearMiss()
}
