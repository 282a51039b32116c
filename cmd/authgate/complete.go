package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// What the shell offers for a flag or an argument comes from the policy that the
// command line names so far. Where that does not load, nothing is offered: the
// command itself will say why.

// namedSoFar is the policy that a half-written command line names, or nil.
func namedSoFar(cmd *cobra.Command) *loadedPolicy {
	var flags policyFlags
	files, err := cmd.Flags().GetStringArray("policy")
	if err != nil {
		return nil
	}
	for _, file := range files { // cobra reads the flags twice, and so adds each file twice
		if !slices.Contains(flags.policies, file) {
			flags.policies = append(flags.policies, file)
		}
	}
	if flags.config, err = cmd.Flags().GetString("config"); err != nil || flags.usesStdin() {
		return nil
	}
	loaded, err := flags.load(cmd)
	if err != nil {
		return nil
	}
	return loaded
}

// upstreams gives the names that a TARGET may begin with.
func (l *loadedPolicy) upstreams() []string {
	if l.config != nil {
		return l.config.UpstreamNames()
	}
	return l.Upstreams()
}

// subjectsWith gives the subjects that begin so, without this beginning, or, for
// none, the groups.
func (l *loadedPolicy) subjectsWith(prefix string) []string {
	var names []string
	for _, name := range l.Subjects() {
		bare, has := strings.CutPrefix(name, prefix)
		isGroup := !slices.ContainsFunc([]string{"role:", "user:", "system:"}, func(p string) bool { return strings.HasPrefix(name, p) })
		if has && (prefix != "" || isGroup) {
			names = append(names, bare)
		}
	}
	return names
}

// targets gives the paths that rows name on an upstream.
func (l *loadedPolicy) targets(upstream string) []string {
	var targets []string
	for _, pattern := range l.Paths(upstream) {
		literal, _, _ := strings.Cut(pattern, "*")
		targets = append(targets, upstream+":"+literal)
	}
	slices.Sort(targets)
	return slices.Compact(targets)
}

// offer makes a completion of what a policy knows.
func offer(known func(*loadedPolicy) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		loaded := namedSoFar(cmd)
		if loaded == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return beginning(begun, known(loaded)), cobra.ShellCompDirectiveNoFileComp
	}
}

func beginning(begun string, words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return !strings.HasPrefix(w, begun) })
}

func offerGroups() cobra.CompletionFunc {
	return offer(func(l *loadedPolicy) []string { return l.subjectsWith("") })
}

func offerUsers() cobra.CompletionFunc {
	return offer(func(l *loadedPolicy) []string { return l.subjectsWith("user:") })
}

func offerRoles() cobra.CompletionFunc {
	return offer(func(l *loadedPolicy) []string {
		roles := l.subjectsWith("role:")
		for i := range roles {
			roles[i] = "role:" + roles[i]
		}
		return roles
	})
}

func offerUpstreams() cobra.CompletionFunc {
	return offer((*loadedPolicy).upstreams)
}

// commonMethods are those that dashboards use (RFC 9110, 9.3; RFC 5789).
var commonMethods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// offerQuestion completes the arguments METHOD TARGET. A target begins with its
// upstream; then the paths that rows name are offered, each up to its first *.
func offerQuestion(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return beginning(strings.ToUpper(begun), commonMethods[:]), cobra.ShellCompDirectiveNoFileComp
	case 1:
		if upstream, _, named := strings.Cut(begun, ":"); named {
			loaded := namedSoFar(cmd)
			if loaded == nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return beginning(begun, loaded.targets(upstream)), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		names, directive := offerUpstreams()(cmd, args, begun)
		for i := range names {
			names[i] += ":/"
		}
		return names, directive | cobra.ShellCompDirectiveNoSpace
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
