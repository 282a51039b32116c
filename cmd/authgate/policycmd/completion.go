package policycmd

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/example-org/authgate/cmd/authgate/cli"
)

// What the shell offers for a flag or an argument comes from the policy that the
// command line names so far. Where that does not load, nothing is offered: the
// command itself will say why.

// policyFromFlags is the policy that a half-written command line names, or nil.
func policyFromFlags(cmd *cobra.Command) *loadedPolicy {
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

// subjectsWithPrefix gives the subjects that begin so, without this beginning, or, for
// none, the groups.
func (l *loadedPolicy) subjectsWithPrefix(prefix string) []string {
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

// completeFromPolicy makes a completion of what a policy knows.
func completeFromPolicy(known func(*loadedPolicy) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		loaded := policyFromFlags(cmd)
		if loaded == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return cli.FilterPrefix(toComplete, known(loaded)), cobra.ShellCompDirectiveNoFileComp
	}
}

func completeGroups() cobra.CompletionFunc {
	return completeFromPolicy(func(l *loadedPolicy) []string { return l.subjectsWithPrefix("") })
}

func completeUsers() cobra.CompletionFunc {
	return completeFromPolicy(func(l *loadedPolicy) []string { return l.subjectsWithPrefix("user:") })
}

func completeRoles() cobra.CompletionFunc {
	return completeFromPolicy(func(l *loadedPolicy) []string {
		roles := l.subjectsWithPrefix("role:")
		for i := range roles {
			roles[i] = "role:" + roles[i]
		}
		return roles
	})
}

func completeUpstreams() cobra.CompletionFunc {
	return completeFromPolicy((*loadedPolicy).upstreams)
}

// commonMethods are those that dashboards use (RFC 9110, 9.3; RFC 5789).
var commonMethods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// completeMethodTarget completes the arguments METHOD TARGET. A target begins with its
// upstream; then the paths that rows name are offered, each up to its first *.
func completeMethodTarget(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return cli.FilterPrefix(strings.ToUpper(toComplete), commonMethods[:]), cobra.ShellCompDirectiveNoFileComp
	case 1:
		if upstream, _, named := strings.Cut(toComplete, ":"); named {
			loaded := policyFromFlags(cmd)
			if loaded == nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return cli.FilterPrefix(toComplete, loaded.targets(upstream)), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		names, directive := completeUpstreams()(cmd, args, toComplete)
		for i := range names {
			names[i] += ":/"
		}
		return names, directive | cobra.ShellCompDirectiveNoSpace
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
