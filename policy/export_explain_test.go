package policy

// Is reports whether somebody is a subject, as Decide sees it.
func (r Roles) Is(subject string) bool { return r.has(subject) }

// WhyNot says what keeps a path from a pattern; empty where nothing does.
func WhyNot(path, pattern string) (why string, near bool) {
	g := diffPaths(path, pattern)
	return g.String(), g.isNearMiss()
}
